"""Entries that members may sign, folded in any order into a ceremony at any point."""

from __future__ import annotations

import copy
import dataclasses
from functools import cache
from itertools import islice

from infra.board import wire
from mpc_core.protocol.entries import STATEMENTS, LogEntry
from mpc_core.protocol.errors import CeremonyError
from tests.fuzz.registry import chosen, one_of, target
from tests.fuzz.values import entry_examples
from tests.support.ledger import Ledger, digest

NOBODY, LENGTH_BYTES = 0, 2
FOLLOWING = 6
MOST_ENTRIES = 32


def _steps(ledger):
    """Run a ceremony in which somebody lies in the end; stop where something new is possible."""
    yield
    ledger.kem_keys()
    yield
    ledger.set_up_rest()
    yield
    ledger.share(("N", 0))
    yield
    ledger.decode(("N", 0))
    ledger.vouch(("N", 0))
    yield
    ledger.reply(("N", 0), (1, 2))
    yield
    ledger.reply(("N", 0), (3, 4))
    ledger.open(("S", 0))
    yield
    ledger.share(("N", 1))
    ledger.decode(("N", 1), v="forged")
    ledger.vouch(("N", 1), v="forged")
    ledger.reply(("N", 1), (1, 2, 3))
    yield
    ledger.close_refuted(("N", 1))
    ledger.decode(("N", 1), operators=(1, 2, 3))
    for act in (ledger.vouch, ledger.reply):
        act(("N", 1))
    ledger.reply(("N", 1), (4,), round_number=0)
    yield
    ledger.share(("M", 0))
    ledger.decode(("M", 0))
    ledger.vouch(("M", 0))
    ledger.reply(("M", 0), (1, 2, 3))
    yield
    ledger.reply(("M", 0), (4,))
    ledger.seal()
    yield
    ledger.open(("O", 0))
    yield


class _Ledger(Ledger):
    def set_up_rest(self):
        self.kem_keys = lambda: None
        self.set_up()


@cache
def _ceremonies():
    """Return the ledger at each of the steps, and the entries of the whole ceremony."""
    ledger = _Ledger()
    found = [copy.deepcopy((ledger.state, len(ledger.entries))) for _ in _steps(ledger)]
    return found, ledger.entries


def _record(log):
    author = log.signers[0] if len(log.signers) == 1 else NOBODY
    body = wire.body_of(log.entry)
    return bytes([author]) + len(body).to_bytes(LENGTH_BYTES, "big") + body


def _logs():
    states, entries = _ceremonies()
    for number, (_, position) in enumerate(states):
        following = entries[position : position + FOLLOWING]
        yield bytes([number]) + b"".join(map(_record, following))


def _records(data):
    at = 0
    while at < len(data):
        author, start = data[at], at + 1 + LENGTH_BYTES
        length = int.from_bytes(data[at + 1 : start], "big")
        yield author, data[start : start + length]
        at = start + length


def _raw_entries(data):
    ledger = _continued(data)
    for author, body in islice(_records(data[1:]), MOST_ENTRIES):
        try:
            entry = wire.entry_of(body)
        except CeremonyError:
            continue
        ledger.post_as(author, entry)
    ledger.look()


def _edits():
    states, entries = _ceremonies()
    for number, (_, position) in enumerate(states):
        following = range(position, min(position + FOLLOWING, len(entries)))
        plain = (_edit(entries[at].signers[0], at, UNCHANGED, 0) for at in following)
        yield bytes([number]) + b"".join(plain)
        yield bytes([number]) + b"".join(_edit(1, at, 0, at) for at in following)


def _edit(author, entry, field, value):
    return bytes([author]) + entry.to_bytes(2, "big") + bytes([field]) + value.to_bytes(2, "big")


EDIT_BYTES = 6
UNCHANGED = 255


@cache
def _values():
    """Return what a field may get instead of its value, by type: values of others, odd ones."""
    _, entries = _ceremonies()
    templates = [log.entry for log in entries] + entry_examples()
    found = [
        getattr(entry, field.name) for entry in templates for field in dataclasses.fields(entry)
    ]
    found += [b"", b"x", bytes(32), bytes(24), 0, 1, 2, 5, 2**63 - 1, "", "vector", "decoder"]
    found += ["recomputed", "answers/00/0", "round/zz/1", "roots/" + "00" * 32, (), (b"",), (0, 1)]
    by_type = {}
    for value in found:
        by_type.setdefault(_shape(value), []).append(value)
    return by_type


def _shape(value):
    """Return the type of a value as far as the encoding of entries tells types apart."""
    if isinstance(value, tuple):
        return ("tuple", _shape(value[0])) if value else "tuple"
    return type(value)


def _changed(entry, number, value):
    """Return an entry with another value in one field, of a type that decodes."""
    names = [field.name for field in dataclasses.fields(entry)]
    if number == UNCHANGED or not names:
        return entry
    name = names[number % len(names)]
    choices = _values()[_shape(getattr(entry, name))]
    return dataclasses.replace(entry, **{name: choices[value % len(choices)]})


def _edited_entries(data):
    """Entries of a ceremony in another order, by other authors, with fields of one another."""
    _, entries = _ceremonies()
    templates = [log.entry for log in entries] + entry_examples()
    ledger = _continued(data)
    for at in range(1, min(len(data), 1 + EDIT_BYTES * MOST_ENTRIES) - EDIT_BYTES + 1, EDIT_BYTES):
        author, field = data[at], data[at + 3]
        entry = templates[int.from_bytes(data[at + 1 : at + 3], "big") % len(templates)]
        entry = _changed(entry, field, int.from_bytes(data[at + 4 : at + 6], "big"))
        ledger.post_as(author, entry)
    ledger.look()


@target(seeds=chosen(_logs, _edits), refusals=())
def log(data):
    """Entries are void or count; none of them makes the rules fail, then or later."""
    one_of(data, _raw_entries, _edited_entries)


def _continued(data):
    """Return the ledger at the step that the first byte chooses."""
    states, _ = _ceremonies()
    state, position = states[(data[0] if data else 0) % len(states)]
    return _Continued(copy.deepcopy(state), position)


class _Continued(Ledger):
    """A log that goes on from a state."""

    def __init__(self, state, position):
        self.state, self.position = state, position
        self.quorum, self.root_now = state.quorum, bytes(32)

    def post(self, signers, entry):
        leaf = digest(signers, entry)
        self.root_now = digest(self.root_now, leaf)
        self.state.apply(LogEntry(self.position, signers, entry, leaf, self.root_now))
        self.position += 1

    def post_as(self, author, entry):
        """Post a message of this author, or a statement of everybody."""
        everyone = tuple(self.quorum.everyone)
        is_statement = isinstance(entry, STATEMENTS)
        self.post(everyone if is_statement else (author % len(everyone) + 1,), entry)

    def look(self):
        """Ask for everything that others read off the state."""
        for key in self.state._layout:
            self.state.status(key)
            self.state.opening(key)
        for operator in self.quorum.everyone:
            self.state.owed(operator)
        assert self.state.members.losses <= self.quorum.threshold
        _ = (self.state.health, self.state.sealed, self.state.contradictions)
