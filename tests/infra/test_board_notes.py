"""Checkpoints and certificates as C2SP signed notes, and the exported log."""

from __future__ import annotations

import base64
import hashlib

import pytest

from infra.board import export, notes
from infra.board.notes import Checkpoint, Head, HeadSignature
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import EMPTY_ROOT, leaf_hash, root
from tests.support.board import board_plan, closing, key_of, public_of, signed

PLAN = board_plan()


def checkpoint_of(head: Head, heads=(1, 2, 3), certificates=(2, 3, 4)) -> Checkpoint:
    return Checkpoint(
        head,
        tuple(notes.sign_head(PLAN, head, index, key_of(index)) for index in heads),
        tuple(notes.sign_certificate(PLAN, head, index, key_of(index)) for index in certificates),
    )


HEAD = Head(0, 3, hashlib.sha256(b"log").digest())
CHECKPOINT = checkpoint_of(HEAD)


def refusal(act) -> str:
    with pytest.raises(CeremonyError) as caught:
        act()
    return caught.value.code


def test_a_checkpoint_is_a_signed_note_as_c2sp_says():
    note = notes.write_checkpoint(PLAN, CHECKPOINT)
    text, _, lines = note.partition("\n\n")
    assert text.split("\n") == [
        "ringforge/00112233445566778899aabbccddeeff",
        "3",
        base64.b64encode(HEAD.root).decode(),
        "epoch 0",
    ]
    for index, line in enumerate(lines.splitlines(), 1):
        dash, name, blob = line.split(" ")
        raw = base64.b64decode(blob)
        key_id = hashlib.sha256(name.encode() + b"\x0a\x01" + public_of(index)).digest()[:4]
        assert (dash, name, raw[:4]) == ("\u2014", f"op-{index:02d}", key_id)
        key_of(index).public_key().verify(raw[4:], (text + "\n").encode())


def test_the_key_hash_is_that_of_the_c2sp_example():
    """The verifier key PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW."""
    raw = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert notes.key_hash("PeterNeumann", raw[1:]).hex() == "c74f20a3"


def test_checkpoint_and_certificate_are_read_back():
    certified = notes.read_checkpoint(PLAN, notes.write_checkpoint(PLAN, CHECKPOINT))
    assert certified == Checkpoint(HEAD, CHECKPOINT.head_signatures)
    note = notes.write_certificate(PLAN, CHECKPOINT)
    assert notes.read_certificate(PLAN, certified, note) == CHECKPOINT


@pytest.mark.parametrize("flip", [0x01, 0x20])
def test_a_note_with_any_character_altered_is_refused(flip):
    certified = Checkpoint(HEAD, CHECKPOINT.head_signatures)
    for write, read in (
        (notes.write_checkpoint, lambda note: notes.read_checkpoint(PLAN, note)),
        (notes.write_certificate, lambda note: notes.read_certificate(PLAN, certified, note)),
    ):
        note = write(PLAN, CHECKPOINT)
        for at in range(len(note)):
            altered = note[:at] + chr(ord(note[at]) ^ flip) + note[at + 1 :]
            assert refusal(lambda: read(altered)) in {"RF-LOG-015", "RF-LOG-024"}  # noqa: B023
        for cut in (note[:-1], note + "\n", note.rstrip("\n"), "", "\n\n", note * 2):
            assert refusal(lambda: read(cut)) in {"RF-LOG-015", "RF-LOG-024"}  # noqa: B023


def test_a_head_signature_is_no_certificate_signature():
    swapped = Checkpoint(HEAD, CHECKPOINT.certificate_signatures, CHECKPOINT.head_signatures)
    for text, signatures in (
        (notes.head_text(PLAN.ceremony_id, HEAD), swapped.head_signatures),
        (notes.certificate_text(PLAN.ceremony_id, HEAD), swapped.certificate_signatures),
    ):
        assert refusal(lambda: notes.require_quorum(PLAN, text, signatures)) == "RF-LOG-024"  # noqa: B023


def test_a_certificate_names_epoch_size_and_root():
    text = notes.certificate_text(PLAN.ceremony_id, HEAD)
    for other in (Head(1, 3, HEAD.root), Head(0, 4, HEAD.root), Head(0, 3, bytes(32))):
        assert notes.certificate_text(PLAN.ceremony_id, other) != text


def test_a_quorum_is_of_distinct_operators_of_the_plan():
    text = notes.head_text(PLAN.ceremony_id, HEAD)
    one, two, three = CHECKPOINT.head_signatures
    stranger = HeadSignature(5, notes.sign_head(PLAN, HEAD, 5, key_of(5)).signature)
    notes.require_quorum(PLAN, text, (one, two, three))
    for signatures in (
        (one, two),
        (one, two, two),
        (two, one, three),
        (one, two, stranger),
        (one, two, HeadSignature(3, b"")),
        (one, two, HeadSignature(0, three.signature)),
    ):
        assert refusal(lambda: notes.require_quorum(PLAN, text, signatures)) == "RF-LOG-024"  # noqa: B023


@pytest.fixture
def transcript(tmp_path):
    entries = [signed(1, PLAN), signed(2, PLAN, 2), closing("complaints", PLAN), signed(3, PLAN)]
    head = Head(0, 3, root(leaf_hash(entry) for entry in entries[:3]))
    export.write(tmp_path, PLAN, entries, checkpoint_of(head))
    return tmp_path


def test_an_exported_log_is_verified_when_it_is_read(transcript):
    read = export.read(transcript, PLAN)
    assert [entry.position for entry in read.entries] == [0, 1, 2]
    assert read.entries[2].signers == (1, 2, 3)
    assert read.checkpoint.head == Head(0, 3, read.entries[2].prefix_root)


@pytest.mark.parametrize(
    "name", [export.ENTRIES_FILE, export.CHECKPOINT_FILE, export.CERTIFICATE_FILE]
)
def test_an_exported_log_with_any_byte_altered_is_refused(transcript, name):
    path = transcript / name
    data = path.read_bytes()
    for at in range(len(data)):
        altered = bytearray(data)
        altered[at] ^= 1
        path.write_bytes(altered)
        assert refusal(lambda: export.read(transcript, PLAN)).startswith("RF-LOG-")
    for changed in (data[:-1], data + b"\0", b""):
        path.write_bytes(changed)
        assert refusal(lambda: export.read(transcript, PLAN)).startswith("RF-LOG-")
    path.unlink()
    assert refusal(lambda: export.read(transcript, PLAN)) == "RF-LOG-050"


def test_an_exported_log_that_is_shorter_longer_or_in_another_order_is_refused(transcript):
    read = export.read(transcript, PLAN)
    entries = [signed(1, PLAN), signed(2, PLAN, 2), closing("complaints", PLAN), signed(3, PLAN)]
    for part in (entries, entries[:2], [entries[1], entries[0], entries[2]]):
        size = Head(0, len(part), read.checkpoint.head.root)
        export.write(transcript, PLAN, part, Checkpoint(size, (), ()))
        (transcript / export.CHECKPOINT_FILE).write_text(
            notes.write_checkpoint(PLAN, read.checkpoint)
        )
        (transcript / export.CERTIFICATE_FILE).write_text(
            notes.write_certificate(PLAN, read.checkpoint)
        )
        assert refusal(lambda: export.read(transcript, PLAN)) == "RF-LOG-050"


def test_the_empty_log_has_a_checkpoint_too(tmp_path):
    checkpoint = checkpoint_of(Head(0, 0, EMPTY_ROOT))
    export.write(tmp_path, PLAN, [], checkpoint)
    assert export.read(tmp_path, PLAN) == export.Transcript((), checkpoint)
