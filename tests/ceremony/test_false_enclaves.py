"""Ceremonies in memory whose plan asks for enclaves, with one operator whose enclave is false."""

import logging

import pytest
import structlog

from activities.seal import KEY_SHARE
from infra.drill.engine import Engine
from infra.drill.schedule import Disturbance, Kind, Schedule
from infra.drill.simulate import check_shares
from infra.drill.site import parties_of
from mpc_core.adversary.registry import FALSE_ENCLAVES

LIAR, OTHERS = 2, {1, 3, 4}
CODES = {
    "other-software": "RF-ATTEST-005",
    "debug-mode": "RF-ATTEST-004",
    "old-documents": "RF-ATTEST-007",
    "documents-of-other-keys": "RF-ATTEST-008",
    "no-document": "RF-ATTEST-014",
}


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR + 10))
    yield
    structlog.reset_defaults()


def ended(*disturbances, liars=()):
    engine = Engine(Schedule(1, 4, disturbances=disturbances, liars=liars), attested())
    engine.run()
    check_shares(engine)
    return engine


def attested():
    return parties_of(4, 1, enclave=True)


def refusals(engine):
    found = engine.log.state.attestations.refusals
    return {(each.by, each.operator, each.code) for each in found}


def test_honest_enclaves_show_a_document_each_and_nobody_is_refused():
    engine = ended()
    assert {each.operator for each in engine.log.state.attestations.shown} == {LIAR, *OTHERS}
    assert refusals(engine) == set()
    assert engine.clock.now == 0.0


@pytest.mark.parametrize("name", FALSE_ENCLAVES)
def test_a_false_enclave_is_refused_by_all_by_name_and_the_ceremony_ends_without_it(name):
    engine = ended(liars=((LIAR, name),))
    assert refusals(engine) == {(other, LIAR, CODES[name]) for other in OTHERS}
    state = engine.log.state
    assert state.members.written_off == {LIAR}
    assert not state.members.excluded
    assert state.release.digest


@pytest.mark.parametrize("at", [2, 17])
def test_who_loses_its_vault_proves_its_enclave_anew_and_is_let_in_again(at):
    """What is given back goes over connections whose ends have looked at each other."""
    engine = ended(Disturbance(Kind.LOSE_VAULT, 3, at, rounds=3))
    state = engine.log.state
    assert state.members.rejoins.keys() == {3}
    assert refusals(engine) == set()
    shown = [each.entry for each in state.attestations.shown if each.operator == 3]
    assert [each.serial for each in shown] == [0, 1]
    assert shown[0].kem_key != shown[1].kem_key
    assert engine.operators[3].vault.read(KEY_SHARE) is not None
