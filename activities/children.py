"""The keys of the stages at one operator: derived, kept, and got back when they are lost.

PROTOCOL.md, "PRSS keys" and "Recovery and destruction". From the setup seal on the log says what
every one of them has to be; one that is something else is never used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.operator import stage_key_name
from mpc_core.protocol.context import OFFLINE, STAGES
from mpc_core.protocol.entries import Seal
from mpc_core.sharing.recovery import children_of
from mpc_core.sharing.sets import sets_containing
from mpc_core.sharing.setup import reference, set_key, stage_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from activities.operator import Operator
    from activities.recovery import Recovery
    from activities.strings import Place, Strings
    from mpc_core.protocol.key_setup import KeySetup
    from mpc_core.protocol.quorum import AccessSet
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Children", "may_be_sealed"]

_SEED_BATCH = ("O", 0)
_CHILD_BYTES = 32


@dataclass(frozen=True, slots=True)
class Children:
    """The children of every set key, of one operator."""

    operator: Operator
    strings: Strings
    recovery: Recovery

    def derive(
        self, setup: KeySetup, strings: Mapping[Place, Mapping[AccessSet, bytes]]
    ) -> dict[AccessSet, dict[str, bytes]]:
        """Return the children of every set of which all strings are given."""
        plan_hash = self.operator.plan.hash
        children = {}
        for members in self.operator.own_sets():
            sources = setup.sources(members)
            places = [None if s.zeroed else (s.operator, s.round) for s in sources]
            if all(place is None or members in strings.get(place, {}) for place in places):
                used = [None if place is None else strings[place][members] for place in places]
                key = set_key(plan_hash, members, used)
                children[members] = stage_keys(plan_hash, members, key)
        return children

    def keep(self, children: Mapping[AccessSet, Mapping[str, bytes]]) -> None:
        """Put the children of all own sets into the vault, a file for each stage."""
        for stage in STAGES:
            self._write(stage, {members: each[stage] for members, each in children.items()})

    def missing(self) -> tuple[str, ...]:
        """Return the stages whose keys this operator has to hold and does not."""
        due = self.operator.log.read(lambda state: _stages_due(state, self.operator.index))
        return tuple(
            stage for stage in due if self.operator.vault.read(stage_key_name(stage)) is None
        )

    def are_due_unknown(self) -> bool:
        """Tell whether the log says too little, without some v, to know which keys are due."""
        return self.operator.log.read(lambda state: state.sealed is None and may_be_sealed(state))

    def settle(self, setup: KeySetup) -> None:
        """Have the right keys in the vault: those kept, those derived again, or those of others.

        What is derived again needs what the setup left in the vault; it is tried first, since it
        disturbs nobody. After the seal only what is still there to be derived is derived: nobody
        gives away keys of N, S and M any more.

        Raises:
            CeremonyError: RF-RECOVER-001, when keys can be had from nobody now.
        """
        wrong = self._wrong(setup, STAGES if self.operator.vault.names("setup") else self.missing())
        if any(wrong.values()):
            here = {place: self.strings.held(setup, place) for place in self.strings.needed(setup)}
            derived = self.derive(setup, here)
            for stage, sets in wrong.items():
                self._replace(setup, stage, {a: derived[a][stage] for a in sets if a in derived})
            wrong = self._wrong(setup, wrong)
        due = self.operator.log.read(lambda state: _stages_due(state, self.operator.index))
        for stage, sets in wrong.items():
            if sets and stage in due:
                self._replace(setup, stage, self._fetch(setup, stage, sets))

    # -- inside -----------------------------------------------------------------------------------

    def _wrong(
        self, setup: KeySetup, stages: Mapping[str, object] | tuple[str, ...]
    ) -> dict[str, set[AccessSet]]:
        """Return for each stage the sets whose right child is not in the vault."""
        found = {}
        for stage in stages:
            kept = self._kept(stage)
            found[stage] = {
                each
                for each in self.operator.own_sets()
                if not self._is_right(setup, each, stage, kept.get(each, b""))
            }
        return found

    def _kept(self, stage: str) -> dict[AccessSet, bytes]:
        if self.operator.vault.read(stage_key_name(stage)) is None:
            return {}
        keys = self.operator.stage_keys(stage)
        return dict(zip(keys.sets, keys.children, strict=True))

    def _is_right(self, setup: KeySetup, members: AccessSet, stage: str, child: bytes) -> bool:
        table = setup.references
        assert table is not None, "the setup is sealed"
        found = reference(self.operator.plan.hash, members, stage, child)
        return found == table[members, stage]

    def _fetch(self, setup: KeySetup, stage: str, sets: set[AccessSet]) -> dict[AccessSet, bytes]:
        plan, own = self.operator.plan, self.operator.index
        return self.recovery.fetch(
            children_of(stage),
            sets,
            lambda giver: sets_containing(plan.count, plan.threshold, tuple(sorted((own, giver)))),
            lambda members, child: self._is_right(setup, members, stage, child),
        )

    def _replace(self, setup: KeySetup, stage: str, new: Mapping[AccessSet, bytes]) -> None:
        """Take in children that are right; the file is written once it is whole."""
        right = {a: child for a, child in new.items() if self._is_right(setup, a, stage, child)}
        held = self._kept(stage) | right
        if right and len(held) == len(self.operator.own_sets()):
            self._write(stage, held)

    def _write(self, stage: str, children: Mapping[AccessSet, bytes]) -> None:
        data = b"".join(children[members] for members in self.operator.own_sets())
        self.operator.vault.write(stage_key_name(stage), data)


def may_be_sealed(state: CeremonyState) -> bool:
    """Tell whether N, S and M are sealed, or may be, as far as a log without some v tells."""
    if state.sealed is not None:
        return True
    return bool(state.awaiting_v) and any(isinstance(log.entry, Seal) for log in state.log)


def _stages_due(state: CeremonyState, index: int) -> tuple[str, ...]:
    """Return the stages whose keys an operator needs: of O only until it answered for the seed."""
    if state.setup.sealed_at is None or (state.sealed is None and may_be_sealed(state)):
        return ()
    opening = state.opening(_SEED_BATCH)
    rounds = () if opening is None else opening.rounds
    seed = () if any(index in turn.answers for turn in rounds) else ("O",)
    return seed if state.sealed is not None else (*OFFLINE, *seed)
