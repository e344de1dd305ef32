"""Everything an operator can be ordered to do, and what it does unasked: catch up.

An order only says when. What a step does follows from the signed plan and from the operator's own
copy of the log, so a repeated, late or senseless order changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from activities.acceptance import Acceptance
from activities.batches import Batches
from activities.catch_up import CatchUp, owed_unordered
from activities.endorse import Endorser
from activities.evidence import Prosecutor
from activities.giving import Giving
from activities.justice import Judge
from activities.rejoin import Seat, out_of_seat
from activities.seal import Destruction
from activities.setup import KeySteps
from activities.stock import Stock
from activities.voices import Voices
from activities.wanted import Wanted
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from activities.operator import Operator
    from activities.ports import Meter
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.entries import Entry, Rejoin
    from mpc_core.protocol.state import CeremonyState
    from mpc_core.sharing.recovery import Question

__all__ = ["Steps"]

_KEYS = "keys"
_ASSEMBLY = "O"
_SEAL = "seal"


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of one operator, each charged to its stage."""

    operator: Operator
    meter: Meter
    seat: Seat
    keys: KeySteps
    giving: Giving
    batches: Batches
    stock: Stock
    acceptance: Acceptance
    endorser: Endorser
    destruction: Destruction
    judge: Judge
    prosecutor: Prosecutor
    wanted: Wanted
    voices: Voices

    @classmethod
    def of(cls, operator: Operator, meter: Meter) -> Steps:
        """Return the steps of an operator."""
        batches = Batches(operator)
        stock = Stock(operator, batches)
        acceptance = Acceptance(operator, batches)
        keys, seat = KeySteps.of(operator), Seat(operator)
        prosecutor = Prosecutor(operator)
        return cls(
            operator=operator,
            meter=meter,
            seat=seat,
            keys=keys,
            giving=Giving(operator, keys.strings),
            batches=batches,
            stock=stock,
            acceptance=acceptance,
            endorser=Endorser(operator, acceptance, seat, stock),
            destruction=Destruction(operator, batches),
            judge=Judge(operator, batches, prosecutor),
            prosecutor=prosecutor,
            wanted=Wanted(operator, batches),
            voices=Voices(operator),
        )

    def with_batches(self, batches: Batches) -> Steps:
        """Return these steps with another way to work on batches: watched, or a liar's."""
        stock = Stock(self.operator, batches)
        endorser = replace(self.endorser, stock=stock)
        return replace(self, batches=batches, stock=stock, endorser=endorser)

    def step(self, name: str) -> None:
        """Run a step outside the batches.

        Raises:
            CeremonyError: RF-ORDER-005 if there is no such step.
        """
        self.seat.require()
        if name not in self._steps():
            raise self._unknown(name)
        stage, act = self._steps()[name]
        with self.meter.stage(stage):
            act()

    def share(self, key: BatchKey) -> None:
        """Compute a share vector and post its root; RF-ORDER-005 if there is no such batch."""
        self._require(key)
        with self.meter.stage(key[0]):
            self.keys.settle()
            if key[0] == _ASSEMBLY:
                self.destruction.forget_seed_key()
            self.batches.share(key)

    def decode(self, key: BatchKey, number: int) -> None:
        """Open a batch, if it is this operator's turn; RF-ORDER-005 if there is no such batch."""
        self._require(key, number)
        with self.meter.stage(key[0]):
            self.keys.settle()
            self.batches.decode(key, number)

    def answer(self, key: BatchKey, number: int) -> None:
        """Vouch for the opening of a batch and answer its challenges up to that round.

        Raises:
            CeremonyError: RF-ORDER-005 if there is no such batch.
        """
        self._require(key, number)
        with self.meter.stage(key[0]):
            self.keys.settle()
            self.batches.answer(key, number)

    def wait_for_resumption(self) -> None:
        """Return while orders are followed: a pause that was decided is waited out.

        Raises:
            CeremonyError: RF-GOVERN-007 if the ceremony was aborted.
        """
        self.operator.log.wait_for(lambda state: None if state.decisions.is_paused else True)
        if self.is_aborted():
            raise CeremonyError(
                "RF-GOVERN-007",
                "the ceremony was aborted by its operators",
                operator=self.operator.name,
                expected="a ceremony that goes on",
                found="the decision on the log",
                effect="no order is followed, and nothing is destroyed",
                next_step="ringforge decisions shows who decided it, and why",
                runbook="governance",
            )

    def is_aborted(self) -> bool:
        """Tell whether the operators ended the ceremony: then nothing is done unasked either."""
        return self.operator.log.read(lambda state: state.decisions.abort is not None)

    def duties(self) -> tuple[str, ...]:
        """Return the steps after the seal that are due and that this operator has not done.

        Nobody has to order them: who was down when they were ordered finds them undone.
        """
        operator = self.operator
        audit = next(batch for batch in operator.layout.assembly if batch.purpose == "audit")
        due = operator.log.read(lambda state: _due(state, (audit.stage, audit.index)))
        undone = {
            "secure": not self.destruction.is_secured(),
            "forget_seed_key": self.destruction.needs_no_seed_key(),
            "rebuild": self.acceptance.digest() is None,
            "conclude": not self.destruction.is_concluded(),
        }
        return tuple(duty for duty in due if undone[duty])

    def objection(self, entry: Entry) -> str:
        """Return why this operator does not sign a statement, "" if it does."""
        if self.seat.is_out():
            return str(out_of_seat(self.operator))
        return self.endorser.objection(entry)

    def give(self, question: Question) -> bytes:
        """Seal to another operator what it lost, if it gets that.

        Raises:
            CeremonyError: RF-RECOVER-004 without a seat; otherwise as `Giving.answer`.
        """
        self.seat.require()
        return self.giving.answer(question)

    def objection_to_rejoin(self, entry: Rejoin) -> str:
        """Hear an operator that lost its state; return why it is not let in now, "" if it is.

        Raises:
            CeremonyError: RF-RECOVER-004 without a seat.
        """
        self.seat.hear(entry)
        return self.objection(entry)

    def catch_up(self) -> None:
        """Post whatever this operator owes, as far as it can be given now."""
        CatchUp(self).run()

    def owes_redone(self) -> bool:
        """Tell whether this operator owes something of a batch that nobody orders again."""
        index = self.operator.index
        return self.operator.log.read(lambda state: bool(owed_unordered(state, index)))

    def redo(self) -> None:
        """Post what this operator owes of batches that nobody orders again, as far as it can."""
        CatchUp(self).redo()

    def prosecutes(self) -> bool:
        """Tell whether there is evidence to show, or that of others to check."""
        return self.operator.log.read(self.prosecutor.is_needed)

    def judges(self) -> bool:
        """Tell whether something is due because answers contradict one another."""
        return self.operator.log.read(self.judge.is_needed)

    def hold_openings(self) -> None:
        """Fetch every opened value that a verdict waits for: without it the log says too little."""
        CatchUp(self).hold_openings()

    def _require(self, key: BatchKey, number: int = 0) -> None:
        """Refuse to work without a seat, or on what neither plan nor log knows.

        Whoever signs orders may lie, and the round of an order is not even signed.
        """
        self.seat.require()
        if number < 0 or not self.operator.log.read(lambda state: key in state.batches):
            raise self._unknown(f"round {number} of batch {key[0][:40]}-{key[1]}")

    def _unknown(self, subject: str) -> CeremonyError:
        return CeremonyError(
            "RF-ORDER-005",
            "an order is about something that this ceremony does not have",
            operator=self.operator.name,
            expected="a step, or a batch of the plan or of a request on the log",
            found=subject[:80],
            effect="nothing was done",
            next_step="ask the coordinator which version it runs",
            runbook="order-refused",
        )

    def _steps(self) -> Mapping[str, tuple[str, Callable[[], None]]]:
        return {
            "announce_kem_key": (_KEYS, self.keys.announce_kem_key),
            "contribute": (_KEYS, self.keys.contribute),
            "examine": (_KEYS, self.keys.examine),
            "acknowledge": (_KEYS, self.keys.acknowledge),
            "secure": (_SEAL, self._secure),
            "forget_seed_key": (_ASSEMBLY, self.destruction.forget_seed_key),
            "rebuild": (_ASSEMBLY, self.acceptance.rebuild),
            "conclude": (_ASSEMBLY, self._conclude),
        }

    def _secure(self) -> None:
        self.keys.settle()
        self.destruction.secure()

    def _conclude(self) -> None:
        self.keys.settle()
        self.destruction.conclude()


def _due(state: CeremonyState, audit: BatchKey) -> tuple[str, ...]:
    """Return what an operator does after the seal, after the bodies, and after the announcement.

    The context of the zero audit is known once all bodies are opened.
    """
    if state.release.announcement is not None:
        return ("conclude",)
    if state.sealed is None:
        return ()
    opened = state.context(audit) is not None
    after_seal = ("secure", "forget_seed_key")
    return (*after_seal, "rebuild") if opened and state.release.key_set is None else after_seal
