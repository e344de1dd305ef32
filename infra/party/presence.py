"""What an operator does unasked: say where it is, come back after an absence, and catch up.

What is due after the seal it does also when no order comes: the order may have gone by unheard.
"""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from mpc_core.protocol.entries import Address, Return
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from activities.steps import Steps
    from infra.party.attesting import Documents
    from infra.party.log import PartyLog
    from infra.party.noticeboard import Noticeboard
    from mpc_core.protocol.state import CeremonyState

__all__ = ["OverError", "Presence"]

_PATIENCE_SECONDS = 5.0
_log = structlog.get_logger()


class OverError(Exception):
    """The process ends: what waits unasked gives up, and whatever it holds."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Keeps this operator's address and its return on the log up to date.

    Attributes:
        log: the operator's log.
        steps: what it can do.
        address: where its outbox is served.
        failed: called when it cannot go on for a reason that is no CeremonyError.
        readmit: lets it sign heads again, if it was let in again and does not do so yet.
        documents: what of its attestation belongs on the log; None where there is none.
        noticeboard: what its people read who cannot see its log; None where they can.
        over: set when the process ends.
    """

    log: PartyLog
    steps: Steps
    address: tuple[str, int]
    failed: Callable[[], None]
    readmit: Callable[[], None] = lambda: None
    documents: Documents | None = None
    noticeboard: Noticeboard | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Work until the process ends; what fails is reported and tried again."""
        try:
            while not self.over.is_set():
                self._try(self.once)
        except BaseException as error:
            if self.over.is_set() and isinstance(error, OverError | CancelledError):
                return  # what it waited for was given up
            self.failed()
            raise

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except CeremonyError as error:
            _log.warning("presence", **{k: v for k, v in error.as_dict().items() if v})
            self.over.wait(_PATIENCE_SECONDS)

    def once(self) -> None:
        """Do what is missing on the log from this operator, else wait for a while.

        Raises:
            CeremonyError: the first refusal, after everything else was tried.
        """
        if self.steps.is_aborted():
            if self.noticeboard is not None and self.noticeboard.is_due():
                self.noticeboard.tell()
            self._wait(lambda _: False)
            return
        if self.steps.seat.is_out():
            self.steps.seat.ask()
            self._wait(lambda state: self.steps.operator.index in state.members.rejoins)
            return
        self.readmit()
        refusals: list[CeremonyError] = []
        acted = False
        for is_due, act in self._tasks():
            try:
                if not self._is_excluded() and is_due():
                    acted = True
                    act()
            except CeremonyError as refusal:
                refusals.append(refusal)
        if refusals:
            raise refusals[0]
        if not acted:
            self.steps.batches.tidy()
            self._wait(self._has_work)

    def _tasks(self) -> tuple[tuple[Callable[[], bool], Callable[[], None]], ...]:
        """Return what there is to do unasked, with what tells whether it is due."""
        read, steps = self.log.read, self.steps
        return (
            (lambda: read(self._has_to_prove), self._prove),
            (lambda: self.log.read(self._known_address) != self.address, self._say_where),
            (steps.voices.are_there, self._raise_voices),
            *(((board.is_due, board.tell),) if (board := self.noticeboard) else ()),
            (steps.keys.needs_settling, steps.keys.settle),
            (steps.keys.must_examine_again, lambda: steps.step("examine")),
            (steps.prosecutes, steps.prosecutor.act),
            (steps.judges, steps.judge.act),
            (lambda: read(self._is_given_up), self._come_back),
            (lambda: read(_is_in_the_dark), steps.hold_openings),
            (lambda: bool(steps.batches.unserved()), self._serve_again),
            (steps.wanted.is_there, steps.wanted.bring_back),
            (steps.owes_redone, steps.redo),
            (lambda: bool(steps.stock.lacks()), steps.stock.replenish),
            (lambda: bool(steps.duties()), self._do_duties),
        )

    def _has_work(self, state: CeremonyState) -> bool:
        return (
            self._has_to_prove(state)
            or self._is_given_up(state)
            or _is_in_the_dark(state)
            or self.steps.wanted.is_there()
            or self.steps.judge.is_needed(state)
            or self.steps.prosecutor.is_needed(state)
        )

    def _is_excluded(self) -> bool:
        index = self.steps.operator.index
        return self.log.read(lambda state: index in state.members.excluded)

    def _is_given_up(self, state: CeremonyState) -> bool:
        """Tell whether the ceremony does not wait for this operator, so gives it no orders."""
        return self.steps.operator.index in state.members.absent | state.members.written_off

    def _known_address(self, state: CeremonyState) -> tuple[str, int] | None:
        address = state.addresses.get(self.steps.operator.index)
        return None if address is None else (address.host, address.port)

    def _say_where(self) -> None:
        index = self.steps.operator.index
        address = self.log.read(lambda state: state.addresses.get(index))
        self.log.post(Address(0 if address is None else address.serial + 1, *self.address))
        self._wait(lambda state: state.addresses.get(index) != address)

    def _has_to_prove(self, state: CeremonyState) -> bool:
        return self.documents is not None and self.documents.are_due(state)

    def _prove(self) -> None:
        assert self.documents is not None, "nothing else is due"
        self.documents.post()
        self._wait(lambda state: not self._has_to_prove(state))

    def _raise_voices(self) -> None:
        for envelope in self.steps.voices.waiting():
            self.log.post_voice(envelope)

    def _serve_again(self) -> None:
        for key in self.steps.batches.unserved():
            self.steps.batches.serve_again(key)

    def _do_duties(self) -> None:
        for duty in self.steps.duties():
            self.steps.step(duty)

    def _come_back(self) -> None:
        """Post a return after an absence, if it counts now, then everything that was missed."""
        index = self.steps.operator.index
        if self.log.read(lambda state: _may_return(state, index)):
            serial = self.log.read(lambda state: state.members.returns.get(index, -1)) + 1
            self.log.post(Return(serial))
            self._wait(lambda state: index not in state.members.absent)
        self.steps.catch_up()
        self._wait(lambda state: not self._is_given_up(state))

    def _wait(self, question: Callable[[CeremonyState], bool]) -> None:
        """Wait until the log says so, for a while: the rest is looked at again."""
        self.log.wait_a_while(lambda state: question(state) or None, _PATIENCE_SECONDS)


def _may_return(state: CeremonyState, index: int) -> bool:
    return index in state.members.absent and state.members.may_return(index, state.size)


def _is_in_the_dark(state: CeremonyState) -> bool:
    """Tell whether some verdict waits until this operator holds an opened value."""
    return bool(state.awaiting_v)
