"""Operators' logs, gossip and neighbourhood over pinned TLS, without a ceremony."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from queue import SimpleQueue
from types import SimpleNamespace

from infra.board.client import WitnessLoop
from infra.board.copy import MemoryCopy
from infra.board.equivocation import HeadWatch
from infra.board.notes import Checkpoint, Head, sign_certificate, sign_head
from infra.board.replica import Replica
from infra.board.witness import Witness
from infra.party.gossip import Gossiper
from infra.party.gossip_pool import EntryPool
from infra.party.host import HostLine
from infra.party.log import PartyLog
from infra.party.neighbour import Neighbour
from infra.transport.client import Patience, PeerClient
from infra.transport.outbox import make_app, serve
from infra.transport.tls import Identity, Members
from mpc_core.protocol.errors import CeremonyError
from tests.support.board import board_plan, key_of, vault_at

PLAN = board_plan()
MEMBERS = Members.of_plan(PLAN)
QUICK = Patience(connect_seconds=2, silence_seconds=2, attempts=1)


def checkpoint_over(replica, size, epoch=0):
    head = Head(epoch, size, replica.root(size))
    return Checkpoint(
        head,
        tuple(sign_head(PLAN, head, at, key_of(at)) for at in (2, 3, 4)),
        tuple(sign_certificate(PLAN, head, at, key_of(at)) for at in (2, 3, 4)),
    )


class Listening(EntryPool):
    """Tells when something has arrived."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.arrived = SimpleQueue()

    def receive(self, sender, envelopes):
        super().receive(sender, envelopes)
        for envelope in envelopes:
            self.arrived.put(envelope)

    async def next(self):
        return await asyncio.to_thread(self.arrived.get, timeout=60)


class Member:
    """An operator's log, gossip and neighbourhood, without a ceremony."""

    def __init__(self, index, folder, addresses):
        self.index, self.name = index, PLAN.name_of(index)
        self.clock = SimpleNamespace(now=0.0)
        self.replica = Replica(PLAN, MemoryCopy())
        self.witness = Witness(
            self.replica, index, key_of(index), vault_at(folder / f"witness-{index}")
        )
        self.client = PeerClient(Identity(self.name, key_of(index), MEMBERS), patience=QUICK)
        self.submitted, self.refusal = [], None
        self.offered = threading.Event()
        self.pool = Listening(self.replica, lambda: self.clock.now, index)
        self.log = PartyLog(
            PLAN,
            self.replica,
            SimpleNamespace(apply=lambda _: None, addresses=addresses),
            submit=self.submit,
            tick=lambda: None,
            signer=(index, key_of(index)),
            clock=lambda: self.clock.now,
            pool=self.pool,
        )
        self.line = HostLine(self.client, 4096, None, lambda: self.witness.host)
        self.loop = WitnessLoop(self.replica, self.line, self.witness)
        self.caught = []
        self.told = threading.Event()
        watch = HeadWatch(self.replica, self.catch)
        self.gossiper = Gossiper(
            self.client,
            self.log,
            loop=self.loop,
            witness=self.witness,
            pool=self.pool,
            watch=watch,
        )
        self.neighbour = Neighbour(
            self.witness, self.loop, self.line, self.log, lambda: self.clock.now
        )

    def catch(self, signer, evidence):
        self.caught.append((signer, evidence))
        self.told.set()

    def submit(self, envelope):
        self.submitted.append(envelope)
        self.offered.set()
        if self.refusal:
            raise CeremonyError(self.refusal, "the host refuses")
        return len(self.submitted)

    def routes(self):
        return [*self.neighbour.routes(), *self.gossiper.routes()]


@asynccontextmanager
async def house(folder, *indices, talking=()):
    """Operators that serve each other; those in `talking` also talk."""
    addresses = {}
    async with AsyncExitStack() as stack:
        members = {}
        for index in indices:
            member = members[index] = Member(index, folder, addresses)
            stack.push_async_callback(asyncio.to_thread, member.client.close)
            identity = Identity(member.name, key_of(index), MEMBERS)
            app = make_app(identity)
            app.add_routes(member.routes())
            port = await stack.enter_async_context(serve(app, identity))
            addresses[index] = SimpleNamespace(host="127.0.0.1", port=port)
        for index in talking or indices:
            members[index].gossiper.start()
            stack.callback(members[index].gossiper.stop)
        yield SimpleNamespace(members=members, addresses=addresses)
