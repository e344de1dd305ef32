"""What counts as an attestation document, and that no byte of one can be changed."""

import base64
import dataclasses

import cbor2
import pytest

from infra.enclave.cbor import NotCbor, read_cbor
from infra.enclave.document import read_document
from infra.enclave.files import decode_file
from infra.enclave.verification import authenticate
from mpc_core.protocol.errors import CeremonyError
from tests.enclave.chains import MEASURED, NOW, P384, document, fields, signed, without_length


def _refused(data, root=None):
    with pytest.raises(CeremonyError) as refusal:
        read_document(data) if root is None else authenticate(data, root)
    return refusal.value.code


def test_a_document_says_what_its_module_signed(certificates, root):
    found = authenticate(document(certificates), root)
    assert found.time == NOW
    assert found.pcrs[0] == MEASURED[0]
    assert (found.nonce, found.user_data, found.public_key) == (
        b"n" * 20,
        b"u" * 32,
        b"a key in DER",
    )


def test_a_payload_may_be_a_map_without_a_length(certificates, root):
    payload = without_length(fields(certificates))
    assert authenticate(signed(payload, certificates[-1].key), root).nonce == b"n" * 20


@pytest.mark.parametrize("name", ["public_key", "user_data", "nonce"])
@pytest.mark.parametrize("null", [True, False])
def test_what_nobody_asked_for_is_null_or_missing(certificates, root, name, null):
    plain = fields(certificates, **{name: None})
    if null:
        plain[name] = None
    found = authenticate(signed(cbor2.dumps(plain), certificates[-1].key), root)
    assert getattr(found, name) is None


def test_no_byte_of_a_document_can_be_changed(certificates, root):
    data = document(certificates)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        assert _refused(bytes(changed), root).startswith("RF-ATTEST-"), at


@pytest.mark.long
def test_no_byte_of_a_document_can_be_any_other_byte(certificates, root):
    data = document(certificates)
    for at in range(len(data)):
        for other in range(1, 256, 2):
            changed = bytearray(data)
            changed[at] ^= other
            assert _refused(bytes(changed), root).startswith("RF-ATTEST-"), (at, other)


def test_no_byte_of_a_document_in_base64_can_be_changed(certificates, root):
    data = document(certificates)
    text = base64.encodebytes(data)
    assert authenticate(decode_file(text), root)
    for at in range(len(text) - 1):
        changed = bytearray(text)
        changed[at] ^= 1 << at % 8
        with pytest.raises(CeremonyError):
            authenticate(decode_file(bytes(changed)), root)


def test_a_document_cannot_end_early_or_late(certificates):
    data = document(certificates)
    assert {_refused(data[:length]) for length in range(len(data))} == {"RF-ATTEST-001"}
    assert _refused(data + b"\0") == "RF-ATTEST-001"


def test_the_other_half_of_a_signature_says_the_same_and_has_the_same_digest(certificates, root):
    data = document(certificates)
    other_s = P384 - int.from_bytes(data[-48:], "big")
    other = data[:-48] + other_s.to_bytes(48, "big")
    assert other != data
    assert authenticate(other, root).digest == authenticate(data, root).digest


def test_a_signature_outside_its_range_is_refused(certificates, root):
    data = document(certificates)
    for r, s in ((0, 1), (1, 0), (P384, 1), (1, P384)):
        changed = data[:-96] + r.to_bytes(48, "big") + s.to_bytes(48, "big")
        assert _refused(changed, root) == "RF-ATTEST-003"


def _envelope(certificates, **changes):
    protected, unprotected, payload, signature = cbor2.loads(document(certificates))
    parts = {
        "protected": protected,
        "unprotected": unprotected,
        "payload": payload,
        "signature": signature,
        **changes,
    }
    return list(parts.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"protected": cbor2.dumps({1: -7})},
        {"protected": cbor2.dumps({1: -35, 4: b"key"})},
        {"protected": b"\xa1\x01\x39\x00\x22"},
        {"protected": b""},
        {"unprotected": {4: b"key"}},
        {"unprotected": []},
        {"payload": None},
        {"payload": b"x" * 16_385},
        {"payload": b""},
        {"signature": bytes(95)},
        {"signature": bytes(97)},
        {"signature": "text"},
        {"more": 1},
    ],
    ids=str,
)
def test_another_envelope_is_refused(certificates, changes):
    assert _refused(cbor2.dumps(_envelope(certificates, **changes))) == "RF-ATTEST-001"


def test_an_envelope_has_one_encoding(certificates):
    data = document(certificates)
    tagged = b"\xd2" + data
    indefinite = b"\x9f" + data[1:] + b"\xff"
    long_array = b"\x98\x04" + data[1:]
    long_header = data.replace(b"\x44\xa1\x01\x38\x22\xa0", b"\x58\x04\xa1\x01\x38\x22\xa0")
    open_map = data.replace(b"\x44\xa1\x01\x38\x22\xa0", b"\x44\xa1\x01\x38\x22\xbf\xff")
    for other in (tagged, indefinite, long_array, long_header, open_map):
        assert other != data
        assert _refused(other) == "RF-ATTEST-001"


@pytest.mark.parametrize(
    "changes",
    [
        {"module_id": ""},
        {"module_id": b"i-0"},
        {"module_id": "i-0\x1b[2J"},
        {"module_id": "i" * 257},
        {"digest": "SHA256"},
        {"timestamp": 0},
        {"timestamp": -1},
        {"timestamp": 1.5},
        {"timestamp": True},
        {"timestamp": 1 << 62},
        {"timestamp": 1 << 80},
        {"pcrs": {}},
        {"pcrs": []},
        {"pcrs": {0: bytes(32)}},
        {"pcrs": {32: bytes(48)}},
        {"pcrs": {-1: bytes(48)}},
        {"pcrs": {"0": bytes(48)}},
        {"pcrs": {False: bytes(48)}},
        {"pcrs": {index: bytes(48) for index in range(33)}},
        {"certificate": b""},
        {"certificate": bytes(1025)},
        {"cabundle": []},
        {"cabundle": [b""]},
        {"cabundle": [b"x"] * 9},
        {"cabundle": {0: b"x"}},
        {"public_key": b""},
        {"public_key": bytes(1025)},
        {"user_data": bytes(1025)},
        {"nonce": "text"},
        {"nonce": bytes(1025)},
        {"other": 1},
        {"pcrs": {0: [[[[[b""]]]]]}},
        {"nonce": cbor2.CBORTag(2, b"n")},
    ],
    ids=str,
)
def test_a_field_of_another_kind_is_refused(certificates, changes):
    assert _refused(document(certificates, **changes)) == "RF-ATTEST-001"


@pytest.mark.parametrize(
    "name", ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"]
)
def test_a_required_field_cannot_be_missing(certificates, name):
    assert _refused(document(certificates, **{name: None})) == "RF-ATTEST-001"


def test_a_field_or_register_cannot_be_given_twice(certificates):
    key = certificates[-1].key
    plain = fields(certificates)
    pairs = without_length(plain)[1:-1]
    again = cbor2.dumps("nonce") + cbor2.dumps(b"m")
    assert _refused(signed(b"\xbf" + pairs + again + b"\xff", key)) == "RF-ATTEST-001"
    registers = cbor2.dumps(plain["pcrs"])
    twice = b"\xb1" + registers[1:] + b"\x00" + cbor2.dumps(bytes(48))
    payload = cbor2.dumps(plain).replace(registers, twice)
    assert _refused(signed(payload, key)) == "RF-ATTEST-001"


@pytest.mark.parametrize(
    ("tag", "value", "plain"),
    [
        (2, b"\x01", 1),
        (3, b"\x01", -2),
        (0, "2026-03-04T12:00:00Z", None),
        (1, 1_772_625_600, None),
        (4, [0, 1], None),
        (55_799, b"a document", b"a document"),
        (6_000, b"anything", None),
    ],
)
def test_a_tag_is_refused_whatever_it_means(tag, value, plain):
    """Some tags are read as what stands without one, so the same value would have two encodings."""
    tagged = cbor2.dumps(cbor2.CBORTag(tag, value))
    if plain is not None:
        assert cbor2.loads(tagged) == plain
    with pytest.raises(NotCbor):
        read_cbor(tagged)
    with pytest.raises(NotCbor):
        read_cbor(cbor2.dumps({"nonce": [cbor2.CBORTag(tag, value)]}))


def test_a_time_that_is_a_tagged_number_is_no_time(certificates):
    plain = fields(certificates)
    time = plain["timestamp"].to_bytes(8, "big")
    payload = cbor2.dumps({**plain, "timestamp": cbor2.CBORTag(2, time)})
    assert cbor2.loads(payload) == plain
    assert _refused(signed(payload, certificates[-1].key)) == "RF-ATTEST-001"


def test_nothing_may_follow_a_payload(certificates):
    payload = cbor2.dumps(fields(certificates))
    assert _refused(signed(payload + b"\0", certificates[-1].key)) == "RF-ATTEST-001"


def test_a_long_input_is_refused_before_it_is_parsed(certificates):
    assert _refused(b"\x84" + bytes(1 << 20)) == "RF-ATTEST-001"


@pytest.mark.parametrize("wrap", [base64.b64encode, base64.encodebytes])
def test_a_file_is_a_document_or_its_base64(certificates, wrap):
    data = document(certificates)
    assert decode_file(data) == data
    assert decode_file(wrap(data)) == data
    assert decode_file(wrap(data).removesuffix(b"\n")) == data


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text + b"=",
        lambda text: b" " + text,
        lambda text: text.rstrip(b"="),
        lambda text: text[:100] + b"\n" + text[100:],
        lambda text: text + b"\n\n",
        lambda text: text[:64] + b"\r" + text[64:],
        lambda _: b"",
        lambda _: b"\n",
    ],
)
def test_base64_has_one_form(certificates, spoil):
    data = document(certificates, nonce=b"n" * 19)
    data = data if len(data) % 3 else document(certificates, nonce=b"n" * 20)
    with pytest.raises(CeremonyError) as refusal:
        decode_file(spoil(base64.b64encode(data)))
    assert refusal.value.code == "RF-ATTEST-001"


def test_a_document_is_a_value(certificates):
    with pytest.raises(dataclasses.FrozenInstanceError):
        read_document(document(certificates)).nonce = b""
