"""Envelopes: one encoding, valid for one plan and purpose, or nothing."""

from __future__ import annotations

import dataclasses
from typing import get_args

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.board import wire
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.entries import STATEMENTS, Answer, Close, Decoded, Entry, Return, Root
from mpc_core.protocol.errors import CeremonyError
from tests.support.board import board_plan, closing, key_of, root_entry, signed, statement

PLAN = board_plan()
DIGEST = st.binary(min_size=32, max_size=32)
BATCH = st.builds(
    BatchName,
    st.sampled_from("NSMO"),
    st.integers(0, 2**62),
    st.integers(0, 9),
    st.integers(0, 9),
)


def entries() -> st.SearchStrategy[Entry]:
    st.register_type_strategy(BatchName, BATCH)
    st.register_type_strategy(int, st.integers(0, 2**63 - 1))
    return st.one_of([st.builds(shape) for shape in get_args(Entry)])


def refusal(data: bytes, plan=PLAN) -> str:
    with pytest.raises(CeremonyError) as caught:
        wire.decode(data, plan)
    return caught.value.code


@settings(max_examples=60)
@given(entries())
def test_every_kind_survives_the_wire(entry):
    signers = (1, 3, 4) if isinstance(entry, STATEMENTS) else (2,)
    plan = board_plan(entry_bytes=10**6)
    read = wire.decode(statement(entry, plan, signers), plan)
    assert (read.entry, read.signers) == (entry, signers)
    assert read.is_statement == isinstance(entry, STATEMENTS)


def test_the_body_is_the_array_of_kind_and_fields():
    entry = Decoded(BatchName("N", 7), b"c", 1, ((2, b"r"),), b"v")
    expected = ["decoded", ["N", 7, 0, 0], b"c", 1, [[2, b"r"]], b"v"]
    assert cbor2.loads(wire.body_of(entry)) == expected
    assert wire.entry_of(wire.body_of(entry)) == entry


@pytest.mark.parametrize("data", [signed(1, PLAN, 2), closing("complaints", PLAN)])
def test_an_envelope_with_any_byte_flipped_is_refused(data):
    for at in range(len(data)):
        for flip in (0x01, 0x20, 0x80):
            altered = bytearray(data)
            altered[at] ^= flip
            assert refusal(bytes(altered)).startswith("RF-LOG-00")


def test_an_envelope_cut_or_extended_is_refused():
    data = signed(1, PLAN)
    assert {refusal(data[:length]) for length in range(len(data))} == {"RF-LOG-002"}
    assert refusal(data + b"\0") == "RF-LOG-002"


def outer(version: object, body: object, signatures: object) -> bytes:
    return cbor2.dumps([version, body, signatures], canonical=True)


def test_another_encoding_of_the_same_envelope_is_refused():
    version, body, signatures = cbor2.loads(signed(1, PLAN))
    assert wire.decode(outer(version, body, signatures), PLAN)
    long_form = b"\x83\x18\x01" + cbor2.dumps(body) + cbor2.dumps(signatures)
    indefinite = b"\x9f\x01" + cbor2.dumps(body) + cbor2.dumps(signatures) + b"\xff"
    tagged = b"\x83\xc2\x41\x01" + cbor2.dumps(body) + cbor2.dumps(signatures)
    self_described = b"\xd9\xd9\xf7" + signed(1, PLAN)
    for data in (long_form, indefinite, tagged, self_described):
        assert refusal(data) == "RF-LOG-002"
    for altered in (
        outer(True, body, signatures),
        outer(1.0, body, signatures),
        outer(2, body, signatures),
        outer(version, body.hex(), signatures),
        outer(version, body, [[*signatures[0], 0]]),
        outer(version, body, [[signatures[0][0], 3, signatures[0][2]]]),
        outer(version, body, {}),
        cbor2.dumps([version, body, signatures, 0], canonical=True),
        cbor2.dumps({"version": 1}, canonical=True),
        cbor2.dumps(version),
    ):
        assert refusal(altered) == "RF-LOG-002"


@pytest.mark.parametrize(
    "body",
    [
        ["return", True],
        ["return", -1],
        ["return", 2**63],
        ["return", 1.0],
        ["return", "1"],
        ["return", None],
        ["return"],
        ["return", 1, 1],
        ["root", ["N", 1, 0], b"c", b"r"],
        ["root", ["X", 1, 0, 0], b"c", b"r"],
        ["root", ["N", 1, 0, 0], "c", b"r"],
        ["decoded", ["N", 1, 0, 0], b"c", 0, [[1]], b"v"],
        ["decoded", ["N", 1, 0, 0], b"c", 0, b"", b"v"],
        [[], 1],
        [],
        "return",
    ],
)
def test_a_signed_body_with_wrong_types_or_field_counts_is_refused(body):
    raw = cbor2.dumps(body, canonical=True)
    data = wire.assemble(raw, [wire.endorse(raw, PLAN.hash, 1, key_of(1))])
    assert refusal(data) == "RF-LOG-002"


def test_an_unknown_kind_is_refused():
    raw = cbor2.dumps(["move", 1], canonical=True)
    data = wire.assemble(raw, [wire.endorse(raw, PLAN.hash, 1, key_of(1))])
    assert refusal(data) == "RF-LOG-003"


def test_an_entry_larger_than_the_plan_allows_is_refused_before_it_is_parsed():
    entry = Answer(BatchName("N", 1), b"c", 0, b"r", bytes(500))
    data = wire.sign_entry(entry, PLAN, 1, key_of(1))
    assert refusal(data, board_plan(entry_bytes=len(data) - 1)) == "RF-LOG-001"
    assert wire.decode(data, board_plan(entry_bytes=len(data)))
    assert refusal(bytes(5000), board_plan()) == "RF-LOG-001"


def test_a_declared_length_reserves_no_memory():
    assert refusal(b"\x9b\x00\x00\x00\xff\x00\x00\x00\x00") == "RF-LOG-002"
    assert refusal(b"\x5b\x00\x00\x00\xff\x00\x00\x00\x00") == "RF-LOG-002"
    assert refusal(b"\x81" * 3000) == "RF-LOG-002"


def test_a_signature_of_another_plan_purpose_signer_or_body_is_refused():
    body = wire.body_of(root_entry(1))
    good = wire.endorse(body, PLAN.hash, 1, key_of(1))
    assert wire.decode(wire.assemble(body, [good]), PLAN).signers == (1,)
    for bad in (
        wire.endorse(body, bytes(32), 1, key_of(1)),
        wire.endorse(body, PLAN.hash, 1, key_of(1), wire.ORDER_DOMAIN),
        wire.endorse(body, PLAN.hash, 1, key_of(2)),
        wire.endorse(wire.body_of(root_entry(2)), PLAN.hash, 1, key_of(1)),
        wire.endorse(body, PLAN.hash, 0, key_of(0)),
        wire.endorse(body, PLAN.hash, 5, key_of(5)),
        dataclasses.replace(good, signature=b""),
    ):
        assert refusal(wire.assemble(body, [bad])) == "RF-LOG-004"


def test_a_message_has_one_author():
    body = wire.body_of(Return(1))
    parts = [wire.endorse(body, PLAN.hash, signer, key_of(signer)) for signer in (1, 2)]
    assert refusal(wire.assemble(body, parts)) == "RF-LOG-002"
    assert refusal(wire.assemble(body, [])) == "RF-LOG-002"


def test_a_statement_needs_a_quorum_of_distinct_valid_signatures():
    assert refusal(closing("contributions", PLAN, (1, 2))) == "RF-LOG-005"
    assert wire.decode(closing("contributions", PLAN, (1, 2, 3, 4)), PLAN).signers == (1, 2, 3, 4)
    body = wire.body_of(Close("contributions"))
    one, two, three = (wire.endorse(body, PLAN.hash, s, key_of(s)) for s in (1, 2, 3))
    forged = dataclasses.replace(three, signature=one.signature)
    assert refusal(wire.assemble(body, [one, two, forged])) == "RF-LOG-004"
    twice = [[p.signer, p.algorithm, p.signature] for p in (one, two, two)]
    assert refusal(outer(1, body, twice)) == "RF-LOG-002"
    unsorted = [[p.signer, p.algorithm, p.signature] for p in (two, one, three)]
    assert refusal(outer(1, body, unsorted)) == "RF-LOG-002"


def test_an_order_is_followed_only_if_this_coordinator_signed_it_for_this_plan():
    order = wire.sign_order(b"start", PLAN.hash, key_of(0))
    assert wire.open_order(order, PLAN.hash, PLAN.coordinator_key) == b"start"
    entry_signature = wire.endorse(b"start", PLAN.hash, 0, key_of(0))
    for data, plan_hash, key in (
        (order, bytes(32), PLAN.coordinator_key),
        (order, PLAN.hash, PLAN.operators[0].identity_key),
        (order[:-1], PLAN.hash, PLAN.coordinator_key),
        (wire.assemble(b"start", [entry_signature]), PLAN.hash, PLAN.coordinator_key),
        (wire.assemble(b"start", []), PLAN.hash, PLAN.coordinator_key),
        (wire.sign_order(bytes(65536), PLAN.hash, key_of(0)), PLAN.hash, PLAN.coordinator_key),
    ):
        with pytest.raises(CeremonyError, match="RF-ORDER-001"):
            wire.open_order(data, plan_hash, key)


def test_a_root_of_another_operator_is_another_entry():
    assert signed(1, PLAN, 1) != signed(1, PLAN, 2)
    assert isinstance(wire.decode(signed(1, PLAN, 2), PLAN).entry, Root)
