"""`ringforge operator run`: the process of one operator.

It serves its outbox, follows and co-signs the log, works on orders from its two task queues, and
catches up by itself after an absence. Everything it rests on lies in its home; killing it at any
moment loses nothing but time.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from aiohttp import web
from temporalio import activity
from temporalio.worker import Worker

from activities.arithmetic import KnownValues
from activities.operator import Operator
from activities.orders import OperatorActivities
from activities.steps import Steps
from infra.board import wire
from infra.board.client import WitnessLoop
from infra.board.copy import LogFile
from infra.board.replica import Replica
from infra.board.witness import Witness
from infra.estimate.preflight import check_operator, room_at
from infra.governance.waiting import complete_signatures
from infra.homes import Home
from infra.party.attesting import Documents, operator_identity
from infra.party.clock import party_clock
from infra.party.clock_notes import ClockNotes
from infra.party.clocks import Clocks
from infra.party.freshness import TAKEN_BACK, Freshness, Memory
from infra.party.gossip_pool import EntryPool
from infra.party.gossip_wiring import gossiper_of
from infra.party.host import HostLine, address_of
from infra.party.kernels import load_kernels
from infra.party.log import PartyLog
from infra.party.neighbour import Neighbour
from infra.party.noticeboard import Noticeboard
from infra.party.peers import OWED_BYTES, OWED_PATH, PeerBook, owed_answer
from infra.party.presence import OverError, Presence
from infra.party.queues import operator_queues
from infra.party.recovery import Helper
from infra.party.rules import layout_of, party_state
from infra.party.seat import readmit, take_seat
from infra.party.temporal_line import line_of
from infra.party.vault import open_vault
from infra.plan import load_signed_plan
from infra.report.metrics import MetricsRecorder
from infra.shared import SharedOpenings
from infra.stores import BlobStore
from infra.sums import FileSums, batches_at_a_time
from infra.telemetry import configure_logging
from infra.temporal.client import connect
from infra.temporal.codec import converter_for
from infra.temporal.version import activities_only
from infra.transport.bodies import read_body
from infra.transport.client import Patience, PeerClient
from infra.transport.ledger import SentLedger
from infra.transport.outbox import Outbox, make_app, serve
from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.exact import degree_for
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from temporalio.envconfig import ClientConnectConfig

    from infra.network.places import Reach
    from infra.party.vault import Vault
    from mpc_core.protocol.plan import Plan

__all__ = ["run_operator"]

_CONTROL_THREADS = 4
_log = structlog.get_logger()


def run_operator(
    home: Path,
    temporal: str,
    board: str | None,
    reach: Reach,
    *,
    shared_openings: Path | None = None,
    insecure_clock_offset: Path | None = None,
    insecure_lie: str = "",
    insecure_local_kms: str | None = None,
    namespace: str | None = None,
    rejoin: bool = False,
) -> int:
    """Run the operator of this home until it is stopped.

    Args:
        home: its folder, with the signed plan, vault/ and work/.
        temporal: address of the Temporal server.
        board: address of the log, host:port; None to wait for a host that takes it over.
        reach: how the operator and the others reach each other.
        shared_openings: where parties on this machine keep opened values once.
        insecure_clock_offset: file with the seconds by which a drill moves this party's clock.
        insecure_lie: the lie that this operator of a drill tells, "" for none.
        insecure_local_kms: URL of a sandbox's key service, for a vault that is sealed there.
        namespace: of Temporal, in which its task queues are; by default that of the settings.
        rejoin: whether its people say that it lost its vault, but for the identity key.

    Raises:
        CeremonyError: when the home, the plan or an address cannot be used; RF-RECOVER-009 when
            the vault is not whole and `rejoin` is not said; RF-STORE-004 when it is sealed and not
            the newest.
    """
    place = Home(
        home.resolve(),
        shared_openings,
        insecure_clock_offset,
        insecure_lie=insecure_lie,
        insecure_local_kms=insecure_local_kms,
        namespace=namespace,
    )
    place.check()
    configure_logging(place.name)
    with place.locked():
        told = None if board is None else address_of(board)
        try:
            asyncio.run(_serve_operator(place, temporal, told, reach, rejoin=rejoin))
        except CeremonyError as error:
            if not rejoin or error.code != TAKEN_BACK:
                raise
            # Its people know: what is left of the vault counts as lost, like a disk.
            _begin_again(place)
            asyncio.run(_serve_operator(place, temporal, told, reach, rejoin=rejoin))
    return 0


def _begin_again(home: Home) -> None:
    sealed = open_vault(home, load_signed_plan(home.path).plan, rejoin=True).sealed
    assert sealed is not None, "only what is sealed can be taken back"
    sealed.begin_again()


@dataclass(frozen=True, slots=True)
class _Seat:
    """An operator's place in a ceremony: plan, index, vault, and its way to Temporal."""

    plan: Plan
    toml: bytes
    index: int
    vault: Vault
    namespace: str | None
    line: ClientConnectConfig | None

    @classmethod
    def of(cls, home: Home, temporal: str, *, rejoin: bool) -> _Seat:
        signed = load_signed_plan(home.path)
        plan = signed.plan
        found = [operator for operator in plan.operators if operator.name == home.name]
        if not found:
            raise CeremonyError(
                "RF-RUN-011",
                "the plan names no operator with the name of this home",
                expected="one of " + ", ".join(operator.name for operator in plan.operators),
                found=home.name,
                effect="nothing was started",
                next_step="name the folder as the plan names the operator",
                runbook="an-operator-is-down",
            )
        vault = open_vault(home, plan, rejoin=rejoin)
        line = line_of(home, plan, vault.identity.ed25519, temporal)
        return cls(plan, signed.toml, found[0].index, vault, home.namespace, line)

    def random(self, label: str, length: int) -> bytes:
        """Return fresh random bytes, or those of the insecure setup seed that the plan names."""
        if self.vault.seed is None:
            return secrets.token_bytes(length)
        return self.vault.seed.derive(label, length)


class _Assembly:
    """The parts of an operator's process, wired together."""

    def __init__(self, home: Home, seat: _Seat, board: tuple[str, int] | None, ranges: int) -> None:
        plan = seat.plan
        load_kernels(degree_for(plan.count))
        vault, key = seat.vault, seat.vault.identity.ed25519
        layout = layout_of(plan)
        check_operator(plan, layout, home, room_at(home.work))
        self.plan, self.seat = plan, seat
        self.over = threading.Event()
        self.meter = MetricsRecorder(home.metrics_file, home.name)
        self.ledger = _StageLedger(home.sent_file, self.meter.sent)
        self.identity = operator_identity(home, plan, key)
        self.client = PeerClient(
            self.identity, patience=Patience(ranges=ranges), ledger=self.ledger
        )
        clocks = Clocks(plan, home.name, ClockNotes(home.clocks_file).take)
        self.client.heard = clocks.heard
        if self.identity.attestation is not None:
            self.identity.attestation.signed = clocks.signed
        self.outbox = Outbox(home.outbox, self.ledger)
        blobs = BlobStore(self.outbox, plan.layout.leaf_bytes, self._wake, SharedOpenings.of(home))
        blobs.sweep()
        known = KnownValues(plan.hash, vault.work)
        self.replica = Replica(plan, LogFile(home.log_copy))
        self.witness = Witness(
            self.replica, seat.index, key, vault.witness, confirmed=vault.sealed is None
        )
        self.line = HostLine(
            self.client, plan.limits.entry_bytes, board, lambda: self.witness.host, plan.hosts
        )
        clock = party_clock(plan, home.insecure_clock_offset)
        pool = EntryPool(self.replica, clock, seat.index)
        self.log = PartyLog(
            plan,
            self.replica,
            party_state(plan, layout, known),
            submit=lambda envelope: self.client.loop.run(self.line.submit(envelope), self._live),
            tick=self._beat,
            signer=(seat.index, key),
            clock=clock,
            pool=pool,
        )
        self.documents = Documents(plan, seat.index, self.identity, self.log)
        desk = vault.desk
        self.noticeboard = None if desk is None else Noticeboard(desk, plan, key, self.log)
        self.loop = WitnessLoop(self.replica, self.line, self.witness)
        self.neighbour = Neighbour(self.witness, self.loop, self.line, self.log, clock)
        self.gossiper = gossiper_of(
            home, self.client, self.log, loop=self.loop, witness=self.witness, pool=pool
        )
        operator = Operator(
            plan=plan,
            index=seat.index,
            parameters=lookup(plan.parameters),
            layout=layout,
            log=self.log,
            known=known,
            blobs=blobs,
            peers=PeerBook(
                plan, self.client, blobs, self.log, self.line.peer, self._live, self.meter.received
            ),
            vault=vault.store,
            work=vault.work,
            cache=FileSums(home.sums, batches_at_a_time(plan)),
            random=seat.random,
        )
        self.steps = Steps.of(operator, self.meter)
        if home.insecure_lie:
            from infra.drill.lying_process import insecurely_lying  # noqa: PLC0415 - drills only

            self.steps = insecurely_lying(self.steps, home.insecure_lie)

    def _wake(self) -> None:
        self.log.wake()

    def _live(self) -> None:
        """Go on: a cancelled step ends here, and so does what nobody ordered when all ends.

        A thread that waited on would keep others from ending that need what it holds.
        """
        if activity.in_activity():
            activity.heartbeat()
        elif self.over.is_set():
            raise OverError

    def _beat(self) -> None:
        self._live()
        self.loop.check_disk()

    def activities(self) -> OperatorActivities:
        """Return the activities that its worker offers."""
        return OperatorActivities(
            steps=self.steps,
            open_order=self._open_order,
            read_statement=wire.entry_of,
            sign=self.log.endorse,
        )

    def _open_order(self, data: bytes) -> bytes:
        """Check an order: by the coordinator, or by a deputy that has hosted an epoch."""
        deputies = (self.plan.hosts[name] for name in self.witness.state.hosts)
        return wire.open_order(data, self.plan.hash, self.plan.coordinator_key, *deputies)

    async def owed(self, request: web.Request) -> web.Response:
        """Answer a direct call for the entries that a summons lists."""
        return web.Response(
            body=owed_answer(await read_body(request, OWED_BYTES), self.log.posted())
        )


class _StageLedger(SentLedger):
    """Counts sent bytes, and charges them to the stage that the label names."""

    def __init__(self, path: Path, charge: Callable[[str, int], None]) -> None:
        super().__init__(path)
        self._charge = charge

    def add(self, requester: str, label: str, count: int) -> None:
        """Count bytes sent to a member under a label."""
        super().add(requester, label, count)
        self._charge(label, count)


async def _serve_operator(
    home: Home, temporal: str, board: tuple[str, int] | None, reach: Reach, *, rejoin: bool
) -> None:
    await complete_signatures(home, temporal)
    seat = await asyncio.to_thread(_Seat.of, home, temporal, rejoin=rejoin)
    parts = await asyncio.to_thread(_Assembly, home, seat, board, reach.ranges)
    take_seat(parts.steps, parts.witness, rejoin=rejoin)
    parts.documents.bind_kem_key(parts.steps)
    loop = asyncio.get_running_loop()
    app = make_app(parts.identity, parts.outbox)
    app.router.add_post(OWED_PATH, parts.owed)
    app.router.add_routes(parts.neighbour.routes())
    app.router.add_routes(parts.gossiper.routes())
    memory = Memory(parts.plan, parts.witness, parts.loop, parts.identity.report)
    app.router.add_routes(memory.routes())
    app.router.add_routes(Helper(parts.plan, parts.steps, parts.log).routes())
    async with AsyncExitStack() as stack:
        stack.callback(parts.ledger.save)
        stack.callback(parts.client.close)
        stack.callback(parts.meter.save)
        port = await stack.enter_async_context(serve(app, parts.identity, host=reach.listen))
        following = asyncio.create_task(parts.loop.run())
        stack.callback(following.cancel)
        print(json.dumps({"event": "ready", "port": port}), flush=True)  # noqa: T201 - events
        address = (reach.listen, port)
        if not parts.witness.may_sign and not parts.witness.is_lost:
            question = Freshness(parts.client, parts.log, parts.witness, address, memory.places)
            await question.confirm()
            parts.loop.ask_again()
        parts.gossiper.start()
        stack.callback(parts.gossiper.stop)
        presence = Presence(
            parts.log,
            parts.steps,
            address,
            failed=lambda: _stop_soon(loop, following),
            readmit=lambda: readmit(parts.witness, parts.plan),
            documents=parts.documents,
            noticeboard=parts.noticeboard,
            over=parts.over,
        )
        threading.Thread(target=presence.run, name="presence", daemon=True).start()
        try:
            await _work(parts, temporal, stack)
            await asyncio.wait([following])
        finally:
            parts.over.set()
        following.result()


def _stop_soon(loop: asyncio.AbstractEventLoop, following: asyncio.Task[None]) -> None:
    """End the process from another thread, by ending what it waits for."""
    loop.call_soon_threadsafe(following.cancel)


async def _work(parts: _Assembly, temporal: str, stack: AsyncExitStack) -> None:
    """Start the workers of both queues; they run until the stack is left."""
    queues = operator_queues(parts.plan, parts.seat.index)
    client = await connect(
        temporal,
        identity=queues.name,
        converter=converter_for(parts.seat.toml),
        namespace=parts.seat.namespace,
        settings=parts.seat.line,
        insecure_clear=parts.plan.sandbox,
    )
    offered = parts.activities()
    version = activities_only(queues.name)
    compute = ThreadPoolExecutor(parts.plan.layout.batches_in_flight, thread_name_prefix="compute")
    control = ThreadPoolExecutor(_CONTROL_THREADS, thread_name_prefix="control")
    await stack.enter_async_context(
        Worker(
            client,
            task_queue=queues.compute,
            activities=[offered.share, offered.decode, offered.answer, offered.step],
            activity_executor=compute,
            max_concurrent_activities=parts.plan.layout.batches_in_flight,
            deployment_config=version,
        )
    )
    await stack.enter_async_context(
        Worker(
            client,
            task_queue=queues.control,
            activities=[offered.endorse],
            activity_executor=control,
            max_concurrent_activities=_CONTROL_THREADS,
            deployment_config=version,
        )
    )
