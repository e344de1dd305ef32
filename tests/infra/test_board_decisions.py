"""Decisions carry the signatures of both keys; everything else on the board carries one."""

import pytest

from infra.board import wire
from mpc_core.protocol.entries import Address, Decision
from mpc_core.protocol.errors import CeremonyError
from tests.support.board import board_plan, key_of
from tests.support.plans import hybrid_parties, identities, represented_parties

PLAN = hybrid_parties().signed.plan
KEYS = identities(hybrid_parties())
ENTRY = Decision("pause", 0, 0, "x" * 280)
ENVELOPE = wire.sign_decision(ENTRY, PLAN, 1, KEYS["op-01"])


def refused(data, plan=PLAN):
    with pytest.raises(CeremonyError) as caught:
        wire.decode(data, plan)
    assert caught.value.code == "RF-LOG-004"


def test_a_decision_is_read_as_it_was_signed_and_fits_the_least_entry():
    found = wire.decode(ENVELOPE, PLAN)
    assert (found.entry, found.signers) == (ENTRY, (1,))
    assert len(ENVELOPE) <= 4096


def test_a_decision_by_one_key_is_refused():
    refused(wire.sign_entry(ENTRY, PLAN, 1, KEYS["op-01"].ed25519))


@pytest.mark.parametrize("half", [slice(0, 64), slice(64, None)])
def test_a_decision_with_half_of_a_signature_is_refused(half):
    body = wire.body_of(ENTRY)
    signature = KEYS["op-01"].sign(wire.ENTRY_DOMAIN + PLAN.hash + body)[half]
    for algorithm in (wire.ED25519, wire.HYBRID):
        refused(wire.assemble(body, [wire.Endorsement(1, algorithm, signature)]))


def test_any_changed_byte_of_either_signature_is_refused():
    body = wire.body_of(ENTRY)
    signature = KEYS["op-01"].sign(wire.ENTRY_DOMAIN + PLAN.hash + body)
    for at in (0, 63, 64, 1000, len(signature) - 1):
        changed = bytearray(signature)
        changed[at] ^= 1
        part = wire.Endorsement(1, wire.HYBRID, bytes(changed))
        refused(wire.assemble(body, [part]))


def test_another_entry_by_both_keys_is_refused():
    """One entry has one form, so nobody can post it twice."""
    body = wire.body_of(Address(0, "127.0.0.1", 4000))
    signature = KEYS["op-01"].sign(wire.ENTRY_DOMAIN + PLAN.hash + body)
    refused(wire.assemble(body, [wire.Endorsement(1, wire.HYBRID, signature)]))


def test_a_decision_of_another_plan_or_operator_is_refused():
    refused(wire.sign_decision(ENTRY, PLAN, 2, KEYS["op-01"]))
    other = board_plan()
    refused(wire.sign_decision(ENTRY, other, 1, KEYS["op-01"]), other)


def test_who_speaks_for_an_operator_signs_its_decisions_in_its_place():
    signed, known = represented_parties()
    envelope = wire.sign_decision(ENTRY, signed.plan, 1, known["anna"])
    assert wire.decode(envelope, signed.plan).signers == (1,)
    for somebody in ("op-01", "ben", "coordinator"):
        refused(wire.sign_decision(ENTRY, signed.plan, 1, known[somebody]), signed.plan)
    refused(wire.sign_decision(ENTRY, signed.plan, 2, known["anna"]), signed.plan)
    refused(wire.sign_entry(ENTRY, signed.plan, 1, known["anna"].ed25519), signed.plan)
    address = Address(0, "127.0.0.1", 4000)
    refused(wire.sign_entry(address, signed.plan, 1, known["anna"].ed25519), signed.plan)


def test_under_a_plan_with_one_key_one_signature_is_enough():
    plan = board_plan()
    assert wire.decode(wire.sign_entry(ENTRY, plan, 1, key_of(1)), plan).entry == ENTRY


def test_an_order_by_another_algorithm_is_refused():
    body = b"step conclude"
    key = key_of(0)
    good = wire.endorse(body, PLAN.hash, wire.COORDINATOR, key, wire.ORDER_DOMAIN)
    public = key.public_key().public_bytes_raw()
    assert wire.open_order(wire.assemble(body, [good]), PLAN.hash, public) == body
    part = wire.Endorsement(wire.COORDINATOR, wire.HYBRID, good.signature)
    with pytest.raises(CeremonyError, match="RF-ORDER-001"):
        wire.open_order(wire.assemble(body, [part]), PLAN.hash, public)
