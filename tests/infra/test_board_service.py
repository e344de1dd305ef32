"""The board with its operators: any n-t of them get every entry covered."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from infra.board.client import HttpTransport, LocalTransport, WitnessLoop
from infra.board.copy import LogFile, MemoryCopy
from infra.board.log import BoardLog
from infra.board.messages import SyncAnswer, SyncRequest, Vote, read_message
from infra.board.notes import Head, sign_head
from infra.board.replica import Replica
from infra.board.service import Board, routes
from infra.board.witness import Witness
from infra.transport.client import PeerClient
from infra.transport.outbox import make_app, serve
from infra.transport.tls import COORDINATOR, Identity, Members
from mpc_core.protocol.entries import Seal
from mpc_core.protocol.errors import CeremonyError
from tests.support.board import board_plan, closing, key_of, signed, statement, vault_at

PLAN = board_plan()


class House:
    """A board with the operators that run; each one's home is a folder."""

    def __init__(self, folder, plan=PLAN, **options):
        self.plan, self.folder, self.options = plan, folder, options
        self.tasks = {}
        self.replicas = {}
        self.open()

    def open(self):
        self.log = BoardLog.open(f"sqlite:///{self.folder / 'board.db'}", self.plan)
        self.board = Board(self.log, self.plan, **self.options)

    def transport(self, index):
        house = self

        class Way:
            async def submit(self, envelope):
                return await LocalTransport(house.board, f"op-{index:02d}").submit(envelope)

            async def sync(self, request):
                return await LocalTransport(house.board, f"op-{index:02d}").sync(request)

        return Way()

    def start(self, index, transport=None):
        home = self.folder / f"op-{index:02d}"
        home.mkdir(exist_ok=True)
        replica = Replica(self.plan, LogFile(home / "log"))
        witness = Witness(replica, index, key_of(index), vault_at(home / "witness"))
        loop = WitnessLoop(replica, transport or self.transport(index), witness)
        self.replicas[index] = replica
        self.tasks[index] = asyncio.create_task(loop.run())
        return loop

    async def stop(self, *indices):
        for index in indices or tuple(self.tasks):
            task = self.tasks.pop(index)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            self.replicas[index].close()

    async def covered(self, size, *indices):
        for index in indices:
            replica = self.replicas[index]
            assert await asyncio.to_thread(replica.wait_for_size, size, 60), index

    async def board_until(self, predicate):
        async with asyncio.timeout(60), self.board._changed:
            await self.board._changed.wait_for(lambda: predicate(self.board))

    async def close(self):
        await self.stop()
        self.log.close()


@asynccontextmanager
async def house_of(folder, *indices, **options):
    house = House(folder, **options)
    for index in indices:
        house.start(index)
    try:
        yield house
    finally:
        await house.close()


async def test_over_a_hundred_entries_are_covered_while_one_operator_is_stopped(tmp_path):
    async with house_of(tmp_path, 1, 2, 3, 4) as house:
        for number in range(60):
            assert await house.board.submit(signed(number, PLAN, 1 + number % 4)) == number
        await house.covered(60, 1, 2, 3, 4)
        await house.stop(3)
        await asyncio.gather(
            *(house.board.submit(signed(number, PLAN, 1 + number % 4)) for number in range(60, 130))
        )
        await house.covered(130, 1, 2, 4)
        assert house.replicas[3].covered_size < 130
        house.start(3)
        await house.covered(130, 3)
        roots = {house.replicas[index].entries()[-1].prefix_root for index in (1, 2, 3, 4)}
        assert roots == {house.log.root(130)}
        assert len(house.replicas[1].entries()) == 130


async def test_without_a_quorum_nothing_counts_and_with_it_everything_goes_on(tmp_path):
    async with house_of(tmp_path, 1, 2) as house:
        await house.board.submit(signed(1, PLAN))
        await house.board.submit(signed(2, PLAN))
        await house.board_until(lambda board: len(board.host.heads) == 2)
        assert house.board.checkpoint is None
        house.start(4)
        await house.covered(2, 1, 2, 4)
        assert house.board.checkpoint.head == Head(0, 2, house.log.root())


async def test_an_operator_that_crashes_between_head_and_certificate_locks_nothing(tmp_path):
    async with house_of(tmp_path, 1, 2) as house:

        class Crashing:
            """Signs one head and is never heard of again."""

            async def submit(self, envelope):
                raise AssertionError

            async def sync(self, request):
                if request.certificate is not None:
                    await asyncio.Event().wait()
                return await house.transport(3).sync(request)

        await house.board.submit(signed(1, PLAN))
        house.start(3, Crashing())
        await house.board_until(lambda board: len(board.host.certificates) == 2)
        assert house.board.checkpoint is None
        house.start(4)
        await house.covered(1, 1, 2, 4)
        await house.stop(3)
        await house.board.submit(signed(2, PLAN))
        await house.covered(2, 1, 2, 4)
        house.start(3)
        await house.covered(2, 3)


async def test_a_host_that_restarts_between_loses_nothing(tmp_path):
    async with house_of(tmp_path, 1, 2, 3) as house:
        await house.board.submit(signed(1, PLAN))
        await house.covered(1, 1, 2, 3)
        await house.stop(2, 3)
        await house.board.submit(signed(2, PLAN))
        await house.board_until(lambda board: 1 in board.host.heads)
        await house.stop(1)
        house.log.close()
        house.open()
        assert house.board.checkpoint.head.size == 1
        await house.board.submit(signed(3, PLAN))
        for index in (1, 2, 3):
            house.start(index)
        await house.covered(3, 1, 2, 3)


async def test_operators_go_on_when_the_host_comes_back(tmp_path):
    async with house_of(tmp_path) as house:
        calls = []

        class Away:
            async def submit(self, envelope):
                raise AssertionError

            async def sync(self, request):
                calls.append(request)
                if len(calls) < 3:
                    raise CeremonyError("RF-PEER-007", "coordinator cannot be reached")
                return await house.transport(1).sync(request)

        loop = house.start(1, Away())
        house.start(2)
        house.start(3)
        await house.board.submit(signed(1, PLAN))
        await house.covered(1, 1, 2, 3)
        assert len(calls) >= 3
        assert loop.trouble is None


async def test_a_checkpoint_takes_two_round_trips_while_entries_arrive(tmp_path):
    async with house_of(tmp_path, 2, 3) as house:
        calls = []

        class Counting:
            """Posts the next entry with each certificate it signs."""

            async def submit(self, envelope):
                raise AssertionError

            async def sync(self, request):
                calls.append(request)
                if request.certificate is not None and house.log.size < 20:
                    await house.board.submit(signed(house.log.size, PLAN))
                return await house.transport(1).sync(request)

        await house.board.submit(signed(0, PLAN))
        house.start(1, Counting())
        await house.covered(20, 1, 2, 3)
        checkpoints = sum(call.certificate is not None for call in calls)
        assert checkpoints == 20
        assert len(calls) <= 2 * checkpoints + 2


async def test_a_fork_gets_no_signature_and_is_reported(tmp_path):
    log = [signed(1, PLAN), signed(2, PLAN)]

    class Forking:
        """Shows one entry, proposes the head of another."""

        async def submit(self, envelope):
            raise AssertionError

        async def sync(self, request):
            assert request.head is None
            return SyncAnswer(request.held, tuple(log[request.held :]), Head(0, 2, bytes(32)))

    async with house_of(tmp_path) as house:
        reported = asyncio.Event()
        loop = house.start(1, Forking())
        loop._report = lambda error: reported.set() if error.code == "RF-LOG-020" else None
        await asyncio.wait_for(reported.wait(), 60)
        assert loop.trouble.code == "RF-LOG-020"
        assert house.replicas[1].held == 2


async def test_a_host_that_withholds_an_entry_gets_no_signature(tmp_path):
    replica = Replica(PLAN, MemoryCopy())
    witness = Witness(replica, 1, key_of(1), vault_at(tmp_path / "witness"))
    loop = WitnessLoop(replica, None, witness)
    with pytest.raises(CeremonyError, match="RF-LOG-022"):
        loop.digest(SyncAnswer(0, (), Head(0, 1, bytes(32))))
    request = loop.digest(SyncAnswer(0, (signed(1, PLAN),), Head(0, 2, bytes(32))))
    assert request == SyncRequest(0, 1, 0)


async def test_a_log_longer_than_one_answer_arrives_in_several(tmp_path, monkeypatch):
    monkeypatch.setattr("infra.board.host.ANSWER_BYTES", 1000)
    async with house_of(tmp_path) as house:
        for number in range(50):
            await house.board.submit(signed(number, PLAN))
        answer = await house.board.sync("op-01", SyncRequest(0, 0, 0))
        assert 0 < sum(map(len, answer.entries)) <= 1000
        for index in (1, 2, 4):
            house.start(index)
        await house.covered(50, 1, 2, 4)


async def test_the_host_counts_no_invalid_signature(tmp_path):
    async with house_of(tmp_path) as house:
        await house.board.submit(signed(1, PLAN))
        proposed = await house.board.sync("op-03", SyncRequest(0, 1, 0))
        head = Head(0, 1, house.log.root())
        assert proposed.proposal == head
        part = sign_head(PLAN, head, 1, key_of(1))
        for member, signature in (
            ("op-02", part.signature),
            ("op-01", sign_head(PLAN, Head(0, 1, bytes(32)), 1, key_of(1)).signature),
        ):
            with pytest.raises(CeremonyError, match="RF-LOG-028"):
                await house.board.sync(member, SyncRequest(0, 1, 0, Vote(1, signature)))
        assert house.board.host.heads == {}


async def test_a_host_that_lost_entries_or_is_of_another_epoch_is_noticed(tmp_path):
    async with house_of(tmp_path) as house:
        with pytest.raises(CeremonyError, match="RF-LOG-022"):
            await house.board.sync("op-01", SyncRequest(0, 1, 0))
        with pytest.raises(CeremonyError, match="RF-LOG-023"):
            await house.board.sync("op-01", SyncRequest(1, 0, 0))


async def test_an_idle_sync_is_answered_empty_when_its_time_is_over(tmp_path):
    async with house_of(tmp_path, poll_seconds=0.01) as house:
        assert await house.board.sync("op-01", SyncRequest(0, 0, 0)) == SyncAnswer(0)


async def test_an_observer_follows_without_signing(tmp_path):
    async with house_of(tmp_path, 1, 2, 3) as house:
        replica = Replica(PLAN, MemoryCopy())
        loop = WitnessLoop(replica, LocalTransport(house.board, COORDINATOR))
        task = asyncio.create_task(loop.run())
        await house.board.submit(closing("contributions", PLAN))
        assert await asyncio.to_thread(replica.wait_for_size, 1, 60)
        task.cancel()
        assert replica.entries()[0].signers == (1, 2, 3)


async def test_a_checkpoint_that_the_disk_refused_is_kept_at_the_next_sync(tmp_path, monkeypatch):
    async with house_of(tmp_path, 1, 2, 3) as house:
        refused = asyncio.Event()
        loop, record = asyncio.get_running_loop(), house.log.record

        def full(checkpoint):
            loop.call_soon_threadsafe(refused.set)
            raise CeremonyError("RF-LOG-010", "the disk is full")

        monkeypatch.setattr(house.log, "record", full)
        submitted = asyncio.create_task(house.board.submit(signed(1, PLAN)))
        await asyncio.wait_for(refused.wait(), 60)
        assert house.board.checkpoint is None
        monkeypatch.setattr(house.log, "record", record)
        await house.covered(1, 1, 2, 3)
        assert await submitted == 0


async def test_a_seal_that_is_drawn_up_is_overtaken_by_no_chatter(tmp_path):
    async with house_of(tmp_path, hold_seconds=600) as house:
        await house.board.submit(signed(0, PLAN))
        chatter = [asyncio.create_task(house.board.submit(signed(1, PLAN)))]
        size = await house.board.hold()
        chatter += [asyncio.create_task(house.board.submit(signed(n, PLAN))) for n in range(2, 9)]
        seal = statement(Seal(size, house.log.root(size)), PLAN, (1, 2, 3))
        assert await house.board.submit(seal) == size
        await asyncio.gather(*chatter)
        assert house.log.size == 10


async def test_without_a_seal_entries_pass_again_after_a_while(tmp_path):
    async with house_of(tmp_path, hold_seconds=0.01) as house:
        assert await house.board.hold() == 0
        assert await house.board.submit(signed(1, PLAN)) == 0
    async with house_of(tmp_path, hold_seconds=600) as house:
        await house.board.hold()
        held = asyncio.create_task(house.board.submit(signed(2, PLAN)))
        house.board.release()
        assert await held == 1


def test_a_message_that_is_none_is_refused():
    with pytest.raises(CeremonyError, match="RF-LOG-041"):
        read_message(SyncRequest, b"\x80")


@pytest.fixture
def members():
    return Members.of_plan(PLAN)


async def test_the_board_works_over_mutual_tls(tmp_path, members):
    async with house_of(tmp_path) as house:
        host = Identity(COORDINATOR, key_of(0), members)
        app = make_app(host)
        app.add_routes(routes(house.board))
        async with serve(app, host) as port:
            clients = [PeerClient(Identity(f"op-0{i}", key_of(i), members)) for i in (1, 2, 3)]
            try:
                ways = [
                    HttpTransport(client.peer(COORDINATOR, "127.0.0.1", port), 4096)
                    for client in clients
                ]
                for index, way in enumerate(ways, 1):
                    house.start(index, way)
                assert await ways[0].submit(signed(1, PLAN, 2)) == 0
                assert await ways[1].submit(signed(1, PLAN, 2)) == 0
                with pytest.raises(CeremonyError) as caught:
                    await ways[0].submit(closing("contributions", PLAN, (1, 2)))
                assert caught.value.code == "RF-LOG-005"
                assert caught.value.expected == "3 of 4 signatures"
                with pytest.raises(CeremonyError, match="RF-LOG-001"):
                    await ways[0].submit(bytes(300_000))
                await house.covered(1, 1, 2, 3)
                with pytest.raises(CeremonyError, match="RF-LOG-023"):
                    await ways[0].sync(SyncRequest(7, 0, 0))
            finally:
                await house.stop()
                # One more round trip: so the connections of the cancelled calls are closed by now.
                assert {await way.submit(signed(1, PLAN, 2)) for way in ways} == {0}
                for client in clients:
                    await asyncio.to_thread(client.close)


async def test_who_waits_for_a_log_that_finds_no_room_on_the_disk_is_told(tmp_path):
    class FullDisk(MemoryCopy):
        """Takes nothing."""

        def add_entries(self, entries):
            if entries:
                raise CeremonyError("RF-DISK-001", "the disk is full")

    async with house_of(tmp_path, 1, 2, 3) as house:
        told = asyncio.Event()
        replica, transport = Replica(PLAN, FullDisk()), LocalTransport(house.board, COORDINATOR)
        loop = WitnessLoop(replica, transport, report=lambda _: told.set())
        loop.check_disk()
        task = asyncio.create_task(loop.run())
        await house.board.submit(closing("contributions", PLAN))
        await asyncio.wait_for(told.wait(), 60)
        with pytest.raises(CeremonyError, match="RF-DISK-001"):
            loop.check_disk()
        task.cancel()
