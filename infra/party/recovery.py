"""Direct calls of an operator that lost something: for secrets, and for its seat.

A call carries the asker's signature over plan, purpose and content, besides the pinned TLS
connection it comes over: what is kept of it says later who asked. An answer is bound to its asker
by the encryption inside, a refusal by nothing: nobody acts on more than its words.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from infra.board import strict, wire
from infra.board.messages import Refusal
from infra.transport.bodies import read_body
from infra.transport.outbox import CALLER
from mpc_core.protocol.entries import Rejoin
from mpc_core.protocol.errors import CeremonyError
from mpc_core.sharing.recovery import Question

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from activities.steps import Steps
    from infra.party.log import PartyLog
    from infra.transport.client import Peer
    from mpc_core.protocol.plan import Plan

__all__ = ["ADMISSION_PATH", "ASK_PATH", "Helper", "ask", "ask_admission"]

ASK_PATH = "/recovery/secrets"
ADMISSION_PATH = "/recovery/seat"

_ASK_DOMAIN = b"ringforge/recovery/v1\0"
_ADMISSION_DOMAIN = b"ringforge/admission/v1\0"
_CALL_BYTES = 8192
_ANSWER_BYTES = 1 << 18
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Call:
    """What is asked, and the asker's signature."""

    body: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer, or why there is none."""

    answer: bytes
    refusal: Refusal | None = None


# -- the asker ------------------------------------------------------------------------------------


def ask(
    peer: Peer, log: PartyLog, question: Question, seconds: float, tick: Callable[[], None]
) -> bytes:
    """Ask an operator once for secrets that this one lost; return the sealed answer.

    Raises:
        CeremonyError: RF-PEER-*, when it does not answer; its refusal.
    """
    body = strict.encode(question)
    return _asked(peer, ASK_PATH, _signed(log, _ASK_DOMAIN, body), seconds, tick)


def ask_admission(
    peer: Peer, log: PartyLog, entry: Rejoin, seconds: float, tick: Callable[[], None]
) -> bytes:
    """Ask an operator once for its signature under this one's rejoin; return the signature.

    Raises:
        CeremonyError: RF-PEER-*, when it does not answer; its refusal.
    """
    call = _signed(log, _ADMISSION_DOMAIN, wire.body_of(entry))
    return _asked(peer, ADMISSION_PATH, call, seconds, tick)


def _signed(log: PartyLog, domain: bytes, body: bytes) -> bytes:
    return strict.encode(_Call(body, log.sign(domain, body)))


def _asked(peer: Peer, path: str, call: bytes, seconds: float, tick: Callable[[], None]) -> bytes:
    data = peer.ask_once("POST", path, call, limit=_ANSWER_BYTES, seconds=seconds, tick=tick)
    try:
        reply = strict.decode(_Reply, data)
    except strict.Malformed as error:
        raise _unreadable(f"{len(data)} bytes: {error}", peer.name) from error
    if reply.refusal is not None:
        raise reply.refusal.error()
    return reply.answer


# -- who is asked ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Helper:
    """One operator's answers to direct calls of others that lost something.

    Attributes:
        plan: the signed plan.
        steps: what it can do.
        log: its log; signs.
    """

    plan: Plan
    steps: Steps
    log: PartyLog

    def routes(self) -> list[web.RouteDef]:
        """Return the handlers, for an application that authenticates its callers."""
        return [
            web.post(ASK_PATH, self._handler(self.give)),
            web.post(ADMISSION_PATH, self._handler(self.admit)),
        ]

    def give(self, caller: str, data: bytes) -> bytes:
        """Answer a question for secrets.

        Raises:
            CeremonyError: RF-RECOVER-007 if it is none of this caller; as `Steps.give`.
        """
        body = self._opened(caller, _ASK_DOMAIN, data)
        try:
            question = strict.decode(Question, body)
        except strict.Malformed as error:
            raise _unreadable(str(error), caller) from error
        self._require_author(question.asker, caller)
        _log.info("gives secrets back", to=caller, purpose=question.purpose)
        return self.steps.give(question)

    def admit(self, caller: str, data: bytes) -> bytes:
        """Answer a plea for a seat with this operator's signature, once its people approved it.

        Raises:
            CeremonyError: RF-RECOVER-007 if it is none of this caller, RF-RECOVER-008 while nobody
                has approved it; as `Steps.objection_to_rejoin`.
        """
        body = self._opened(caller, _ADMISSION_DOMAIN, data)
        entry = wire.entry_of(body)
        if not isinstance(entry, Rejoin):
            raise _unreadable("an entry of another kind", caller)
        self._require_author(entry.operator, caller)
        if objection := self.steps.objection_to_rejoin(entry):
            _log.warning("asks to be let in again", operator=caller, key=entry.key.hex())
            raise CeremonyError(
                "RF-RECOVER-008",
                "an operator is not let in again yet",
                operator=caller,
                expected="an approval by people who attested its machine and called",
                found=objection,
                effect="it waits, and asks again",
                next_step=f"ringforge operator admit --operator {caller}",
                runbook="lost-state",
            )
        return self.log.endorse(body)

    # -- inside -----------------------------------------------------------------------------------

    def _handler(
        self, act: Callable[[str, bytes], bytes]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            data = await read_body(request, _CALL_BYTES)
            try:
                reply = _Reply(await asyncio.to_thread(act, request[CALLER], data))
            except CeremonyError as error:
                reply = _Reply(b"", Refusal.of(error))
            return web.Response(body=strict.encode(reply))

        return handle

    def _opened(self, caller: str, domain: bytes, data: bytes) -> bytes:
        """Return the content of a call after checking who signed it."""
        try:
            call = strict.decode(_Call, data)
        except strict.Malformed as error:
            raise _unreadable(str(error), caller) from error
        keys = {operator.name: operator.identity_key for operator in self.plan.operators}
        message = domain + self.plan.hash + call.body
        if caller not in keys or not wire.verify_signature(keys[caller], message, call.signature):
            raise _unreadable("no valid signature of the caller", caller)
        return call.body

    def _require_author(self, index: int, caller: str) -> None:
        if not 1 <= index <= self.plan.count or self.plan.name_of(index) != caller:
            raise _unreadable("a call in somebody else's name", caller)


def _unreadable(found: str, operator: str) -> CeremonyError:
    return CeremonyError(
        "RF-RECOVER-007",
        "a direct call about what was lost cannot be read",
        operator=operator,
        expected="a call or an answer of this operator, as this version of ringforge writes it",
        found=found,
        effect="it counts for nothing",
        next_step="run the version of ringforge that the plan names on both sides",
        runbook="peer-sends-garbage",
    )
