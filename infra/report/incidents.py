"""What went wrong in a ceremony, and what it cost: read off its public log after the end.

Thefts of orders and wrong clocks are no matter of the log; its hosts kept what Temporal's histories
say, and operators what they found of clocks.

Time is an estimate: a batch that was drawn anew costs what a batch of its stage took on average.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from infra.board import export, wire
from infra.coordinator.thieves import read_thefts
from infra.evidence.cases import cases_of
from infra.evidence.source import open_source
from infra.party.clock_notes import read_clock_notes
from infra.report.model import Incident
from infra.verify.attestations import refusals_by_code
from mpc_core.protocol.batch import Verdict
from mpc_core.protocol.entries import Blame, Correction, Evidence, Refused, WriteOff
from mpc_core.protocol.justice import DECODER, RECOMPUTED, VECTOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from infra.evidence.source import Source
    from mpc_core.protocol.plan import Plan
    from mpc_core.protocol.state import CeremonyState

__all__ = ["incidents_of"]

THEFTS = "*/work/thefts.json"
CLOCKS = "operators/*/work/clocks.json"
_TELLTALE = (Blame, Correction, Evidence, Refused, WriteOff)

_UNPROVEN = "its enclave did not prove what the plan asks for"
_REFUSED = {"RF-STORE-004": "its sealed store was taken back to an earlier moment"}
_STOPPED = "it stopped before it signed anything"

_CAUSE = {
    VECTOR: "its share vector does not give the answer that it signed",
    DECODER: "its v does not follow from the vectors that it listed",
    RECOMPUTED: "its answer is not that of the posted batch keys",
}
_DETECTION = {
    VECTOR: "an operator that held the vector showed it",
    DECODER: "the next decoder fetched the same vectors",
    RECOMPUTED: "contradicting answers, then everybody recomputed",
}


def incidents_of(
    root: Path, plan: Plan, stage_seconds: Mapping[str, float]
) -> tuple[Incident, ...]:
    """Return what went wrong, in the order of the log; nothing for most ceremonies.

    Args:
        root: the ceremony's folder with its transcript.
        plan: its plan.
        stage_seconds: seconds that each stage took.

    Raises:
        CeremonyError: what is wrong with the transcript, if something has to be read there.
    """
    return (*_logged(root, plan, stage_seconds), *_thefts(root), *_clocks(root))


def _logged(root: Path, plan: Plan, stage_seconds: Mapping[str, float]) -> tuple[Incident, ...]:
    entries = root / "transcript" / export.ENTRIES_FILE
    if not entries.is_file():
        return ()
    log = [wire.decode(data, plan).entry for data in export.parse_entries(entries.read_bytes())]
    if not any(isinstance(entry, _TELLTALE) for entry in log):
        return ()
    source = open_source(root)
    cost = _Cost(source.state, stage_seconds)
    return (
        *_lies(source, cost),
        *_refused(source.state, plan),
        *_faults(source.state, plan, cost),
    )


def _thefts(root: Path) -> Iterator[Incident]:
    """Yield who took orders that were another's, as any host of the log saw it."""
    for path in sorted(root.glob(THEFTS)):
        for theft in read_thefts(path):
            yield Incident(
                f"took {theft.orders} orders of {theft.owner}",
                theft.thief,
                "",
                f"{theft.owner} was late; nothing else came of it",
                "the history of a workflow names another worker than the queue's",
                0.0,
            )


def _clocks(root: Path) -> Iterator[Incident]:
    """Yield whose clock differed by more than the plan allows, as an operator found it."""
    for path in sorted(root.glob(CLOCKS)):
        for note in read_clock_notes(path):
            yield Incident(
                f"{note.what}: {note.code}",
                note.whose,
                "",
                "none by rule; its attestation documents may have been taken for old",
                f"{path.parents[1].name} measured it since {note.since}: {note.found}",
                0.0,
            )


class _Cost:
    """Seconds that batches cost which were drawn anew."""

    def __init__(self, state: CeremonyState, stage_seconds: Mapping[str, float]) -> None:
        worked = Counter(each.rule.stage for each in state.ever_opened if each.roots)
        self._each = {
            stage: stage_seconds.get(stage, 0.0) / count for stage, count in worked.items()
        }
        self._dead = [each for each in state.ever_opened if each.dead and each.roots]

    def of_batch(self, stage: str) -> float:
        """Return what one batch of a stage took."""
        return self._each.get(stage, 0.0)

    def of_death(self, stage: str, generation: int, attempt: int, batch: int) -> float:
        """Return what died with a batch: noise alone, key bits and products all together."""
        return sum(
            self.of_batch(each.rule.stage)
            for each in self._dead
            if (
                (each.name.batch, each.name.attempt) == (batch, attempt)
                if stage == each.rule.stage == "N"
                else stage != "N" != each.rule.stage and each.name.generation == generation
            )
        )


def _lies(source: Source, cost: _Cost) -> Iterator[Incident]:
    names = {str(each.name): each.name for each in source.state.ever_opened}
    for case in cases_of(source):
        if case.ground not in _CAUSE:
            continue
        name = names[case.batch]
        excluded = case.verdict.startswith("excluded")
        burnt = case.ground == RECOMPUTED
        lost = cost.of_batch(name.stage) if case.ground == DECODER else 0.0
        if burnt:
            lost = cost.of_death(name.stage, name.generation, name.attempt, name.batch)
        yield Incident(
            what=_CAUSE[case.ground] if excluded else "accused, and not confirmed",
            who=case.accused,
            batch=case.batch,
            consequence=case.verdict + ("; the batch was burnt and drawn anew" if burnt else ""),
            detection=_DETECTION[case.ground],
            seconds_lost=lost if excluded else 0.0,
        )


def _refused(state: CeremonyState, plan: Plan) -> Iterator[Incident]:
    """Yield whose enclave, or whose vault, was not what it has to be, as its peers said."""
    for (operator, code), refusals in refusals_by_code(state).items():
        name, played = plan.name_of(operator), refusals[0].is_of_another
        what = f"it showed the certificate of {name} and lacked the key" if played else _UNPROVEN
        kept_out = "it was kept out of every connection with them"
        yield Incident(
            f"{_REFUSED.get(code, what)}: {code}",
            f"somebody who played {name}" if played else name,
            "",
            _STOPPED if code in _REFUSED else kept_out + (f"; {name} did nothing" * played),
            "refused by " + ", ".join(plan.name_of(each.by) for each in refusals),
            0.0,
        )


def _faults(state: CeremonyState, plan: Plan, cost: _Cost) -> Iterator[Incident]:
    void = {each.position for each in state.voids}
    for log in state.log:
        entry = log.entry
        if log.position in void:
            continue
        if isinstance(entry, Correction):
            name = entry.batch
            yield Incident(
                "it found its own root or answer wrong",
                plan.name_of(log.author),
                str(name),
                "the batch was drawn anew; nothing was revealed",
                "it said so itself",
                cost.of_death(name.stage, name.generation, name.attempt, name.batch),
            )
        elif isinstance(entry, WriteOff):
            yield Incident(
                "it stayed silent after a summons",
                plan.name_of(entry.operator),
                "",
                f"written off at entry {log.position}",
                "n-t operators called it in vain",
                plan.deadlines.waiting_seconds,
            )
    for opening in state.ever_opened:
        for turn in opening.rounds:
            if turn.verdict is Verdict.ODD_V:
                yield Incident(
                    "answers refuted the opened value",
                    plan.name_of(turn.decoder),
                    str(opening.name),
                    "the round was repeated with another decoder",
                    "the challenge of the round",
                    cost.of_batch(opening.rule.stage),
                )
