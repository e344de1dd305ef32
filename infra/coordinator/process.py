"""`ringforge coordinator run`: hosts the log, runs the workflows, publishes the result.

After the announcement it can be started once more for each ciphertext list that is to be decrypted.

The coordinator can delay a ceremony and nothing else: operators follow the co-signed log and the
signed plan, whatever it orders.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.arithmetic import KnownValues
from activities.work.phases import list_for
from infra.board import wire
from infra.board.client import LocalTransport, WitnessLoop
from infra.board.copy import MemoryCopy
from infra.board.log import BoardLog
from infra.board.replica import Replica
from infra.board.service import Board, routes
from infra.coordinator.activities import ABORTED, CoordinatorActivities
from infra.coordinator.attendance import Attendance
from infra.coordinator.keyset import KeySetBuilder, keeps_from_now_on
from infra.coordinator.namespaces import Abroad
from infra.coordinator.openings import Openings
from infra.coordinator.progress import Progress, say
from infra.coordinator.signatures import SignatureActivities, gather
from infra.coordinator.take_over import seat_of
from infra.coordinator.take_over import take_over as take_over_log
from infra.coordinator.thieves import STOLEN, Thieves
from infra.coordinator.troubles import Trouble, Troubles
from infra.coordinator.workflows import (
    NOWHERE_ELSE,
    WORKFLOWS,
    ceremony_input,
    start_ceremony,
)
from infra.governance.waiting import ceremony_handle, hand_in
from infra.homes import Home
from infra.party.attesting import host_attestation
from infra.party.clock import party_clock
from infra.party.kernels import load_kernels
from infra.party.log import PartyLog
from infra.party.peers import PeerBook
from infra.party.queues import ceremony_workflow, coordinator_queue, owners_of
from infra.party.rules import layout_of, party_state
from infra.plan import load_signed_plan
from infra.plan.signing import PLAN_FILE, read_signatures
from infra.report.metrics import MetricsRecorder
from infra.shared import SharedOpenings
from infra.stores import BlobStore, FileStore
from infra.telemetry import configure_logging
from infra.temporal.client import connect, patiently
from infra.temporal.codec import converter_for
from infra.temporal.version import make_current, pinned, require_same_version
from infra.transport.client import Patience, PeerClient
from infra.transport.ledger import SentLedger
from infra.transport.outbox import Outbox, make_app, serve
from infra.transport.tls import Identity, Members
from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.exact import degree_for
from mpc_core.tfhe.parameters import lookup
from workflows.contracts import CeremonyResult, DecryptionInput
from workflows.decryption import DecryptionWorkflow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from temporalio.client import Client

    from infra.network.places import Reach
    from infra.publish import Keeps
    from mpc_core.protocol.plan import Plan

__all__ = ["WORKFLOWS", "Coordinator", "ceremony_input", "run_coordinator"]

_OTHER_ACTIVITIES = 16
"""Threads for what is not a look at a batch: statements, and looks at setup and seal."""


def run_coordinator(
    home: Path,
    temporal: str,
    reach: Reach,
    ciphertext: bytes = b"",
    *,
    keep_openings: bool = False,
    shared_openings: Path | None = None,
    insecure_clock_offset: Path | None = None,
    take_over: Mapping[str, tuple[str, int]] | None = None,
    database: str | None = None,
    namespaces: Mapping[str, str] = NOWHERE_ELSE,
) -> int:
    """Run the coordinator of this home until the key set is announced and published.

    Args:
        home: its folder, with the signed plan, vault/ and work/.
        temporal: address of the Temporal server.
        reach: how the operators and the coordinator reach each other.
        ciphertext: Merkle root of a list in its outbox, to have that decrypted instead.
        keep_openings: whether the transcript keeps every opened value; said once, it holds.
        shared_openings: where parties on this machine keep opened values once.
        insecure_clock_offset: file with the seconds by which a drill moves this party's clock.
        take_over: addresses of operators by name, to have the log moved here first.
        database: URL of the log's database, by default a file in the home.
        namespaces: of Temporal, of operators that have one of their own, by their names.

    Raises:
        CeremonyError: when the home or the plan cannot be used, or the ceremony stopped.
    """
    place = Home(home.resolve(), shared_openings, insecure_clock_offset, database)
    if take_over is not None and place.vault.is_dir():
        place.make()
    place.check()
    configure_logging(place.name)
    with place.locked():
        keeps = keeps_from_now_on(place, all_of_them=keep_openings)
        if take_over is not None:
            reach = asyncio.run(take_over_log(place, reach, take_over))
        asyncio.run(
            _conduct(place, temporal, reach, ciphertext, keeps=keeps, namespaces=namespaces)
        )
    return 0


def _soon(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(act)


def _heartbeat() -> None:
    if activity.in_activity():
        activity.heartbeat()


@dataclass
class Coordinator:
    """The parts of a coordinator's process, wired together on its event loop."""

    plan: Plan
    board: Board
    board_log: BoardLog
    client: PeerClient
    ledger: SentLedger
    outbox: Outbox
    blobs: BlobStore
    identity: Identity
    log: PartyLog
    replica: Replica
    transport: LocalTransport
    openings: Openings
    activities: CoordinatorActivities
    progress: Progress
    attendance: Attendance
    meter: MetricsRecorder
    reach: Reach
    signatures: Mapping[str, bytes]
    thefts_file: Path

    @classmethod
    async def of(cls, home: Home, reach: Reach, ciphertext: bytes, keeps: Keeps) -> Coordinator:
        """Wire the coordinator of a home, to create a key set or to decrypt this list."""
        signed = load_signed_plan(home.path)
        plan = signed.plan
        name, key = seat_of(home, plan)
        load_kernels(degree_for(plan.count))
        layout = layout_of(plan)
        board_log = BoardLog.open(home.board, plan)
        board = Board(board_log, plan)
        meter = MetricsRecorder(home.metrics_file, name)
        ledger = SentLedger(home.sent_file)
        identity = Identity(name, key, Members.of_plan(plan), attestation=host_attestation(plan))
        client = PeerClient(identity, patience=Patience(ranges=reach.ranges), ledger=ledger)
        outbox = Outbox(home.outbox, ledger)
        blobs = BlobStore(outbox, plan.layout.leaf_bytes, shared=SharedOpenings.of(home))
        blobs.sweep()
        known = KnownValues(plan.hash, FileStore(home.work / "steps"))
        replica = Replica(plan, MemoryCopy())
        transport = LocalTransport(board, name)
        loop = asyncio.get_running_loop()
        log = PartyLog(
            plan,
            replica,
            party_state(plan, layout, known),
            submit=lambda data: asyncio.run_coroutine_threadsafe(
                transport.submit(data), loop
            ).result(),
            tick=_heartbeat,
            clock=party_clock(plan, home.insecure_clock_offset),
        )
        itself = client.peer(name, reach.listen, reach.port)
        peers = PeerBook(plan, client, blobs, log, lambda: itself, _heartbeat, meter.received)
        openings = Openings(log, known, blobs, peers, layout)
        builder = KeySetBuilder(home.path.parent, signed, key, layout, replica, openings, keeps)
        activities = CoordinatorActivities(
            plan=plan,
            log=log,
            sign_order=lambda line: wire.sign_order(line, plan.hash, key),
            key_set=builder,
            fetch_unknown=openings.fetch_unknown,
            hold=lambda: asyncio.run_coroutine_threadsafe(board.hold(), loop).result(),
            release=lambda: _soon(loop, board.release),
        )
        attendance = Attendance(operator.name for operator in plan.operators)
        progress = Progress(log, layout, plan.name_of, ciphertext, away=attendance.away)
        return cls(
            plan,
            board,
            board_log,
            client,
            ledger,
            outbox,
            blobs,
            identity,
            log,
            replica,
            transport,
            openings,
            activities,
            progress,
            attendance,
            meter,
            reach,
            read_signatures(plan, signed.signatures),
            home.thefts_file,
        )

    async def serve(self, stack: AsyncExitStack) -> int:
        """Serve the board, follow it, and report; return the board's port."""
        stack.callback(self.board_log.close)
        stack.callback(self.ledger.save)
        stack.callback(self.client.close)
        stack.callback(self.meter.save)
        app = make_app(self.identity, self.outbox)
        app.middlewares.append(self.attendance.middleware())
        app.router.add_routes(routes(self.board))
        port = await stack.enter_async_context(
            serve(app, self.identity, host=self.reach.listen, port=self.reach.port)
        )
        following = asyncio.create_task(WitnessLoop(self.replica, self.transport).run())
        stack.callback(following.cancel)
        watching = threading.Thread(target=self.progress.run, name="progress", daemon=True)
        watching.start()
        stack.callback(self.progress.stop)
        return port

    async def work(self, client: Client, abroad: Abroad, stack: AsyncExitStack) -> None:
        """Start the worker of the coordinator's queue; it runs until the stack is left."""
        carrier = await abroad.carry(stack)
        offered = self.activities
        version = pinned(self.plan.ceremony_id)
        threads = 2 * self.plan.layout.batches_in_flight + _OTHER_ACTIVITIES
        begun = ceremony_workflow(self.plan)
        await patiently(lambda: require_same_version(client, begun, version))
        worker = Worker(
            client,
            task_queue=coordinator_queue(self.plan),
            workflows=WORKFLOWS,
            activities=[
                offered.sign_step,
                offered.observe_batch,
                offered.observe_setup,
                offered.observe_seal,
                offered.present_operators,
                offered.draft_statement,
                offered.post_statement,
                offered.publish,
                carrier.carry,
                SignatureActivities(self.plan).check_plan_signature,
            ],
            activity_executor=ThreadPoolExecutor(threads, "activity"),
            # Temporal's sandbox costs more than the workflows do. The tests run them in it.
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_concurrent_activities=threads + abroad.most_errands,
            deployment_config=version,
        )
        await stack.enter_async_context(worker)
        await make_current(client, version)
        troubles = Troubles(client, self.plan.ceremony_id)
        everywhere = (client, *abroad.clients.values())
        thieves = Thieves(everywhere, self.plan.ceremony_id, owners_of(self.plan), self.thefts_file)
        self.progress.troubles = lambda: (
            *troubles.found,
            *(Trouble(each.party, STOLEN, each.since, each.orders) for each in thieves.found),
        )
        for watch in (troubles.watch(), thieves.watch()):
            watching = asyncio.create_task(watch)
            stack.callback(watching.cancel)


async def _conduct(
    home: Home,
    temporal: str,
    reach: Reach,
    ciphertext: bytes,
    *,
    keeps: Keeps,
    namespaces: Mapping[str, str],
) -> None:
    await gather(home, temporal, namespaces)
    coordinator = await Coordinator.of(home, reach, ciphertext, keeps)
    async with AsyncExitStack() as stack:
        port = await coordinator.serve(stack)
        say("ready", board_port=port)
        converter = converter_for((home.path / PLAN_FILE).read_bytes())
        name = coordinator.identity.name
        plan = coordinator.plan
        client = await connect(
            temporal, identity=name, converter=converter, insecure_clear=plan.sandbox
        )
        abroad = await Abroad.reached(plan, namespaces, temporal, name, converter)
        await coordinator.work(client, abroad, stack)
        try:
            if ciphertext:
                await patiently(lambda: _decrypt(coordinator, client, ciphertext, namespaces))
                finished = {"digest": ciphertext.hex()}
            else:
                digest = await patiently(lambda: _create(coordinator, client, namespaces))
                finished = {"digest": digest, "keyset": str(home.path.parent / "keyset")}
        except WorkflowFailureError as error:
            raise stopped(error) from error
        await asyncio.to_thread(coordinator.progress.look)
        say("finished", **finished)


async def _create(coordinator: Coordinator, client: Client, namespaces: Mapping[str, str]) -> str:
    """Run the ceremony, or join it, and return the digest of its key set."""
    plan = coordinator.plan
    try:
        handle = await start_ceremony(client, plan, namespaces)
    except WorkflowAlreadyStartedError:
        # It has ended well, but this process's predecessor was not told.
        handle = ceremony_handle(client, plan)
    else:
        await hand_in(handle, plan, coordinator.signatures)
    result: CeremonyResult = await handle.result()
    return result.digest


async def _decrypt(
    coordinator: Coordinator, client: Client, ciphertext: bytes, namespaces: Mapping[str, str]
) -> None:
    """Have a list of the outbox decrypted.

    One at a time: what an interrupted run left is ended. What it asked for stands on the log, and
    is taken up from there when its list comes again.
    """
    plan = coordinator.plan
    data = bytes(coordinator.blobs.read(ciphertext))
    openings = list_for(lookup(plan.parameters), bytes.fromhex(plan.ceremony_id), data).count
    await client.execute_workflow(
        DecryptionWorkflow.run,
        DecryptionInput(ceremony_input(plan, namespaces), ciphertext.hex(), len(data), openings),
        id=f"{plan.ceremony_id}/decryption",
        task_queue=coordinator_queue(plan),
        id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
    )


def stopped(error: WorkflowFailureError) -> CeremonyError:
    """Return why a ceremony or a decryption stopped: the innermost cause that Temporal kept."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ApplicationError):
        cause = getattr(cause, "cause", None) or cause.__cause__
    code = cause.type if isinstance(cause, ApplicationError) and cause.type else "RF-RUN-013"
    aborted = code == ABORTED
    return CeremonyError(
        code,
        "the ceremony was aborted by its operators" if aborted else "the ceremony stopped",
        expected="a ceremony that goes on",
        found=str(cause or error),
        effect="nothing further is opened or announced",
        next_step="keep the folder as it is and read the page",
        runbook="governance" if aborted else "contradicting-answers",
    )
