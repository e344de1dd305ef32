"""What stands on the log and what travels between it and the operators."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

from activities.orders import _bytes as order_bytes
from infra.board import export, notes, strict, wire
from infra.board.admission import Admission
from infra.board.copy import LogFile
from infra.board.messages import (
    Refusal,
    SubmitAnswer,
    SyncAnswer,
    SyncReply,
    SyncRequest,
    read_message,
)
from infra.board.vault import WitnessState
from mpc_core.protocol.entries import STATEMENTS
from mpc_core.protocol.errors import CeremonyError
from tests.fuzz.registry import chosen, one_of, target
from tests.fuzz.values import PLAN, checkpoint, entry_examples, envelopes, example
from tests.support.board import key_of, public_of

MESSAGES = (SyncRequest, SyncReply, SubmitAnswer, SyncAnswer, Refusal)
STATES = (WitnessState,)


def _bodies():
    return [wire.body_of(entry) for entry in entry_examples()]


@target(seeds=envelopes)
def entry(data):
    """An envelope as anybody could send it."""
    signed = wire.decode(data, PLAN)
    assert signed.signers == tuple(sorted(set(signed.signers)))


@target(seeds=_bodies)
def signed_entry(data):
    """What a member of the ceremony can sign: whatever has a valid signature is judged further."""
    signers = (1, 2, 3) if _is_statement(data) else (2,)
    parts = [wire.endorse(data, PLAN.hash, at, key_of(at)) for at in signers]
    envelope = wire.assemble(data, parts)
    admission = Admission(PLAN)
    logged = admission.admit(envelope, admission.check(envelope))
    assert wire.body_of(logged.entry) == data


def _is_statement(body):
    return isinstance(wire.entry_of(body), STATEMENTS)


def _orders():
    return [wire.sign_order(line, PLAN.hash, key_of(0)) for line in (b"", b"batch N 3")]


def _signed_order(data):
    body = wire.open_order(data, PLAN.hash, public_of(0))
    assert wire.sign_order(body, PLAN.hash, key_of(0)) == data


def _order_text(data):
    """What an activity's argument carries, which anybody with access to Temporal can start."""
    order_bytes(data.decode("utf-8", "replace"))


@target(seeds=chosen(_orders, lambda: [b"", b"YmF0Y2ggTiAz"]))
def order(data):
    one_of(data, _signed_order, _order_text)


def _examples(shape):
    return lambda: [strict.encode(example(shape, empty=empty)) for empty in (False, True)]


def _message(shape, data):
    assert strict.encode(read_message(shape, data)) == data


@target(seeds=chosen(*map(_examples, MESSAGES)))
def board_message(data):
    """Sync requests, submissions and their answers."""
    one_of(data, *(partial(_message, shape) for shape in MESSAGES))


def _notes():
    one = checkpoint()
    yield notes.write_checkpoint(PLAN, one).encode()
    yield notes.write_certificate(PLAN, one).encode()


@target(seeds=_notes, refusals=(CeremonyError, UnicodeDecodeError))
def checkpoint_note(data):
    """Both kinds of note; whoever reads a file refuses what is no UTF-8 before."""
    text, certified = data.decode(), checkpoint()
    try:
        found = notes.read_checkpoint(PLAN, text)
    except CeremonyError:
        found = notes.read_certificate(PLAN, certified, text)
        assert notes.write_certificate(PLAN, found) == text
    else:
        assert notes.write_checkpoint(PLAN, found) == text


def _state(shape, data):
    assert strict.encode(strict.decode(shape, data)) == data


@target(seeds=chosen(*map(_examples, STATES), lambda: [strict.encode(checkpoint())]))
def witness_state(data):
    """What lies in the vault, and checkpoints as they are kept and sent."""
    one_of(data, *(partial(_state, shape) for shape in (*STATES, notes.Checkpoint)))


def _entry_files():
    yield strict.encode([[]])
    yield strict.encode([envelopes()[:3]])


@target(seeds=_entry_files)
def entries_file(data):
    assert strict.encode([list(export.parse_entries(data))]) == data


class _LogBytes(LogFile):
    """A copy of the log whose file is in memory."""

    def __init__(self, data):
        self._path = Path("log")
        self._file = _Unbuffered(io.BytesIO(data))
        self._offsets, self._end = [], 0


class _Unbuffered:
    def __init__(self, file):
        self.file = file
        self.seek, self.truncate, self.readall = file.seek, file.truncate, file.read


def _log_copies():
    records = [b"E" + envelope for envelope in envelopes()[:3]]
    records.append(b"C" + strict.encode(checkpoint()))
    yield b"".join(len(record).to_bytes(4, "big") + record for record in records)


@target(seeds=_log_copies, refusals=())
def log_copy(data):
    """Damage is cut off, never an error: the copy can be fetched again."""
    copy = _LogBytes(data)
    stored = copy.load()
    kept = copy._file.file.getvalue()
    assert data.startswith(kept)
    again = _LogBytes(kept).load()
    assert (again.entries, again.checkpoint) == (stored.entries, stored.checkpoint)
