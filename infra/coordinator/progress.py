"""What the coordinator says while it waits: one JSON object a line, only when something changed."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from infra.estimate.costs import Machine
from infra.estimate.progress import Pace, agenda_of, done_of
from mpc_core.protocol.batch import BatchState
from mpc_core.protocol.decisions import PAUSE, RESUME
from mpc_core.protocol.key_setup import SetupPhase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from infra.coordinator.troubles import Trouble
    from infra.estimate.progress import Agenda
    from infra.party.log import PartyLog
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Progress", "say"]

_LOOK_SECONDS = 0.25
_QUIET_SECONDS = 5.0
"""After which the time left is said anew although nothing happened."""
_SETTLED = (BatchState.PROVISIONAL, BatchState.COMPLETE)
_STAGES = ("N", "S", "M", "O")
_SEAL = "seal"
_ORDER = ("keys", "N", "S", "M", _SEAL, "O")
_DECRYPTION = "decryption"


def say(event: str, **facts: object) -> None:
    """Write one event to standard output."""
    print(json.dumps({"event": event, **facts}), flush=True)  # noqa: T201 - the event stream


@dataclass
class Progress:
    """Watches the log and says how far each stage is, and whom the ceremony waits for.

    Attributes:
        log: the coordinator's log.
        layout: the ceremony's layout.
        names: returns an operator's name.
        ciphertext: Merkle root of a list that is decrypted; of nothing else is told then.
        clock: seconds that never go back.
        away: returns who does not call, and since when.
        troubles: returns whose steps fail again and again.
    """

    log: PartyLog
    layout: CeremonyLayout
    names: Callable[[int], str]
    ciphertext: bytes = b""
    clock: Callable[[], float] = time.monotonic
    away: Callable[[], Mapping[str, str]] = dict
    troubles: Callable[[], Sequence[Trouble]] = tuple
    _pace: Pace = field(default_factory=Pace)
    _said: dict[str, dict[str, object]] = field(default_factory=dict)
    _states: dict[str, str] = field(default_factory=dict)
    _seen: object = None
    _quiet_since: float = 0.0
    _leading: str = ""
    _waiting: tuple[tuple[str, ...], str] = ((), "")
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Look until `stop`."""
        while not self._stop.wait(_LOOK_SECONDS):
            self.look()

    def stop(self) -> None:
        """End `run`."""
        self._stop.set()

    def look(self) -> None:
        """Say what has changed since the last look; what is said follows from the log alone.

        Percent and time left are those of the whole ceremony; the first unfinished stage has them.
        """
        away, troubles = self.away(), [asdict(trouble) for trouble in self.troubles()]
        seen = self.log.read(
            lambda state: (state.size, state.awaiting_v, sorted(away), str(troubles))
        )
        if seen != self._seen:
            self._seen, self._quiet_since = seen, self.clock()
        elif self.clock() - self._quiet_since < _QUIET_SECONDS:
            return
        else:
            self._quiet_since = self.clock()
            self._said.pop(self._leading, None)  # its time left is another one by now
        pause = self._pause(away)
        waiting = pause or self._waiting_for()
        note, agenda = self._decided() or self._what_next(pause), self._agenda
        facts, done = self.log.read(lambda state: (self._facts(state), done_of(agenda, state)))
        self._pace.note(done, self.clock())
        untold = not self.ciphertext
        for stage in (_DECRYPTION,) if self.ciphertext else _ORDER:
            settled, total, bits = facts[stage]
            if not settled and stage not in self._states and not self._begun(stage, facts):
                continue
            self._note_stage(stage, done=settled >= total)
            said: dict[str, object] = {
                "stage": stage,
                "batches_done": settled,
                "batches": total,
                "bits_done": bits,
            }
            if self._states[stage] == "started":
                said |= {"waiting_for": list(waiting[0]), "waiting_since": waiting[1]}
                said |= {"note": note, "troubles": troubles}
                if untold:
                    said["percent"] = done.percent
                    self._leading, untold = stage, False
            if self._said.get(stage) != said:
                self._said[stage] = said
                say("progress", **said, **self._time_left(said))

    @cached_property
    def _agenda(self) -> Agenda:
        plan = self.log.read(lambda state: state.plan)
        return agenda_of(plan, self.layout, Machine.of(plan, len(os.sched_getaffinity(0))))

    def _time_left(self, said: dict[str, object]) -> dict[str, float]:
        """Return the seconds to the end of the ceremony, for whoever waits for something."""
        left = self._pace.seconds_left(self.clock())
        return {"seconds_left": round(left, 1)} if left is not None and "percent" in said else {}

    def _note_stage(self, stage: str, *, done: bool) -> None:
        if stage not in self._states:
            say("stage", stage=stage, state="started")
            self._states[stage] = "started"
        if done and self._states[stage] != "done":
            say("stage", stage=stage, state="done")
            self._states[stage] = "done"

    def _begun(self, stage: str, facts: dict[str, tuple[int, int, int]]) -> bool:
        """Tell whether a stage has begun: the first at once, others when their batches open.

        The seal comes when nothing else is left before it.
        """
        if stage == _SEAL:
            return all(facts[before][0] >= facts[before][1] for before in ("N", "S", "M"))
        return stage in ("keys", _DECRYPTION) or facts[f"{stage}/open"][0] > 0

    def _facts(self, state: CeremonyState) -> dict[str, tuple[int, int, int]]:
        phases = list(SetupPhase)
        facts = {"keys": (phases.index(state.setup.phase), len(phases) - 1, 0)}
        for stage in _STAGES:
            counts = state.progress(stage)
            settled = [
                batch
                for batch in self.layout.stage(stage)
                if state.status((stage, batch.index)).state in _SETTLED
            ]
            opened = sum(counts.values()) - counts[BatchState.WAITING]
            facts[stage] = (
                len(settled),
                len(self.layout.stage(stage)),
                sum(batch.bits for batch in settled),
            )
            facts[f"{stage}/open"] = (opened, 0, 0)
        facts[_SEAL] = (int(facts["O/open"][0] > 0), 1, 0)
        request = state.release.request_of(self.ciphertext)
        key = ("O", len(self.layout.assembly) + (request.serial if request else 0))
        decrypted = request is not None and state.status(key).state in _SETTLED
        facts[_DECRYPTION] = (int(decrypted), 1, 0)
        return facts

    def _pause(self, away: Mapping[str, str]) -> tuple[tuple[str, ...], str] | None:
        """Return who is away and since when they are too many, or None while n-t are here."""
        plan = self.log.read(lambda state: state.plan)
        if len(away) <= plan.threshold:
            return None
        return tuple(sorted(away)), sorted(away.values())[plan.threshold]

    def _decided(self) -> str:
        """Return what the operators decided to wait for, "" unless they paused the ceremony."""
        return self.log.read(_pause_by_decision)

    def _what_next(self, pause: tuple[tuple[str, ...], str] | None) -> str:
        """Return what happens next to a ceremony that stands still."""
        if pause is None:
            return ""
        plan = self.log.read(lambda state: state.plan)
        needed = len(pause[0]) - plan.threshold
        return (
            f"paused: {len(pause[0])} of {plan.count} operators are away and "
            f"{plan.threshold} may be; goes on by itself when {needed} of them "
            f"{'is' if needed == 1 else 'are'} back"
        )

    def _waiting_for(self) -> tuple[tuple[str, ...], str]:
        """Return whom the ceremony waits for, and since when it is just these."""
        names = self.log.read(
            lambda state: tuple(
                self.names(operator)
                for operator in sorted(set(state.waiting_for()) | _silent(state))
            )
        )
        if names != self._waiting[0]:
            self._waiting = (names, datetime.now(UTC).isoformat(timespec="seconds"))
        return self._waiting


def _pause_by_decision(state: CeremonyState) -> str:
    decisions = state.decisions
    if not decisions.is_paused:
        return ""
    pause = next(each for each in reversed(decisions.taken) if each.what == PAUSE)
    names = ", ".join(state.plan.name_of(operator) for operator, _ in pause.voices)
    reasons = "; ".join(reason for _, reason in pause.voices if reason) or "no reason given"
    needed = decisions.quorum(RESUME)
    return f"paused by decision of {names} ({reasons}); goes on when {needed} decide to resume"


def _silent(state: CeremonyState) -> set[int]:
    """Return absent operators without whose answers nothing can be sealed."""
    return {
        operator
        for operator in state.members.absent & state.members.accountable
        if state.summonable(operator)
    }
