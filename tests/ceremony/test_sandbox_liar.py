"""An operator's process that lies is named, and whoever has the plan can check it."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.drill.liar import LiarOptions, liar_in_memory, liar_in_process
from infra.drill.lying_process import LIES_OF_PROCESSES, insecurely_lying
from infra.evidence.bundle import read_bundle
from infra.plan.signing import verify_signed_plan
from mpc_core.adversary.registry import ADVERSARIES, Outcome
from mpc_core.protocol.errors import CeremonyError
from tests.support.board import board_plan
from tests.support.simulation import with_keys

PLAN = board_plan()
LIE, LIAR, SEAT = "wrong-answer", "op-02", 2
TOLD_AT_ONCE = [
    name
    for name in LIES_OF_PROCESSES
    if ADVERSARIES[name].outcome is Outcome.ATTRIBUTED and name != "odd-v"
]
"""Lies that a few batches are enough for; an odd v is refuted when its time is over."""

ROUNDS = 4
"""Turns of everybody in which an accusation is made and confirmed."""


@pytest.mark.long
def test_a_process_that_lies_is_named_with_evidence_that_anybody_can_check(tmp_path):
    result = liar_in_process(LiarOptions(LIE, 4, tmp_path), lambda _: None)
    assert result.named == (LIAR,)
    files = sorted(tmp_path.iterdir())
    assert files
    for file in files:
        bundle = read_bundle(file)
        plan = verify_signed_plan(bundle.plan, bundle.signatures, None).plan
        words = ["evidence", "verify", str(file), "--plan-hash", plan.hash.hex(), "--json"]
        said = CliRunner().invoke(app, words)
        assert said.exit_code == 0, said.output
        assert json.loads(said.stdout)["operator"] == LIAR
    assert len(result.proven) == len(files)


def test_in_memory_the_liar_is_named_and_time_is_lost(tmp_path):
    result = liar_in_memory(LiarOptions(LIE, 4, tmp_path), lambda _: None)
    assert result.named == (LIAR,)
    rounds = result.costs[0]
    assert rounds.unit == "rounds"
    assert rounds.lied_to > rounds.honest > 0


def test_a_lie_that_nobody_can_be_named_for_names_nobody(tmp_path):
    assert ADVERSARIES["silent-decoder"].outcome is Outcome.SURVIVED
    assert liar_in_memory(LiarOptions("silent-decoder", 4, tmp_path), lambda _: None).named == ()


@pytest.mark.parametrize("lie", TOLD_AT_ONCE)
def test_the_steps_of_a_lying_process_tell_the_lie_and_its_operator_is_excluded(lie):
    ceremony = with_keys()
    party = ceremony.party(SEAT)
    party.alter = lambda steps: insecurely_lying(steps, lie)
    party.stop()
    party.start()
    for batch in (("N", 0), ("N", 1), ("N", 2), ("S", 0)):
        ceremony.batch(batch)
        for each in ROUNDS * ceremony.running:
            each.come_back()
    assert ceremony.log.state.members.excluded == {SEAT}


def of_plan(plan):
    return SimpleNamespace(operator=SimpleNamespace(plan=plan))


@pytest.mark.parametrize("lie", LIES_OF_PROCESSES)
def test_outside_a_sandbox_no_process_can_be_made_to_lie(lie):
    with pytest.raises(CeremonyError, match="RF-DRILL-007"):
        insecurely_lying(of_plan(replace(PLAN, sandbox=False)), lie)


@pytest.mark.parametrize("lie", ["", "truth", "serves-nobody"])
def test_a_lie_that_processes_do_not_know_is_refused(lie):
    with pytest.raises(CeremonyError, match="RF-DRILL-007"):
        insecurely_lying(of_plan(PLAN), lie)
