"""A party's clock under a drill that moves it."""

from dataclasses import replace

import pytest

from infra.party.clock import Steady, party_clock
from infra.plan.sandbox import sandbox_plan
from mpc_core.protocol.errors import CeremonyError


@pytest.fixture(scope="module")
def plan():
    parties = sandbox_plan(operators=4, threshold=1, parameters="test", waiting_seconds=20.0)
    return parties.signed.plan


def test_a_jump_ahead_counts_and_a_jump_back_takes_no_time_away():
    shown = [100.0]
    clock = Steady(lambda: shown[0])
    assert clock() == 100.0
    shown[0] += 3600
    assert clock() == 3700.0
    shown[0] -= 7200
    assert clock() == 3700.0
    shown[0] += 5
    assert clock() == 3705.0


def test_a_drill_moves_the_clock_of_a_party_by_a_file(plan, tmp_path):
    offset = tmp_path / "offset"
    clock = party_clock(plan, offset)
    before = clock()
    offset.write_text("3600")
    assert clock() >= before + 3600
    offset.write_text("")
    assert clock() >= before + 3600


def test_no_clock_is_moved_outside_a_sandbox(plan, tmp_path):
    real = replace(plan, sandbox=False)
    with pytest.raises(CeremonyError, match="RF-RUN-035"):
        party_clock(real, tmp_path / "offset")
    party_clock(real, None)
