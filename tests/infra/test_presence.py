"""What an operator does unasked, in a thread of its own."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from infra.board.copy import MemoryCopy
from infra.board.replica import Replica
from infra.party.log import PartyLog
from infra.party.presence import OverError, Presence
from mpc_core.protocol.errors import CeremonyError
from tests.support.board import board_plan

PLAN = board_plan()


class House:
    """A presence that waits for the log with a lock in its hands, as most steps do."""

    def __init__(self):
        self.over, self.ticked = threading.Event(), threading.Event()
        self.lock = threading.Lock()
        self.failures = []
        self.log = PartyLog(
            PLAN, Replica(PLAN, MemoryCopy()), SimpleNamespace(), submit=None, tick=self.tick
        )
        self.presence = Presence(
            self.log,
            SimpleNamespace(is_aborted=self.wait),
            ("127.0.0.1", 1),
            failed=lambda: self.failures.append("failed"),
            over=self.over,
        )

    def tick(self):
        self.ticked.set()
        if self.over.is_set():
            raise OverError

    def wait(self):
        with self.lock:
            self.log.wait_for(lambda _: None)


def test_what_waits_unasked_gives_up_when_the_process_ends():
    house = House()
    thread = threading.Thread(target=house.presence.run, daemon=True)
    thread.start()
    house.ticked.wait()
    house.over.set()
    with house.lock:
        thread.join()
    assert house.failures == []


def test_what_fails_for_no_reason_that_is_known_ends_the_process():
    house = House()
    house.log.wait_for = None
    with pytest.raises(TypeError):
        house.presence.run()
    assert house.failures == ["failed"]


def test_what_is_cancelled_with_the_connections_ends_without_a_word():
    house = House()

    def cancelled(_):
        house.over.set()
        raise CancelledError

    house.log.wait_for = cancelled
    house.presence.run()
    assert house.failures == []


class Board:
    """A noticeboard on which something is to be said, once."""

    def __init__(self, refusal=None):
        self.told, self.refusal = 0, refusal

    def is_due(self):
        if self.refusal is not None:
            raise self.refusal
        return not self.told

    def tell(self):
        self.told += 1


def test_people_are_told_of_an_abort_after_which_nothing_else_is_done():
    house, board = House(), Board()
    house.presence = replace(
        house.presence, steps=SimpleNamespace(is_aborted=lambda: True), noticeboard=board
    )
    house.log.wait_a_while = lambda _question, _seconds: house.over.set()
    house.presence.run()
    assert (board.told, house.failures) == (1, [])


def test_a_desk_that_is_out_of_reach_keeps_nothing_else_from_being_done():
    house, done = House(), []
    away = CeremonyError("RF-STORE-001", "the bucket is away")
    board = Board(away)
    house.presence = replace(house.presence, noticeboard=board)
    tasks = ((board.is_due, board.tell), (lambda: not done, lambda: done.append("due")))
    steps = SimpleNamespace(
        is_aborted=lambda: False,
        seat=SimpleNamespace(is_out=lambda: False),
        operator=SimpleNamespace(index=1),
    )
    presence = replace(house.presence, steps=steps)
    with (
        patch.object(Presence, "_tasks", lambda _: tasks),
        patch.object(Presence, "_is_excluded", lambda _: False),
        pytest.raises(CeremonyError, match="RF-STORE-001"),
    ):
        presence.once()
    assert done == ["due"]
