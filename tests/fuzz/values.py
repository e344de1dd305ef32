"""Valid values of every kind, small and always the same: what fuzzing starts from."""

from __future__ import annotations

import hashlib
import types
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from infra.board import notes, wire
from infra.plan import SetupSeed
from infra.plan.sandbox import sandbox_plan
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.entries import STATEMENTS, Entry
from tests.support.board import board_plan, key_of

PLAN = board_plan()
PLAIN = {
    int: (0, 3),
    str: ("", "roots/00"),
    bytes: (b"", hashlib.sha256(b"example").digest()),
    BatchName: (BatchName("N", 0), BatchName("N", 3)),
}
"""An empty and another value of types that have no parts here."""

EPOCH_HEAD = notes.Head(0, 3, hashlib.sha256(b"head").digest())


def example(hint: Any, *, empty: bool = False) -> Any:
    """Return a value of a type that can be encoded; lists have no or two elements."""
    if hint in PLAIN:
        return PLAIN[hint][not empty]
    arguments = get_args(hint)
    if isinstance(hint, types.UnionType):
        return None if empty else example(arguments[0])
    if get_origin(hint) is tuple and arguments[-1] is Ellipsis:
        return () if empty else (example(arguments[0]), example(arguments[0]))
    if get_origin(hint) is tuple:
        return tuple(example(argument, empty=empty) for argument in arguments)
    assert is_dataclass(hint)
    hints = get_type_hints(hint)
    return hint(*(example(hints[field.name], empty=empty) for field in fields(hint)))


def entry_examples() -> list[Entry]:
    """Return two entries of every kind."""
    return [example(kind, empty=empty) for kind in get_args(Entry) for empty in (False, True)]


def envelopes() -> list[bytes]:
    """Return a signed entry of every kind."""
    found = []
    for entry in entry_examples():
        body = wire.body_of(entry)
        signers = (1, 2, 3) if isinstance(entry, STATEMENTS) else (2,)
        parts = [wire.endorse(body, PLAN.hash, at, key_of(at)) for at in signers]
        found.append(wire.assemble(body, parts))
    return found


def checkpoint() -> notes.Checkpoint:
    """Return a checkpoint that counts."""
    return notes.Checkpoint(
        EPOCH_HEAD,
        tuple(notes.sign_head(PLAN, EPOCH_HEAD, at, key_of(at)) for at in (1, 2, 3)),
        tuple(notes.sign_certificate(PLAN, EPOCH_HEAD, at, key_of(at)) for at in (1, 2, 4)),
    )


@cache
def parties():
    """Return a signed plan and everybody's keys."""
    return sandbox_plan(
        operators=4,
        threshold=1,
        parameters="test",
        waiting_seconds=60.0,
        seed=SetupSeed(bytes(16)),
    )


def signed_plan():
    """Return a signed plan."""
    return parties().signed
