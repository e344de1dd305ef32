"""An operator whose process does not run posts one entry, over a connection that proves it."""

from __future__ import annotations

import pytest

from infra.board import wire
from infra.board.log import BoardLog
from infra.board.service import Board, routes
from infra.homes import Home
from infra.party.posting import post_once
from infra.transport.outbox import make_app
from mpc_core.protocol.entries import Destruction
from mpc_core.protocol.errors import CeremonyError
from tests.support.board import board_plan, key_of
from tests.support.transport import QUICK, World, serving

PLAN = board_plan()
ENTRY = Destruction("arn", (bytes(32),), 7, 0)
ENVELOPE = wire.sign_entry(ENTRY, PLAN, 2, key_of(2))


@pytest.fixture
def board(tmp_path):
    """The log of the plan's coordinator, served; the log and its port."""
    log = BoardLog.open(f"sqlite:///{tmp_path / 'board.sqlite'}", PLAN)
    keys = {each.name: key_of(each.index) for each in PLAN.operators} | {"coordinator": key_of(0)}
    host = World(keys).identity("coordinator")
    app = make_app(host)
    app.add_routes(routes(Board(log, PLAN)))
    with serving(app, host) as port:
        yield log, f"127.0.0.1:{port}"


def test_one_entry_comes_to_stand_on_the_log(board, tmp_path):
    log, place = board
    post_once(Home(tmp_path / "op-02"), PLAN, key_of(2), place, ENVELOPE)
    assert log.entries(0, 1) == [ENVELOPE]


def test_what_the_host_refuses_is_told(board, tmp_path):
    _, place = board
    with pytest.raises(CeremonyError, match="RF-LOG-002"):
        post_once(Home(tmp_path / "op-02"), PLAN, key_of(2), place, b"no entry")


def test_nobody_else_posts_in_an_operators_name(board, tmp_path):
    log, place = board
    with pytest.raises(CeremonyError, match="RF-PEER"):
        post_once(Home(tmp_path / "op-02"), PLAN, key_of(3), place, ENVELOPE, patience=QUICK)
    assert log.size == 0


def test_an_address_that_is_none_is_refused(tmp_path):
    with pytest.raises(CeremonyError, match="RF-RUN-010"):
        post_once(Home(tmp_path / "op-02"), PLAN, key_of(2), "nowhere", ENVELOPE)
