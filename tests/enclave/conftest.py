import pytest

from infra.enclave.insecure_software import SOFTWARE_ENCLAVE
from infra.plan.document import parse_plan
from infra.plan.sandbox import sandbox_plan
from infra.plan.signing import sign_plan
from tests.enclave.chains import LINKS, chain
from tests.enclave.site import Site


@pytest.fixture(scope="session")
def certificates():
    """A chain as AWS has them: root, region, zone, instance, leaf."""
    return chain(*LINKS)


@pytest.fixture(scope="session")
def root(certificates):
    return certificates[0].certificate


@pytest.fixture(scope="session")
def signed_plan():
    """A signed sandbox plan that allows software in the place of enclaves, and its identities."""
    parties = sandbox_plan(operators=4, threshold=1, parameters="test", waiting_seconds=60)
    document = parse_plan(parties.signed.toml).model_copy(update={"insecure": (SOFTWARE_ENCLAVE,)})
    return sign_plan(document, parties.identities), parties.identities


@pytest.fixture
def site(tmp_path, signed_plan):
    """A sandbox's test root, its key service, and clients of it."""
    with Site.started(tmp_path, signed_plan[0].plan) as site:
        yield site
