"""The strings that keys are made of, at one operator: drawn, opened, or got from other members.

PROTOCOL.md, "PRSS keys". Whatever their way here, they count only if they match the commitments on
the log: also one's own, of which the vault may hold others than those once posted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError
from mpc_core.sharing.recovery import strings_of
from mpc_core.sharing.sealing import KEM_SEED_BYTES, kem_public_key
from mpc_core.sharing.setup import (
    STRING_BYTES,
    Rejected,
    SealedContribution,
    is_committed,
    open_contribution,
)

if TYPE_CHECKING:
    from activities.operator import Operator
    from activities.recovery import Recovery
    from mpc_core.protocol.key_setup import KeySetup
    from mpc_core.protocol.quorum import AccessSet

__all__ = ["Place", "Strings"]

Place = tuple[int, int]
"""Contributor and round."""

_KEM_SEED = "setup/kem-seed"
_ABSENT = bytes(STRING_BYTES)


@dataclass(frozen=True, slots=True)
class Strings:
    """The strings of one operator's sets. All of it is in the vault until the setup is sealed."""

    operator: Operator
    recovery: Recovery

    # -- one's own --------------------------------------------------------------------------------

    def public_key(self) -> bytes:
        """Return the KEM key of this operator, made when there is none."""
        return kem_public_key(self._kept(_KEM_SEED, KEM_SEED_BYTES))

    def can_open(self, setup: KeySetup) -> bool:
        """Tell whether this operator holds the KEM key that contributions are sealed to."""
        return self.public_key() == setup.kem_keys.get(self.operator.index)

    def drawn(self, number: int, sets: tuple[AccessSet, ...]) -> dict[AccessSet, bytes]:
        """Return what this operator contributes in a round, drawn once."""
        return _split(sets, self._kept(f"setup/strings-{number}", STRING_BYTES * len(sets)))

    # -- what is here -----------------------------------------------------------------------------

    def sets_with(self, setup: KeySetup, place: Place, other: int) -> tuple[AccessSet, ...]:
        """Return the sets of a contribution that contain this operator and another one."""
        pair = {self.operator.index, other}
        return tuple(each for each in setup.sets_asked(*place) if pair.issubset(each))

    def rejected(self, setup: KeySetup) -> tuple[int, ...]:
        """Return the contributors of whom something does not open, or misses its commitment."""
        wrong = {
            contributor
            for contributor, number in setup.contributions
            if isinstance(self._open(setup, (contributor, number)), Rejected)
        }
        return tuple(sorted(wrong))

    def held(self, setup: KeySetup, place: Place) -> dict[AccessSet, bytes]:
        """Return the strings of a contribution that are here and right."""
        sets = self.sets_with(setup, place, self.operator.index)
        stored = self.operator.vault.read(_name(place))
        found = _split(sets, stored) if stored is not None else {}
        if place[0] == self.operator.index:
            kept = self.operator.vault.read(f"setup/strings-{place[1]}")
            found |= _split(sets, kept) if kept is not None else {}
        else:
            opened = self._open(setup, place)
            found |= {} if isinstance(opened, Rejected) else opened
        return {each: text for each, text in found.items() if self._fits(setup, place, each, text)}

    # -- what counts ------------------------------------------------------------------------------

    def needed(self, setup: KeySetup) -> dict[Place, set[AccessSet]]:
        """Return of which contributions the strings of which sets make up this operator's keys."""
        needed: dict[Place, set[AccessSet]] = {}
        for members in self.operator.own_sets():
            for source in setup.sources(members):
                if not source.zeroed:
                    needed.setdefault((source.operator, source.round), set()).add(members)
        return needed

    def complete(self, setup: KeySetup) -> dict[Place, dict[AccessSet, bytes]]:
        """Return every string that counts; those that are not here come from other members.

        Raises:
            CeremonyError: RF-SETUP-002, when some can be had from nobody now.
        """
        return {
            place: self._completed(setup, place, sets) for place, sets in self.needed(setup).items()
        }

    # -- inside -----------------------------------------------------------------------------------

    def _completed(
        self, setup: KeySetup, place: Place, sets: set[AccessSet]
    ) -> dict[AccessSet, bytes]:
        held = self.held(setup, place)
        missing = sets - held.keys()
        if missing:
            held |= self._fetch(setup, place, missing)
            every = self.sets_with(setup, place, self.operator.index)
            data = b"".join(held.get(each, _ABSENT) for each in every)
            self.operator.vault.write(_name(place), data)
        return held

    def _fetch(
        self, setup: KeySetup, place: Place, missing: set[AccessSet]
    ) -> dict[AccessSet, bytes]:
        try:
            return self.recovery.fetch(
                strings_of(*place),
                missing,
                lambda giver: self.sets_with(setup, place, giver),
                lambda members, string: self._fits(setup, place, members, string),
            )
        except CeremonyError as error:
            raise CeremonyError(
                "RF-SETUP-002",
                f"strings that {self.operator.plan.name_of(place[0])} contributed are not here",
                operator=self.operator.name,
                stage="keys",
                expected="strings that match their commitments, from the contributor or a member",
                found=error.found,
                effect="this operator asks again; until it has them it does not acknowledge",
                next_step="see that the operators named here run",
                runbook="setup-stuck",
            ) from error

    def _fits(self, setup: KeySetup, place: Place, members: AccessSet, string: bytes) -> bool:
        entry = setup.contributions[place]
        at = setup.sets_asked(*place).index(members)
        plan_hash = self.operator.plan.hash
        return is_committed(plan_hash, members, place[0], string, entry.commitments[at])

    def _open(self, setup: KeySetup, place: Place) -> dict[AccessSet, bytes] | Rejected:
        """Open what a contributor sealed to this operator; nothing, when it shares no set."""
        index = self.operator.index
        sets = setup.sets_asked(*place)
        if place[0] == index or not any(index in members for members in sets):
            return {}
        seed = self.operator.vault.read(_KEM_SEED)
        if seed is None:
            return Rejected("no KEM key is here")
        entry = setup.contributions[place]
        return open_contribution(
            self.operator.plan.hash,
            place[0],
            index,
            sets=sets,
            sealed=SealedContribution(entry.commitments, entry.ciphertexts),
            seed=seed,
        )

    def _kept(self, name: str, length: int) -> bytes:
        """Return random bytes that are drawn once and kept until the setup is sealed."""
        kept = self.operator.vault.read(name)
        if kept is None:
            kept = self.operator.random(name, length)
            self.operator.vault.write(name, kept)
        return kept


def _name(place: Place) -> str:
    """Return the vault's name of strings that other members gave back."""
    return f"setup/recovered-{place[0]}-{place[1]}"


def _split(sets: tuple[AccessSet, ...], data: bytes) -> dict[AccessSet, bytes]:
    return {
        members: data[STRING_BYTES * place : STRING_BYTES * (place + 1)]
        for place, members in enumerate(sets)
    }
