"""What an operator does unasked: say where it is, come back after an absence, and catch up.

What is due after the seal it does also when no order comes: the order may have gone by unheard.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from mpc_core.protocol.entries import Address, Return
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from activities.steps import Steps
    from infra.party.log import PartyLog
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Presence"]

_PATIENCE_SECONDS = 5.0
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Presence:
    """Keeps this operator's address and its return on the log up to date.

    Attributes:
        log: the operator's log.
        steps: what it can do.
        address: where its outbox is served.
        failed: called when it cannot go on for a reason that is no CeremonyError.
    """

    log: PartyLog
    steps: Steps
    address: tuple[str, int]
    failed: Callable[[], None]
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Work until the process ends; what fails is reported and tried again."""
        try:
            while not self._stop.is_set():
                self._try(self.once)
        except BaseException:
            self.failed()
            raise

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except CeremonyError as error:
            _log.warning("presence", **{k: v for k, v in error.as_dict().items() if v})
            self._stop.wait(_PATIENCE_SECONDS)

    def once(self) -> None:
        """Do what is missing on the log from this operator, else wait for a while."""
        index = self.steps.operator.index
        address = self.log.read(lambda state: state.addresses.get(index))
        if address is None or (address.host, address.port) != self.address:
            serial = 0 if address is None else address.serial + 1
            self.log.post(Address(serial, *self.address))
            self._wait(lambda state: state.addresses.get(index) != address)
        elif self.log.read(lambda state: _is_given_up(state, index)):
            self._come_back(index)
        elif self.log.read(_is_in_the_dark):
            self.steps.hold_openings()
        elif lost := self.steps.batches.unserved():
            for key in lost:
                self.steps.batches.serve_again(key)
        elif duties := self.steps.duties():
            for duty in duties:
                self.steps.step(duty)
        else:
            self.steps.batches.tidy()
            self._wait(lambda state: _is_given_up(state, index) or _is_in_the_dark(state))

    def _come_back(self, index: int) -> None:
        """Post a return after an absence, then everything that was missed."""
        if self.log.read(lambda state: index in state.members.absent):
            serial = self.log.read(lambda state: state.members.returns.get(index, -1)) + 1
            self.log.post(Return(serial))
            self._wait(lambda state: index not in state.members.absent)
        self.steps.catch_up()
        self._wait(lambda state: not _is_given_up(state, index))

    def _wait(self, question: Callable[[CeremonyState], bool]) -> None:
        """Wait until the log says so, for a while: the rest is looked at again."""
        self.log.wait_a_while(lambda state: question(state) or None, _PATIENCE_SECONDS)


def _is_given_up(state: CeremonyState, index: int) -> bool:
    """Tell whether the ceremony does not wait for this operator, so gives it no orders."""
    return index in state.members.absent | state.members.written_off


def _is_in_the_dark(state: CeremonyState) -> bool:
    """Tell whether some verdict waits until this operator holds an opened value."""
    return bool(state.awaiting_v)
