import pytest

from infra.party.rules import layout_of
from infra.plan.sandbox import sandbox_plan


def made(parameters, operators=4, threshold=1):
    """Return a plan and its layout."""
    parties = sandbox_plan(
        operators=operators, threshold=threshold, parameters=parameters, waiting_seconds=60
    )
    return parties.signed.plan, layout_of(parties.signed.plan)


@pytest.fixture(scope="session")
def small():
    return made("test")


@pytest.fixture(scope="session")
def large():
    return made("mainnet")
