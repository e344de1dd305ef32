"""Lies in the key setup: strings, complaints, references."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mpc_core.adversary.twin import Twin, flipped
from mpc_core.protocol.entries import Acknowledgement, Complaint, Contribution, Examined, KemKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.state import CeremonyState

__all__ = [
    "AccusesEverybody",
    "AccusesOne",
    "ChangesItsKey",
    "KeepsReferencesBack",
    "KeepsStringsBack",
    "NamesOtherReferences",
    "SealsGarbage",
    "SendsOtherStrings",
]


class SealsGarbage(Twin):
    """Its ciphertext to one peer does not decrypt."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Spoil one ciphertext."""
        del state
        if isinstance(entry, Contribution) and entry.ciphertexts:
            victim = self.luck.randrange(len(entry.ciphertexts))
            spoilt = tuple(
                (peer, flipped(data, -1) if place == victim else data)
                for place, (peer, data) in enumerate(entry.ciphertexts)
            )
            entry = replace(entry, ciphertexts=spoilt)
        return (entry,)


class SendsOtherStrings(Twin):
    """Its commitments are to other strings than it sends."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Spoil one commitment."""
        del state
        if isinstance(entry, Contribution):
            victim = self.luck.randrange(len(entry.commitments))
            spoilt = tuple(
                flipped(each) if place == victim else each
                for place, each in enumerate(entry.commitments)
            )
            entry = replace(entry, commitments=spoilt)
        return (entry,)


class KeepsStringsBack(Twin):
    """It posts no contribution."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Keep the contribution back."""
        del state
        return () if isinstance(entry, Contribution) else (entry,)


class AccusesOne(Twin):
    """It complains about strings that are right."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Complain about somebody before it says that it has examined everything."""
        if isinstance(entry, Examined):
            others = [each for each in state.quorum.everyone if each != self.index]
            return (Complaint(self.luck.choice(others)), entry)
        return (entry,)


class AccusesEverybody(Twin):
    """It complains about everybody."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Complain about all others."""
        if isinstance(entry, Examined):
            others = [each for each in state.quorum.everyone if each != self.index]
            return (*map(Complaint, others), entry)
        return (entry,)


class NamesOtherReferences(Twin):
    """It says that it holds other stage keys than everybody else."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Spoil every reference."""
        del state
        if isinstance(entry, Acknowledgement):
            entry = replace(entry, references=tuple(map(flipped, entry.references)))
        return (entry,)


class KeepsReferencesBack(Twin):
    """It never acknowledges its keys."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Keep the acknowledgement back."""
        del state
        return () if isinstance(entry, Acknowledgement) else (entry,)


class ChangesItsKey(Twin):
    """It takes a new KEM key after the contributions, and complains that nothing decrypts."""

    def posts(self, entry: Entry, state: CeremonyState) -> Iterable[Entry]:
        """Post another key before it complains about everybody."""
        if isinstance(entry, Examined):
            others = [each for each in state.quorum.everyone if each != self.index]
            key = state.setup.kem_keys[self.index]
            return (KemKey(flipped(key)), *map(Complaint, others), entry)
        return (entry,)
