"""Stores of objects for tests: one in memory, whose keeper may do with it what it likes."""

from __future__ import annotations

import hashlib

from infra.objects.port import Found
from infra.objects.refusals import somebody_else_writes, store_error


class HostileObjects:
    """Keeps every state that it was ever in, and shows what it is told to."""

    def __init__(self):
        self.kept: dict[str, bytes] = {}
        self.history: list[dict[str, bytes]] = [{}]
        self.away = False
        self.loses_the_next_answer = False

    def get(self, key):
        self._answer()
        data = self.kept.get(key)
        return None if data is None else Found(data, _tag(data))

    def put(self, key, data, replaces):
        self._answer()
        there = self.kept.get(key)
        if (None if there is None else _tag(there)) != replaces:
            raise somebody_else_writes(key)
        self.kept[key] = data
        self.history.append(dict(self.kept))
        if self.loses_the_next_answer:
            self.loses_the_next_answer = False
            raise _away()
        return _tag(data)

    def delete(self, key):
        self._answer()
        self.kept.pop(key, None)

    def keys(self):
        self._answer()
        return tuple(sorted(self.kept))

    def take_back(self, moment):
        """Show the objects of an earlier moment, with all that was deleted since."""
        self.kept = {**self.kept, **self.history[moment]}

    @property
    def now(self):
        return len(self.history) - 1

    def _answer(self):
        if self.away:
            raise _away()


def _away():
    return store_error("RF-STORE-001", "the store is away", "an answer", "none", "wait")


def _tag(data):
    return hashlib.sha256(data).hexdigest()
