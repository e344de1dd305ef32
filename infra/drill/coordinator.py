"""The coordinator of a drill: its own view of the log, the opened values, and the agenda."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from activities.arithmetic import KnownValues
from infra.board import wire
from infra.coordinator.openings import Openings
from infra.drill.agenda import Agenda
from infra.drill.board import WouldWaitError
from infra.drill.clock import SkewedClock
from infra.drill.disorder import Disorder
from infra.drill.forgery import Forger, obey
from infra.drill.network import HOST, DrillLog, DrillPeers
from infra.drill.operator import Task
from infra.drill.site import drill_state
from infra.drill.stores import MemoryBlobs, MemoryStore
from infra.drill.watch import BrokenError
from mpc_core.protocol.entries import Seal
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.statements import Due, due_statement
from mpc_core.tfhe.keyset import bodies_of, key_set_digest, seed_of
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from activities.steps import Steps
    from infra.drill.engine import Engine
    from infra.drill.operator import DrillOperator
    from infra.party.log import PartyLog
    from infra.party.peers import PeerBook
    from infra.stores import BlobStore
    from mpc_core.protocol.entries import Entry

__all__ = ["Coordinator"]


class Coordinator:
    """Who gives the orders; the `Desk` of the agenda.

    Attributes:
        log: its own copy of the log.
        blobs: the opened values that it has fetched.
        agenda: what it does.
        over: whether the agenda is at its end.
        lies: whether it gives orders as it likes.
        enclave: none; a host of the log shows no document.
    """

    enclave = None

    def __init__(self, engine: Engine) -> None:
        """Begin the agenda of a ceremony."""
        self._engine, self.layout = engine, engine.layout
        self.blobs = MemoryBlobs(engine.plan.layout.leaf_bytes)
        known = KnownValues(engine.plan.hash, MemoryStore())
        state = drill_state(engine.plan, engine.layout, known, engine.arithmetic)
        self.log = DrillLog(engine.plan, engine.board, state, SkewedClock(true=engine.clock))
        self.log.network, self.log.touched = engine.network, lambda _: None
        self._openings = Openings(
            cast("PartyLog", self.log),
            known,
            cast("BlobStore", self.blobs),
            cast("PeerBook", DrillPeers(self.blobs, engine.reach, None, engine.network, HOST)),
            engine.layout,
        )
        self.agenda = Agenda(self)
        self.over = False
        luck = random.Random(f"coordinator {engine.schedule.seed}")  # noqa: S311 - no secret
        self.disorder, self.lies = Disorder(luck, engine.layout), False
        self.forger = Forger(luck, engine.parties)
        self._workflow = self.agenda.ceremony()

    @property
    def announced(self) -> bool:
        """Whether the key set is announced."""
        return self.log.state.release.announcement is not None

    def turn(self) -> bool:
        """Fetch opened values and go on with the agenda; return whether it has just ended."""
        self._engine.board.held = False
        self._openings.fetch_unknown()
        self.disorder.release(everything=not self.lies)
        if self.lies:
            self._lie()
        if self.over:
            return False
        try:
            next(self._workflow)
        except StopIteration:
            self.over = True
        return self.over

    def order(self, index: int, name: str, act: Callable[[Steps], None]) -> Task:
        """Give an operator an order; it stays until it was followed."""
        task = Task(name, act)

        def give() -> None:
            self._engine.operators[index].tasks.append(task)

        if not (self.lies and self.disorder.holds(give)):
            give()
        return task

    def _lie(self) -> None:
        """Give senseless orders, and ask for signatures under what is not due."""
        disorder = self.disorder
        for operator in self._engine.operators.values():
            if disorder.luck.random() < 0.2:  # noqa: PLR2004
                operator.tasks.append(Task(*disorder.senseless(), pointless=True))
            if operator.running and disorder.luck.random() < 0.2:  # noqa: PLR2004
                self._forge(operator)
        self.gather(disorder.statement(self.log.state))

    def _forge(self, operator: DrillOperator) -> None:
        """Give a forged order, at times twice."""
        forged = self.forger.forge()
        with self._engine.accidents.survived():
            for _ in range(self.disorder.luck.randint(1, 2)):
                if obey(operator, forged) and not forged.is_signed:
                    raise BrokenError(f"operator {operator.index} follows a forged order")

    def gather(self, entry: Entry) -> None:
        """Ask the operators for their signatures under a statement; post it with n-t of them.

        A seal has to follow what it names. When more was taken meanwhile, or not everybody has seen
        all of it, nothing is taken until that is so, and the seal is drawn up anew.
        """
        engine, body = self._engine, wire.body_of(entry)
        is_due = isinstance(entry, Seal) and self._seal_is_due()
        if isinstance(entry, Seal) and is_due and entry.size < len(engine.board.entries):
            engine.board.held = True
            return
        parts = []
        for index in sorted(self.log.state.members.signers):
            signature = self._signature(engine.operators[index], body)
            if signature:
                parts.append(wire.Endorsement(index, wire.ED25519, signature))
        if len(parts) >= engine.plan.quorum:
            try:
                self._engine.network.post(
                    HOST, wire.assemble(body, parts), self._engine.board.submit
                )
            except CeremonyError as refusal:
                self.agenda.doing["post"] = str(refusal)
        elif is_due:
            engine.board.held = True

    def _seal_is_due(self) -> bool:
        return isinstance(due_statement(self.log.state, Seal.kind, ""), Due)

    def _signature(self, operator: DrillOperator, body: bytes) -> bytes:
        if not operator.running or not self._engine.network.connects(HOST, operator.index):
            return b""
        with self._engine.accidents.survived(), suppress(WouldWaitError, CeremonyError):
            if not operator.objection(wire.entry_of(body)):
                return operator.log.endorse(body)
        return b""

    def digest(self) -> bytes:
        """Return the digest of the key set that the openings make."""
        parameters, tag = (
            lookup(self._engine.plan.parameters),
            bytes.fromhex(self._engine.plan.ceremony_id),
        )
        return key_set_digest(parameters, self.seed(), tag, self.bodies())

    def seed(self) -> bytes:
        """Return the public seed."""
        return seed_of(self._openings.read(("O", 0)))

    def bodies(self) -> Mapping[int, NDArray[np.uint64]]:
        """Return the opened bodies by the number of the object."""
        parameters = lookup(self._engine.plan.parameters)
        return bodies_of(parameters, self.layout, lambda index: self._openings.read(("O", index)))

    def serve(self, asker: int, root: bytes) -> bytes | None:
        """Answer a call for a blob."""
        del asker
        found = self.blobs.read_if_here(root)
        return None if found is None else bytes(found)

    def owed_entries(self, slots: tuple[str, ...]) -> tuple[bytes, ...]:
        """The coordinator owes nothing."""
        del slots
        return ()
