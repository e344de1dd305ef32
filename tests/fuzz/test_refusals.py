"""Wrong versions, lengths, nesting and notation are refused, and before anything is allocated."""

import struct
import tracemalloc

import pytest

from tests.fuzz.targets import TARGETS
from tests.fuzz.values import signed_plan

MOST_ALLOCATED = 1 << 20
"""Far less than what the hostile lengths below announce."""

CBOR = {
    "entry": 0,
    "signed-entry": 0,
    "order": 1,
    "board-message": 1,
    "witness-state": 1,
    "owed": 1,
    "entries-file": 0,
    "evidence-file": 0,
    "evidence-claim": 0,
}
"""Targets whose inputs are canonical CBOR, and how many bytes choose the decoder."""

LENIENT = {
    "log",
    "log-copy",
    "key-setup",
    "requested-range",
    "http-answer",
    "cards-and-words",
    "launch-document",
    "notice",
}
EXACT = sorted(TARGETS.keys() - LENIENT)
"""Targets that take no byte more or less than there should be."""

HUGE = [2**16, 2**31, 2**40, 2**63, 2**64 - 1]


def seeds(name):
    return list(TARGETS[name].seeds())


def refused(name, data):
    """Check that an input is refused as documented, and cheaply."""
    target = TARGETS[name]
    tracemalloc.start()
    try:
        with pytest.raises(target.refusals):
            target.decode(data)
        return tracemalloc.get_traced_memory()[1] < MOST_ALLOCATED
    finally:
        tracemalloc.stop()


@pytest.fixture(autouse=True, scope="module")
def _warm():
    """Decode everything valid once: what is cached then is no cost of a refusal."""
    for target in TARGETS.values():
        for data in target.seeds():
            target.run(data)


@pytest.mark.parametrize("name", EXACT)
def test_an_input_that_is_cut_short_is_refused(name):
    for data in seeds(name):
        if len(data) > 2:
            assert refused(name, data[:-1])
            assert refused(name, data[: 1 + len(data) // 2])


@pytest.mark.parametrize("name", EXACT)
def test_an_input_that_goes_on_is_refused(name):
    for data in seeds(name):
        assert refused(name, data + b"\0")
        assert refused(name, data + data)


@pytest.mark.parametrize("name", sorted(CBOR))
@pytest.mark.parametrize("kind", [0x40, 0x60, 0x80, 0xA0], ids=["bytes", "text", "array", "map"])
@pytest.mark.parametrize("size", HUGE)
def test_an_announced_length_is_not_believed(name, kind, size):
    length = bytes([kind | 27]) + struct.pack(">Q", size)
    for data in (length, b"\x83\x01" + length, b"\x81" + length):
        assert refused(name, bytes(CBOR[name]) + data)


@pytest.mark.parametrize("name", sorted(CBOR))
@pytest.mark.parametrize("opening", [b"\x81", b"\x9f", b"\xa1\x00", b"\xc1", b"\xd8\x1c\x81"])
def test_deep_nesting_is_refused(name, opening):
    assert refused(name, bytes(CBOR[name]) + opening * 3000)
    assert refused(name, bytes(CBOR[name]) + opening * 3000 + b"\x00")


@pytest.mark.parametrize("name", sorted(CBOR))
def test_another_notation_of_the_same_value_is_refused(name):
    skip = CBOR[name]
    for data in seeds(name):
        head, body = data[:skip], data[skip:]
        if not body or body[0] >> 5 != 4:
            continue
        count = body[0] & 31
        assert count < 24
        longer = bytes([0x98, count]) + body[1:]
        endless = b"\x9f" + body[1:] + b"\xff"
        tagged = b"\xd9\xd9\xf7" + body
        for other in (longer, endless, tagged):
            assert refused(name, head + other)


@pytest.mark.parametrize("version", [b"\x00", b"\x02", b"\x18\x01", b"\xf5", b"\x61\x31"])
@pytest.mark.parametrize("name", ["entry", "order"])
def test_another_version_of_an_envelope_is_refused(name, version):
    for data in seeds(name):
        at = CBOR[name]
        if data[at:]:
            assert refused(name, data[: at + 1] + version + data[at + 2 :])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"version = 1\n", b"version = 2\n"),
        (b"version = 1\n", b"version = 1.0\n"),
        (b"version = 1\n", b"version = true\n"),
        (b"version = 1\n", b"version = 1 \n"),
        (b"version = 1\n", b"version = 0x1\n"),
        (b"\n", b"\r\n"),
        (b"threshold = 1", b"threshold = 01"),
        (b"[deadlines]", b"[ deadlines ]"),
        (b"waiting_seconds = 60.0", b"waiting_seconds = 6e1"),
        (b"waiting_seconds = 60.0", b"waiting_seconds = inf"),
        (b"plaintexts = [", b"plaintexts = [" + b"[" * 5000),
        (b"plaintexts = [", b"plaintexts = [" + b"1, " * 15_000),
        (b"threshold = 1", b"threshold = " + b"1" * 10_000),
        (b"# The plan", b"# the plan"),
    ],
)
def test_another_notation_of_a_plan_is_refused(old, new):
    data = signed_plan().toml
    assert old in data
    target = TARGETS["plan"]
    with pytest.raises(target.refusals):
        target.decode(data.replace(old, new))


@pytest.mark.parametrize("name", ["key-file", "ciphertext-list"])
def test_no_length_in_a_tfhe_file_is_believed(name):
    for data in seeds(name):
        for at in range(1, len(data) - 8):
            for size in (2**31, 2**63):
                changed = data[:at] + struct.pack("<Q", size) + data[at + 8 :]
                try:
                    TARGETS[name].decode(changed)
                except TARGETS[name].refusals:
                    continue  # wherever no length stands, the bytes may be masks or bodies


def test_a_tfhe_file_that_announces_more_than_it_has_allocates_nothing():
    for name in ("key-file", "ciphertext-list"):
        for data in seeds(name):
            at = data.index(b"high_level_api") + 60
            assert refused(name, data[:at] + b"\xff" * 8 + data[at + 8 :])


def test_the_length_of_a_record_in_the_copy_of_the_log_is_not_believed():
    data = seeds("log-copy")[0] + b"\xff\xff\xff\xff" + b"E"
    tracemalloc.start()
    TARGETS["log-copy"].decode(data)
    assert tracemalloc.get_traced_memory()[1] < MOST_ALLOCATED
    tracemalloc.stop()
