"""Where an operator looks for the board's host."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from infra.board.messages import SyncRequest
from infra.board.moves import MoveRequest
from infra.party.host import HostLine
from mpc_core.protocol.errors import CeremonyError
from tests.support.board import DEPUTY

TOLD = ("10.0.0.1", 1)
MOVED = MoveRequest(1, DEPUTY, "10.0.0.2", 2)
LATER = MoveRequest(2, "coordinator", "10.0.0.3", 3)


class Client:
    """Nobody answers anywhere."""

    def __init__(self):
        self.called = []

    def peer(self, name, host, port):
        async def arequest(*_, **__):
            self.called.append((name, host, port))
            raise CeremonyError("RF-PEER-007", f"{name} cannot be reached")

        return SimpleNamespace(name=name, host=host, port=port, arequest=arequest)


def ask(line):
    with pytest.raises(CeremonyError):
        asyncio.run(line.sync(SyncRequest(0, 0, 0)))


def test_an_operator_calls_where_it_was_told_first_and_then_where_the_log_moved():
    client = Client()
    line = HostLine(client, 4096, TOLD, lambda: MOVED)
    for _ in range(3):
        ask(line)
    assert client.called == [(DEPUTY, *TOLD), (DEPUTY, "10.0.0.2", 2), (DEPUTY, *TOLD)]


def test_after_a_move_it_calls_the_new_host_first():
    client, moves = Client(), [MOVED]
    line = HostLine(client, 4096, TOLD, lambda: moves[-1])
    ask(line)
    moves.append(LATER)
    ask(line)
    assert client.called[-1] == ("coordinator", "10.0.0.3", 3)


def test_without_an_address_it_waits_to_be_told():
    with pytest.raises(CeremonyError, match="RF-PEER-018"):
        HostLine(Client(), 4096, None, lambda: None).peer()


def test_who_does_not_know_who_hosts_the_log_tries_everybody_who_may():
    client = Client()
    line = HostLine(client, 4096, TOLD, lambda: None, ("coordinator", DEPUTY))
    for _ in range(3):
        ask(line)
    assert client.called == [("coordinator", *TOLD), (DEPUTY, *TOLD), ("coordinator", *TOLD)]


def test_the_last_host_that_is_known_is_tried_before_others_that_may_be():
    client = Client()
    line = HostLine(client, 4096, TOLD, lambda: MOVED, ("coordinator", DEPUTY))
    for _ in range(3):
        ask(line)
    assert client.called == [(DEPUTY, *TOLD), (DEPUTY, "10.0.0.2", 2), ("coordinator", *TOLD)]
