"""Lies about others: blame, evidence, confirmations, keys of burnt batches, corrections."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mpc_core.adversary.batches import AnswersWronglyUnserved
from mpc_core.adversary.twin import Twin, flipped
from mpc_core.protocol.entries import (
    Answer,
    Blame,
    Confirmation,
    Correction,
    Evidence,
    Reveal,
    Unserved,
)
from mpc_core.protocol.justice import DECODER, RECOMPUTED, VECTOR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.state import CeremonyState

__all__ = [
    "BlamesWithoutCause",
    "ConfirmsWhatIsNot",
    "CorrectsOnPurpose",
    "KeepsKeysBack",
    "RevealsOtherKeys",
    "SaysUnserved",
    "ShowsFalseEvidence",
]


class BlamesWithoutCause(Twin):
    """It blames answers that fit."""

    def unasked(self, state: CeremonyState) -> Iterable[Entry]:
        """Blame all answers of a batch."""
        openings = [each for each in state.openings if each.rounds and each.rounds[0].answers]
        if not openings:
            return ()
        opening = self.luck.choice(openings)
        positions = tuple(
            log.position
            for log in state.log
            if isinstance(log.entry, Answer) and log.entry.context == opening.context
        )
        serial = state.next_try(Blame.kind, self.index)
        return (Blame(opening.name, opening.context, 0, positions, serial),)


class ConfirmsWhatIsNot(Twin):
    """It confirms every ground against everybody else."""

    def unasked(self, state: CeremonyState) -> Iterable[Entry]:
        """Confirm against somebody."""
        openings = [each for each in state.ever_opened if each.rounds]
        if not openings:
            return ()
        opening = self.luck.choice(openings)
        others = [each for each in state.quorum.everyone if each != self.index]
        ground = self.luck.choice((VECTOR, DECODER, RECOMPUTED))
        accused = self.luck.choice(others)
        return (Confirmation(accused, ground, opening.name, opening.context, 0),)


class ShowsFalseEvidence(Twin):
    """It accuses honest operators and confirms it itself."""

    def unasked(self, state: CeremonyState) -> Iterable[Entry]:
        """Accuse somebody who answered, or the decoder."""
        openings = [each for each in state.openings if each.rounds and each.rounds[0].answers]
        if not openings:
            return ()
        opening = self.luck.choice(openings)
        turn = opening.rounds[0]
        others = sorted(turn.answers.keys() & opening.roots.keys() - {self.index})
        if not others:
            return ()
        accused, ground = self.luck.choice(others), VECTOR
        root = opening.roots[accused]
        if self.luck.random() < 0.5:  # noqa: PLR2004
            accused, ground, root = turn.decoder, DECODER, bytes(32)
        about = (opening.name, opening.context, 0)
        return (
            Evidence(accused, ground, *about, root, 64),
            Confirmation(accused, ground, *about),
        )


class RevealsOtherKeys(AnswersWronglyUnserved):
    """It has a batch burnt and posts other batch keys than it should."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Spoil its keys."""
        if isinstance(entry, Reveal):
            entry = replace(entry, keys=flipped(entry.keys))
        return super().posts(entry, state)


class KeepsKeysBack(AnswersWronglyUnserved):
    """It has a batch burnt and posts no batch keys."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Keep keys back."""
        return () if isinstance(entry, Reveal) else super().posts(entry, state)


class CorrectsOnPurpose(Twin):
    """It has batch after batch drawn anew."""

    def unasked(self, state: CeremonyState) -> Iterable[Entry]:
        """Correct what was right."""
        mine = [
            each
            for each in state.openings
            if self.index in each.roots and each.rule.degree == "double"
        ]
        if not mine:
            return ()
        opening = self.luck.choice(mine)
        return (Correction(opening.name, opening.context),)


class SaysUnserved(Twin):
    """It says of everybody that its vector cannot be had."""

    def unasked(self, state: CeremonyState) -> Iterable[Entry]:
        """Say so of somebody."""
        others = [
            Unserved(opening.name, opening.context, operator)
            for opening in state.openings
            for operator in sorted(opening.roots.keys() - {self.index})
        ]
        return (self.luck.choice(others),) if others else ()
