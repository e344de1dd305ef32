"""A host that begins with nothing gets the log from the operators, whoever lies to it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from infra.board import wire
from infra.board.log import BoardLog
from infra.coordinator import take_over
from infra.coordinator.take_over import TakeOver
from infra.transport.client import PeerClient
from infra.transport.tls import Identity
from mpc_core.protocol.entries import Address
from tests.support.board import DEPUTY, host_key, key_of, move_request, signed
from tests.support.neighbours import MEMBERS, PLAN, QUICK, checkpoint_over, house

COORDINATOR = "coordinator"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(take_over, "_FIRST_PAUSE", 0.01)


@asynccontextmanager
async def new_host(tmp_path, operators, name=COORDINATOR):
    identity = Identity(name, host_key(name), MEMBERS)
    client = PeerClient(identity, patience=QUICK)
    log = BoardLog.open(f"sqlite:///{tmp_path / 'board'}", PLAN)
    try:
        yield TakeOver(PLAN, name, host_key(name), client, log, ("127.0.0.1", 7000), operators)
    finally:
        log.close()
        await asyncio.to_thread(client.close)


def address_of(home, index):
    place = home.addresses[index]
    entry = Address(0, place.host, place.port)
    return wire.sign_entry(entry, PLAN, index, key_of(index))


def give_log(home, *extra):
    """Let all members hold a certified log that says where they are, and one more entry each."""
    log = [*(address_of(home, index) for index in home.members), *extra]
    for index, member in home.members.items():
        member.replica.receive(0, log)
        member.witness.sign_certificate(checkpoint_over(member.replica, len(log)))
        member.replica.receive(len(log), [signed(50 + index, PLAN, index)])
    return log


def place(home, index):
    return {PLAN.name_of(index): (home.addresses[index].host, home.addresses[index].port)}


async def test_one_address_is_enough_to_get_the_log_and_to_find_the_others(tmp_path):
    async with (
        house(tmp_path, 1, 2, 4, talking=(1,)) as home,
        new_host(tmp_path, place(home, 2)) as host,
    ):
        log = give_log(home, signed(7, PLAN))
        opening = await asyncio.wait_for(host.run(), 60)
        assert opening.epoch == 1
        assert [each.signer for each in opening.statements] == [1, 2, 4]
        assert host.board_log.entries(0, 99) == log
        assert host.board_log.opening() == opening
        assert {member.witness.state.epoch for member in home.members.values()} == {1}


async def test_the_next_epoch_is_one_that_no_operator_has_seen(tmp_path):
    async with (
        house(tmp_path, 1, 2, 3, talking=(1,)) as home,
        new_host(tmp_path, place(home, 1)) as host,
    ):
        give_log(home)
        home.members[3].clock.now += 60
        assert home.members[3].neighbour.move(move_request(PLAN, 6, DEPUTY)).statement
        home.members[3].clock.now += 60
        opening = await asyncio.wait_for(host.run(), 60)
        assert opening.epoch == 7


async def test_a_deputy_takes_over_and_what_the_old_database_held_above_is_posted_again(tmp_path):
    async with (
        house(tmp_path, 1, 2, 3, talking=(1,)) as home,
        new_host(tmp_path, place(home, 1), DEPUTY) as host,
    ):
        log = give_log(home)
        leftover = [signed(80, PLAN), signed(81, PLAN)]
        for data in [*log, *leftover]:
            host.board_log.append(data)
        for member in home.members.values():
            member.clock.now += 60
        opening = await asyncio.wait_for(host.run(), 60)
        assert opening.host == DEPUTY
        assert host.board_log.entries(0, 99) == [*log, *leftover]


async def test_an_operator_that_serves_another_log_is_passed_over(tmp_path):
    async with (
        house(tmp_path, 1, 2, 3, talking=(2,)) as home,
        new_host(tmp_path, place(home, 1) | place(home, 2) | place(home, 3)) as host,
    ):
        log = give_log(home, signed(7, PLAN))
        liar = home.members[1].replica
        liar._keep(0)
        liar.receive(0, [signed(number, PLAN) for number in range(100, 120)])
        opening = await asyncio.wait_for(host.run(), 60)
        assert opening.base.head.size == len(log)
        assert host.board_log.entries(0, 99) == log
