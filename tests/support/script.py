"""Scripted activities for tests of the workflows: a small log, and operators that act or do not.

Everything waits for something to happen, never for a time: a deadline has run out as soon as only
operators that will never answer are waited for.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from infra.coordinator.process import WORKFLOWS
from infra.temporal.version import activities_only
from workflows.contracts import (
    BatchOrder,
    BatchView,
    CeremonyInput,
    CeremonyResult,
    Draft,
    Endorsement,
    OperatorQueues,
    PlanSignature,
    SealView,
    SetupView,
    StepOrder,
    Timeouts,
)

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

N, QUORUM = 4, 3
EVERYONE = range(1, N + 1)
NEWS_SECONDS = 10.0
"""How long a scripted look waits, as the coordinator's: then the workflow looks again."""


def signature_by(name):
    """Return what stands for a signature of this party; it has the length of a real one."""
    return name.encode().ljust(3373, b".")


def ceremony_input(name, *, batches=None, in_flight=8, step=1.0, signers=()):
    counts = {"N": 2, "S": 1, "M": 1, "O": 4, "bodies": 3} | (batches or {})
    return CeremonyInput(
        ceremony_id=name,
        plan_hash="00" * 32,
        quorum=QUORUM,
        operators=[
            OperatorQueues(at, f"op-{at}", f"{name}/{at}/control", f"{name}/{at}/compute")
            for at in EVERYONE
        ],
        coordinator_queue=f"{name}/coordinator",
        timeouts=Timeouts(step=step, waiting=2 * step),
        batches=counts,
        batches_in_flight=in_flight,
        signers=list(signers),
    )


@dataclass
class Batch:
    """One batch: who has shared, which rounds were opened, who has answered."""

    roots: set[int] = field(default_factory=set)
    round: int = 0
    decoded: bool = False
    answers: set[int] = field(default_factory=set)
    misfit: bool = False
    attempt: int = 0
    closed: set[str] = field(default_factory=set)


class World:
    """The log as far as workflows see it.

    `silent` never answer (give them no worker). `held` says whether a batch may settle. Pairs in
    `deaf` are a step and who takes the order for it and never ends. Who is `away` is not present.
    """

    def __init__(self, *, silent=(), misfits=(), fails=(), held=lambda key: False):
        self.silent, self.misfits, self.fails = set(silent), set(misfits), set(fails)
        self.held = held
        self.deaf, self.away = set(), set()
        self.absent, self.summoned, self.written_off = set(), set(), set()
        self.batches = {}
        self.settled = set()
        self.orders, self.statements = [], []
        self.setup_sealed = self.sealed = False
        self._changed = asyncio.Condition()
        self._version = itertools.count()

    # -- what happens ---------------------------------------------------------------------------

    async def change(self, act):
        async with self._changed:
            act()
            self._changed.notify_all()

    async def until(self, question):
        async with self._changed:
            await self._changed.wait_for(question)

    @property
    def awaited(self):
        return set(EVERYONE) - self.absent - self.written_off

    @property
    def in_flight(self):
        return self.batches.keys() - self.settled

    def batch(self, key):
        return self.batches.setdefault(key, Batch())

    def decoder(self, batch):
        order = [at for at in EVERYONE if at in self.awaited or at <= batch.round]
        return order[batch.round % len(order)]

    def step(self, key):
        batch = self.batch(key)
        if batch.misfit:
            return "blame"
        if "roots" not in batch.closed and not self.awaited <= batch.roots:
            return "share"
        if not batch.decoded:
            return "decode"
        if not self.awaited <= batch.answers:
            return "answer"
        return "answer" if self.held(key) else "settled"

    def slot(self, key):
        """Return the slot whose deadline has run out: nobody else can still come."""
        batch, step = self.batch(key), self.step(key)
        if step == "blame":
            return f"recomputation/{key[0]}/{key[1]}"
        if step == "share" and self.awaited - batch.roots <= self.silent:
            return f"roots/{key[0]}/{key[1]}"
        gone = self.decoder(batch) in self.silent | self.fails
        if step == "decode" and gone:
            return f"round/{key[0]}/{key[1]}/{batch.round}"
        waited = self.awaited - batch.answers
        if step == "answer" and waited and waited <= self.silent:
            return f"answers/{key[0]}/{key[1]}"
        return ""

    def close(self, slot):
        what, stage, index, *_ = slot.split("/")
        batch = self.batch((stage, int(index)))
        batch.closed.add(slot)
        if what == "roots":
            batch.closed.add("roots")
            self.absent |= self.awaited - batch.roots
        elif what == "round":
            self.absent.add(self.decoder(batch))
            batch.round += 1
        elif what == "recomputation":  # then operators blame: the batch is drawn anew
            self.misfits.discard((stage, int(index)))
            self.batches[stage, int(index)] = Batch(attempt=batch.attempt + 1)
        else:
            self.absent |= self.awaited - batch.answers

    def apply(self, kind, subject):
        self.statements.append((kind, subject))
        if kind == "close":
            self.close(subject)
        elif kind == "summons":
            self.summoned.add(int(subject))
        elif kind == "write-off":
            self.written_off.add(int(subject))
        elif kind == "seal":
            self.sealed = True
        elif kind == "setup-seal":
            self.setup_sealed = True

    def is_done(self, kind, subject):
        if kind == "close":
            what, stage, index, *_ = subject.split("/")
            return what != "complaints" and self.slot((stage, int(index))) != subject
        return (kind, subject) in self.statements

    # -- views ----------------------------------------------------------------------------------

    def batch_view(self, key):
        batch, step = self.batch(key), self.step(key)
        if step == "settled":
            self.settled.add(key)
        close = "" if step == "settled" else self.slot(key)
        facts = (step, batch.attempt, batch.round, sorted(self.awaited), close)
        return BatchView(
            version=hash(repr(facts)) & 0x7FFFFFFF,
            name=f"{key[0]}-{key[1]}.a{batch.attempt}",
            state="open",
            step=step,
            round=batch.round,
            decoder=self.decoder(batch) if step == "decode" else 0,
            present=sorted(self.awaited),
            missing=[],
            close=close,
            envelope="order",
        )

    def seal_view(self):
        owing = self.absent - self.written_off
        return SealView(
            version=len(self.statements),
            ready=not owing,
            sealed=self.sealed,
            owing=[],
            silent=sorted(owing),
            summoned=sorted(self.summoned & owing),
        )

    def setup_view(self):
        announced = {at for kind, at, _ in self.orders if kind == "announce_kem_key"}
        if not announced >= self.awaited - self.silent:
            return SetupView(len(announced), "kem-keys", "", ready=False, silent=[], summoned=[])
        phase = "sealed" if self.setup_sealed else "acknowledgements"
        version = len(EVERYONE) + len(self.statements)
        return SetupView(version, phase, "", not self.setup_sealed, [], [])

    # -- the coordinator's activities -----------------------------------------------------------

    @activity.defn(name="observe_batch")
    async def observe_batch(self, look: list) -> BatchView:
        stage, index, known = look
        key = (stage, index)
        await self.change(lambda: self.batch(key))
        return await self._news(lambda: self.batch_view(key), known)

    @activity.defn(name="observe_setup")
    async def observe_setup(self, known: int) -> SetupView:
        return await self._news(self.setup_view, known)

    @activity.defn(name="observe_seal")
    async def observe_seal(self, known: int) -> SealView:
        return await self._news(self.seal_view, known)

    async def _news(self, view, known):
        async with self._changed:
            try:
                async with asyncio.timeout(NEWS_SECONDS):
                    await self._changed.wait_for(lambda: view().version != known)
            except TimeoutError:
                activity.logger.debug("nothing new")
            seen = view()
            self._changed.notify_all()  # a look may be what settles a batch
            return seen

    @activity.defn(name="sign_step")
    async def sign_step(self, step: str) -> StepOrder:
        return StepOrder(step, "order")

    @activity.defn(name="present_operators")
    async def present_operators(self, _: None) -> list[int]:
        return sorted(self.awaited - self.away)

    @activity.defn(name="draft_statement")
    async def draft_statement(self, wanted: Draft) -> Draft:
        kind, subject = wanted.kind, wanted.subject
        if self.is_done(kind, subject):
            return Draft(kind, subject, "done")
        return Draft(kind, subject, "draft", "body", "order", sorted(self.awaited))

    @activity.defn(name="post_statement")
    async def post_statement(self, gathered: list) -> Draft:
        draft, answers = gathered
        if sum(bool(answer["signature"]) for answer in answers) < QUORUM:
            return Draft(draft["kind"], draft["subject"], "wait")
        if not self.is_done(draft["kind"], draft["subject"]):
            await self.change(lambda: self.apply(draft["kind"], draft["subject"]))
        return Draft(draft["kind"], draft["subject"], "done")

    @activity.defn(name="publish")
    async def publish(self, digest: str) -> CeremonyResult:
        self.statements.append(("published", digest))
        return CeremonyResult(digest, len(self.statements))

    @activity.defn(name="check_plan_signature")
    async def check_plan_signature(self, note: PlanSignature, signature: bytes) -> None:
        if signature != signature_by(note.name):
            raise ApplicationError("RF-PLAN-009", type="RF-PLAN-009", non_retryable=True)

    # -- an operator's activities ---------------------------------------------------------------

    def operator(self, at):
        return Operator(self, at)


@dataclass
class Operator:
    """An operator that does at once what it is told."""

    world: World
    at: int

    async def _act(self, kind, order, act):
        key = (order.stage, order.batch)
        assert order.envelope == "order"

        def acted():
            self.world.orders.append((kind, self.at, key))
            act(self.world.batch(key), key)

        await self.world.change(acted)

    @activity.defn(name="share")
    async def share(self, order: BatchOrder) -> None:
        await self._act("share", order, lambda batch, _: batch.roots.add(self.at))

    @activity.defn(name="decode")
    async def decode(self, order: BatchOrder) -> None:
        def decode(batch, _):
            batch.decoded |= self.at not in self.world.fails

        await self._act("decode", order, decode)

    @activity.defn(name="answer")
    async def answer(self, order: BatchOrder) -> None:
        def answer(batch, key):
            batch.answers.add(self.at)
            batch.misfit |= key in self.world.misfits

        await self._act("answer", order, answer)

    @activity.defn(name="step")
    async def step(self, order: StepOrder) -> None:
        if (order.step, self.at) in self.world.deaf:
            await asyncio.Event().wait()
        await self.world.change(lambda: self.world.orders.append((order.step, self.at, None)))

    @activity.defn(name="endorse")
    async def endorse(self, draft: Draft) -> Endorsement:
        return Endorsement(self.at, signature=f"{self.at} signs {draft.kind}")


_VERSION = activities_only("script")


def coordinator_worker(client, ceremony, world, *more):
    return Worker(
        client,
        task_queue=ceremony.coordinator_queue,
        workflows=WORKFLOWS,
        activities=[
            world.observe_batch,
            world.observe_setup,
            world.observe_seal,
            world.sign_step,
            world.present_operators,
            world.draft_statement,
            world.post_statement,
            world.publish,
            world.check_plan_signature,
            *more,
        ],
        deployment_config=_VERSION,
    )


def operator_workers(client, ceremony, world, at):
    queues, acts = ceremony.operators[at - 1], world.operator(at)
    compute = [acts.share, acts.decode, acts.answer, acts.step]
    return [
        Worker(client, task_queue=queue, activities=offered, deployment_config=_VERSION)
        for queue, offered in ((queues.compute, compute), (queues.control, [acts.endorse]))
    ]


async def start_operators(stack: AsyncExitStack, client, ceremony, world):
    for at in EVERYONE:
        if at not in world.silent:
            for worker in operator_workers(client, ceremony, world, at):
                await stack.enter_async_context(worker)
