"""Whether an operator's own record of what it signed is the newest: the others are asked.

An enclave has no disk. Whoever keeps its sealed objects can show it those of an earlier moment, in
which it had not signed what it has; asked again, it would sign something else, and the host of the
log would hold two heads under its name. So at its start, before it signs anything but where it can
be reached, it asks all others for the newest head that they saw under its signature, and for the
move of the log that they follow. What is newer than its own record, and signed by itself, says that
the record is old. Then it stops, and its people bring it back like one that lost its disk. With the
question it says what its own record ends with: who knows better refuses it by name, on the log too.

Security: a checkpoint that counts has certificates of n-t operators, each of which first noted
    durably every signature under its head. Answers of n-1-t others count as enough. If f of the
    others lie or were taken back in time too, n-1-t-f honest ones among them noted the operator's
    signature and n-1-t-f honest ones answered, out of n-1-f: they have one in common if f < n-1-2t,
    that is as long as at most t operators lie or are taken back at a time, this one included. To
    wait for more would let t silent ones keep everybody from starting again. A liar can be silent
    but cannot make a record look old: that takes this operator's own signature.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from infra.board import strict
from infra.board.messages import read_message

# The types of fields are looked up when messages are read, so these are needed at run time.
from infra.board.moves import Opening, verify_opening
from infra.board.notes import Head, head_text, signature_is_valid
from infra.board.vault import Heard  # noqa: TC001
from infra.objects.refusals import store_error
from infra.transport.bodies import read_body
from infra.transport.outbox import CALLER
from mpc_core.protocol.entries import Address
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.board.client import WitnessLoop
    from infra.board.vault import WitnessState
    from infra.board.witness import Witness
    from infra.party.log import PartyLog
    from infra.transport.client import Peer, PeerClient
    from mpc_core.protocol.plan import Plan

__all__ = [
    "MEMORY_PATH",
    "PLACES_PATH",
    "TAKEN_BACK",
    "Freshness",
    "Memory",
    "Places",
    "Record",
    "Remembered",
    "newer_than",
]

TAKEN_BACK = "RF-STORE-004"

MEMORY_PATH = "/board/memory"
PLACES_PATH = "/board/places"

_ANSWER_BYTES = 1 << 18
_RECORD_BYTES = 1024
_CALL_SECONDS = 10.0
_PLACES_BYTES = 8192
_PAUSE_SECONDS = 0.5
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an operator knows of another one's signatures.

    Attributes:
        heard: the newest head that it saw under that signature.
        opening: what opened the epoch in which it is itself.
    """

    heard: Heard | None = None
    opening: Opening | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What an operator's record of what it signed ends with.

    Attributes:
        epoch: the newest that it entered or signed a move statement for.
        is_open: 1 once that epoch has begun for it.
        base: the head with which it began, if any.
        signed: the last head that it signed there, if any.
    """

    epoch: int
    is_open: int
    base: Head | None
    signed: Head | None

    @classmethod
    def of(cls, state: WitnessState) -> Record:
        """Return the end of a record."""
        base = None if state.start is None else state.start.head
        return cls(state.epoch, int(state.start is not None), base, state.signed)


@dataclass(frozen=True, slots=True)
class Places:
    """Where operators are, by name, as a party says that takes the log over.

    Without a log nobody knows where the others are, and nobody moves before it has asked them.
    """

    known: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """Answers others that ask what was seen of them, and hears from a new host where they are.

    Attributes:
        plan: the signed plan.
        witness: knows what others signed.
        loop: knows the opening of the epoch.
        refused: hears of operators that ask with a record that was taken back.
        places: addresses by operator, as a host told them.
    """

    plan: Plan
    witness: Witness
    loop: WitnessLoop
    refused: Callable[[CeremonyError], None]
    places: dict[str, tuple[str, int]] = field(default_factory=dict)

    def routes(self) -> list[web.RouteDef]:
        """Return the handlers, for an application that authenticates its callers."""

        async def hear(request: web.Request) -> web.Response:
            told = read_message(Places, await read_body(request, _PLACES_BYTES))
            self.hear(request[CALLER], told)
            return web.Response()

        async def handle(request: web.Request) -> web.Response:
            record = read_message(Record, await read_body(request, _RECORD_BYTES))
            return web.Response(body=strict.encode(self.answer(request[CALLER], record)))

        return [web.post(MEMORY_PATH, handle), web.post(PLACES_PATH, hear)]

    def hear(self, caller: str, told: Places) -> None:
        """Take addresses from who may host the log: a false one costs a call."""
        if caller in self.plan.hosts:
            names = {each.name for each in self.plan.operators}
            known = {name: (host, port) for name, host, port in told.known if name in names}
            self.places.update(known)

    def answer(self, caller: str, record: Record) -> Remembered:
        """Return what is remembered of a caller, and refuse it if its record lacks some of it."""
        told, index = self.of(caller), self.plan.index_of(caller)
        newer = newer_than(self.plan, index, record, told) if index else ""
        if newer:
            self.refused(_taken_back(caller, newer, self.plan.name_of(self.witness.index)))
        return told

    def of(self, caller: str) -> Remembered:
        """Return what is remembered of a caller; of who is no operator, nothing."""
        heard = self.witness.heard_of(self.plan.index_of(caller))
        return Remembered(heard, self.loop.opening)


def newer_than(plan: Plan, index: int, record: Record, told: Remembered) -> str:
    """Return what somebody knows under this operator's signature that its record lacks, or "".

    Args:
        plan: the signed plan.
        index: this operator's.
        record: what its record ends with.
        told: what somebody says; nothing in it counts that this operator did not sign.

    Raises:
        CeremonyError: RF-LOG-024 or RF-LOG-031 if the opening is none.
    """
    if told.opening is not None:
        verify_opening(plan, told.opening)
        signers = {each.signer for each in told.opening.statements}
        if index in signers and told.opening.epoch > record.epoch:
            return f"its statement that it left all epochs before {told.opening.epoch}"
    heard = told.heard
    if heard is None or heard.part.signer != index:
        return ""
    if not signature_is_valid(plan, head_text(plan.ceremony_id, heard.head), heard.part):
        return ""
    head = heard.head
    if _knows(record, head):
        return ""
    return f"its head over {head.size} entries in epoch {head.epoch}"


def _knows(record: Record, head: Head) -> bool:
    """Tell whether a record says of a head under its own signature that it was signed."""
    if head.epoch != record.epoch or not record.is_open:
        return head.epoch < record.epoch
    base, signed = record.base, record.signed
    if base is not None and head.size <= base.size:
        return True
    return signed is not None and (head.size < signed.size or head == signed)


@dataclass
class Freshness:
    """One operator's questions at its start.

    Attributes:
        client: the connections of this process.
        log: its log, from which addresses come.
        witness: its signing, which waits for this.
        address: where it serves; the others ask it too.
        places: where others are, as a party told that takes the log over.
    """

    client: PeerClient
    log: PartyLog
    witness: Witness
    address: tuple[str, int]
    places: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    async def confirm(self) -> None:
        """Return when the record is known to be the newest, and let the operator sign.

        Raises:
            CeremonyError: RF-STORE-004 if it is not.
        """
        plan, index = self.log.plan, self.witness.index
        needed = plan.count - 1 - plan.threshold
        others = [each.index for each in plan.operators if each.index != index]
        async with AsyncExitStack() as stack:
            asking = [asyncio.create_task(self._pursue(other)) for other in others]
            for task in (asyncio.create_task(self._say_where()), *asking):
                stack.callback(task.cancel)
            for answer in itertools.islice(asyncio.as_completed(asking), needed):
                if newer := await answer:
                    # It stops in any case; those who know better may say so first, all of them.
                    done, _ = await asyncio.wait(asking, timeout=_CALL_SECONDS)
                    knew = [told for told in await asyncio.gather(*done) if told]
                    raise _taken_back(
                        plan.name_of(index), newer[1], ", ".join(sorted(name for name, _ in knew))
                    )
        self.witness.confirm()
        _log.info("the others know of nothing newer", asked=needed)

    async def _pursue(self, other: int) -> tuple[str, str] | None:
        """Ask one operator until it answers; return its name and what it has that is newer."""
        plan, index, newer = self.log.plan, self.witness.index, None
        while newer is None:
            answer = await self._ask(other)
            try:
                if answer is not None:
                    record = Record.of(self.witness.state)
                    newer = newer_than(plan, index, record, answer)
            except CeremonyError as error:
                _log.warning("an operator answers with nonsense", operator=other, reason=str(error))
            if newer is None:
                await asyncio.sleep(_PAUSE_SECONDS)
        return (plan.name_of(other), newer) if newer else None

    async def _say_where(self) -> None:
        """Put this operator's address on the log, from which the others have it."""
        while True:
            try:
                await asyncio.to_thread(self._post_address)
            except CeremonyError as error:
                _log.info("the host takes no address now", reason=str(error))
            await asyncio.sleep(_PAUSE_SECONDS)

    def _post_address(self) -> None:
        """Post the address unless it is the last one that the log has; the same again is one."""
        index = self.witness.index
        known = self.log.read(lambda state: state.addresses.get(index))
        if known is None or (known.host, known.port) != self.address:
            self.log.post(Address(0 if known is None else known.serial + 1, *self.address))

    async def _ask(self, index: int) -> Remembered | None:
        for peer in self._peers(index):
            try:
                async with asyncio.timeout(_CALL_SECONDS):
                    asked = self.client.loop.submit(self._call(peer))
                    return await asyncio.wrap_future(asked)
            except (CeremonyError, TimeoutError) as error:
                _log.info("an operator does not say what it saw", operator=index, reason=str(error))
        return None

    async def _call(self, peer: Peer) -> Remembered:
        record = strict.encode(Record.of(self.witness.state))
        data = await peer.arequest("POST", MEMORY_PATH, record, limit=_ANSWER_BYTES)
        try:
            return strict.decode(Remembered, data)
        except strict.Malformed as error:
            raise CeremonyError(
                "RF-PEER-015",
                "an operator answered a direct call with something unreadable",
                operator=peer.name,
                expected="what it saw under this operator's signature",
                found=f"{len(data)} bytes: {error}",
                effect="it counts as not having answered",
                next_step="run the version of ringforge that the plan names on both sides",
                runbook="peer-sends-garbage",
            ) from error

    def _peers(self, index: int) -> list[Peer]:
        """Return an operator at the newest address that it signed, covered or not, and as told.

        After a start of all nothing is covered before somebody signs, and nobody signs before it
        asked. A wrong address costs a call: who answers there is pinned by the plan.
        """
        replica = self.witness.replica
        found = self.log.read(lambda state: state.addresses.get(index))
        for held in replica.held_entries(replica.covered_size):
            entry = held.entry
            if held.signers == (index,) and isinstance(entry, Address):
                found = entry if found is None or entry.serial > found.serial else found
        name = self.log.plan.name_of(index)
        signed = () if found is None else ((found.host, found.port),)
        told = (self.places[name],) if name in self.places else ()
        return [self.client.peer(name, *place) for place in dict.fromkeys((*told, *signed))]


def _taken_back(name: str, newer: str, witness: str) -> CeremonyError:
    return store_error(
        TAKEN_BACK,
        f"the sealed store of {name} was taken back to an earlier moment",
        "the record of everything that this operator signed",
        f"{witness} has {newer}, which the record lacks",
        "see who keeps the store; then `ringforge operator run --rejoin`, and call the others",
        effect="this operator stops before it signs anything; the others go on without it",
        operator=name,
    )
