"""What crosses Temporal is encrypted, and rubbish in its place is nothing."""

import json

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from infra.temporal.codec import ENCODING, NOTHING, PlanCodec, converter_for
from workflows.contracts import BatchOrder

PLAN, OTHER = b'ceremony_id = "00"\n', b'ceremony_id = "01"\n'
ORDER = BatchOrder("N", 7, "c2lnbmVkIG9yZGVy", 1)


async def encrypted(value, plan=PLAN):
    (payload,) = await converter_for(plan).encode([value])
    return payload


async def decrypted(payload, plan=PLAN):
    return (await converter_for(plan).decode([payload]))[0]


async def test_what_is_sent_is_read_by_whoever_has_the_plan():
    for value in (None, 5, [1, "a"], {"operator": 3}, b"\0bytes"):
        assert await decrypted(await encrypted(value)) == value
    (order,) = await converter_for(PLAN).decode([await encrypted(ORDER)], [BatchOrder])
    assert order == ORDER


async def test_nothing_of_it_can_be_seen_without_the_plan():
    payload = await encrypted(ORDER)
    assert payload.metadata["encoding"] == ENCODING
    assert set(payload.metadata) == {"encoding"}
    seen = payload.SerializeToString()
    assert not any(text in seen for text in (b"json", b"envelope", b"c2lnbmVk", b"stage"))
    assert await decrypted(payload, OTHER) is None


async def test_equal_payloads_do_not_look_equal():
    one, other = await encrypted(ORDER), await encrypted(ORDER)
    assert one.data != other.data


async def test_no_byte_of_a_payload_can_be_changed():
    payload = await encrypted(ORDER)
    for at in range(len(payload.data)):
        data = bytearray(payload.data)
        data[at] ^= 1
        changed = Payload(metadata=payload.metadata, data=bytes(data))
        assert await decrypted(changed) is None


def _sealed(payload):
    return PlanCodec(PLAN)._encrypted(payload)


@pytest.mark.parametrize(
    "payload",
    [
        Payload(metadata={"encoding": b"json/plain"}, data=b"5"),
        Payload(data=b"rubbish"),
        Payload(metadata={"encoding": ENCODING}, data=b"short"),
        Payload(metadata={"encoding": ENCODING}, data=bytes((1 << 21) + 1)),
        _sealed(Payload(metadata={"encoding": b"binary/protobuf"}, data=b"x")),
        _sealed(Payload(metadata={"encoding": b"json/plain"}, data=b"{rubbish")),
        _sealed(Payload(metadata={"encoding": b"json/plain"}, data=b"\xff\xfe")),
        _sealed(Payload(metadata={"encoding": b"json/plain"}, data=b"[" * 100_000)),
    ],
    ids=range(8),
)
async def test_rubbish_is_nothing(payload):
    assert await PlanCodec(PLAN).decode([payload]) == [NOTHING]
    assert await decrypted(payload) is None


async def test_messages_of_failures_are_encrypted_and_their_codes_are_not():
    converter, failure = converter_for(PLAN), Failure()
    error = ApplicationError("RF-DISK-001  the disk of op-02 is full", type="RF-DISK-001")
    await converter.encode_failure(error, failure)
    assert b"disk of" not in failure.SerializeToString()
    assert failure.application_failure_info.type == "RF-DISK-001"
    found = await converter.decode_failure(failure)
    assert str(found).endswith("the disk of op-02 is full")


async def test_what_was_never_encrypted_is_read_by_nobody_who_expects_it_to_be():
    (plain,) = await DataConverter.default.encode([{"operator": 3}])
    assert json.loads(plain.data) == {"operator": 3}
    assert await decrypted(plain) is None
