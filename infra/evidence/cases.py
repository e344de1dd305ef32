"""The accusations of a ceremony: who is said to have done what, by whom, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.board.equivocation import check_equivocation, read_equivocation
from infra.evidence.bundle import EQUIVOCATION, VERSION, Bundle, Included
from infra.files import disk_errors
from mpc_core.protocol.entries import (
    Answer,
    Blame,
    Confirmation,
    Decoded,
    Evidence,
    Reveal,
    Root,
)
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.justice import RECOMPUTED, Accusation

if TYPE_CHECKING:
    from pathlib import Path

    from infra.evidence.source import Source
    from mpc_core.protocol.entries import LogEntry
    from mpc_core.protocol.justice import Burn
    from mpc_core.protocol.opening import Opening

__all__ = ["Case", "bundle_of", "cases_of"]


@dataclass(frozen=True, slots=True)
class Case:
    """One accusation.

    Attributes:
        number: by which a person names it, from 1.
        accused: name of the operator.
        ground: "vector", "decoder", "recomputed" or "equivocation".
        batch: its name, "" where it is about the log.
        round: the decoder's round.
        accusers: names of those who show evidence.
        confirmed_by: names of those who say that they checked it.
        positions: log positions of evidence, blame and confirmations.
        verdict: what came of it.
    """

    number: int
    accused: str
    ground: str
    batch: str
    round: int
    accusers: tuple[str, ...]
    confirmed_by: tuple[str, ...]
    positions: tuple[int, ...]
    verdict: str


@dataclass(frozen=True, slots=True)
class _Found:
    """An accusation with the entries that make it; or a file of two heads."""

    accusation: Accusation
    entries: tuple[LogEntry, ...] = ()
    heads: Path | None = None


def cases_of(source: Source) -> tuple[Case, ...]:
    """Return every accusation, in the order of the log; contradicting heads last."""
    return tuple(_case(source, at, each) for at, each in enumerate(_found(source), 1))


def bundle_of(source: Source, number: int) -> Bundle:
    """Return the file of evidence of an accusation, complete in itself.

    Raises:
        CeremonyError: RF-EVIDENCE-004 if there is no such accusation, RF-EVIDENCE-005 if what it
            rests on is not here.
    """
    found = _found(source)
    if not 1 <= number <= len(found):
        raise CeremonyError(
            "RF-EVIDENCE-004",
            "there is no accusation with this number",
            expected=f"1 to {len(found)}" if found else "an accusation",
            found=str(number),
            effect="nothing was written",
            next_step="ringforge evidence list",
            runbook="infractions",
        )
    return _bundle(source, found[number - 1])


def _found(source: Source) -> list[_Found]:
    state = source.state
    made: dict[Accusation, list[LogEntry]] = {}
    void = {each.position for each in state.voids}
    for log in state.log:
        if isinstance(entry := log.entry, Evidence | Confirmation) and log.position not in void:
            what = Accusation(entry.accused, entry.ground, entry.context, entry.round)
            made.setdefault(what, []).append(log)
    found = [_Found(what, tuple(entries)) for what, entries in made.items()]
    for path in source.heads:
        with disk_errors(path):
            data = path.read_bytes()
        accused = check_equivocation(source.rules.plan, read_equivocation(data))
        found.append(_Found(Accusation(accused, EQUIVOCATION, b"", 0), (), path))
    return found


def _case(source: Source, number: int, found: _Found) -> Case:
    what, name_of, justice = found.accusation, source.rules.plan.name_of, source.state.justice
    shown = [log for log in found.entries if isinstance(log.entry, Evidence)]
    confirmed = [log for log in found.entries if isinstance(log.entry, Confirmation)]
    burn = _burn(source, what)
    position = justice.proven.get(what)
    if found.heads is not None:
        verdict = "proven by two signatures; nobody is excluded for it by rule"
    elif position is not None:
        verdict = f"excluded at entry {position}"
    else:
        needed = source.rules.plan.threshold + 1
        verdict = f"not confirmed by {needed}: {len(confirmed)} so far"
    opening = _opening(source, what)
    return Case(
        number,
        name_of(what.accused),
        what.ground,
        "" if opening is None else str(opening.name),
        what.round,
        tuple(name_of(log.author) for log in shown),
        tuple(name_of(log.author) for log in confirmed),
        tuple(sorted([log.position for log in found.entries] + ([burn.position] if burn else []))),
        verdict,
    )


def _opening(source: Source, what: Accusation) -> Opening | None:
    return next((o for o in source.state.ever_opened if o.context == what.context), None)


def _burn(source: Source, what: Accusation) -> Burn | None:
    burns = source.state.justice.burns if what.ground == RECOMPUTED else []
    return next((burn for burn in burns if burn.opening.context == what.context), None)


def _bundle(source: Source, found: _Found) -> Bundle:
    what, plan = found.accusation, source.plan
    if found.heads is not None:
        with disk_errors(found.heads):
            data = found.heads.read_bytes()
        return Bundle(VERSION, *plan, "", "", what.accused, what.ground, b"", 0, (), (), (data,))
    opening = _opening(source, what)
    assert opening is not None, "an accusation that counts is about an opening"
    tree, size = source.tree(), source.checkpoint.head.size
    positions = _concerned(source, found)
    head, certificate = source.notes()
    return Bundle(
        VERSION,
        *plan,
        head,
        certificate,
        what.accused,
        what.ground,
        what.context,
        what.round,
        tree.consistency(opening.rounds[what.round].position + 1, size),
        tuple(Included(at, source.envelopes[at], tree.inclusion(at, size)) for at in positions),
        _data(source, found, opening),
    )


def _concerned(source: Source, found: _Found) -> list[int]:
    """Return the positions of the entries that the accusation rests on."""
    what, burn = found.accusation, _burn(source, found.accusation)
    contexts = {what.context}
    if burn is not None:
        contexts = {revealed.opening.context for revealed in burn.revealed}
    void = {each.position for each in source.state.voids}
    chosen = [log.position for log in found.entries]
    for log in source.state.log:
        entry = log.entry
        own = len(log.signers) == 1 and log.author == what.accused
        about = getattr(entry, "context", b"") == what.context
        right_round = getattr(entry, "round", what.round) == what.round
        if log.position in void:
            continue
        if (
            (about and right_round and isinstance(entry, Decoded | Blame))
            or (about and right_round and own and isinstance(entry, Root | Answer))
            or (burn is not None and isinstance(entry, Reveal) and entry.context in contexts)
        ):
            chosen.append(log.position)
    return sorted(set(chosen))


def _data(source: Source, found: _Found, opening: Opening) -> tuple[bytes, ...]:
    what, burn = found.accusation, _burn(source, found.accusation)
    if burn is not None:
        roots = [each.opening.held_root for each in burn.revealed[1:]]
    else:
        shown = [log.entry.root for log in found.entries if isinstance(log.entry, Evidence)]
        here = [root for root in shown if source.blob(root) is not None]
        roots = (here or shown)[:1]
    data = [source.blob(root) for root in roots]
    if any(each is None for each in data):
        raise CeremonyError(
            "RF-EVIDENCE-005",
            f"what the accusation in batch {opening.name} rests on is not here",
            expected=f"{len(data)} blobs",
            found=f"{sum(each is not None for each in data)} of them",
            operator=source.rules.plan.name_of(what.accused),
            effect="nothing was written",
            next_step="ask an operator that has confirmed it, or take the transcript",
            runbook="infractions",
        )
    return tuple(each for each in data if each is not None)
