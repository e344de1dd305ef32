"""Secrets that an operator lost, got back from other members of their sets.

PROTOCOL.md, "Recovery and destruction". Whoever is asked may lie, so what comes is checked against
the log before it is used, and others are asked for what is still missing. Nobody else is disturbed:
these are direct calls.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from activities.operator import stage_key_name
from activities.rejoin import REJOIN_SEED
from mpc_core.protocol.context import STAGES
from mpc_core.protocol.errors import CeremonyError
from mpc_core.sharing.recovery import Question, children_of, open_answer, proof_of_children
from mpc_core.sharing.sealing import KEM_SEED_BYTES, kem_public_key
from mpc_core.sharing.sets import sets_containing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from activities.operator import Operator
    from mpc_core.protocol.quorum import AccessSet

__all__ = ["Recovery"]


@dataclass(frozen=True, slots=True)
class Recovery:
    """What one operator asks others for."""

    operator: Operator

    def fetch(
        self,
        purpose: str,
        missing: Iterable[AccessSet],
        sets_with: Callable[[int], tuple[AccessSet, ...]],
        is_right: Callable[[AccessSet, bytes], bool],
    ) -> dict[AccessSet, bytes]:
        """Get secrets back, each checked.

        Args:
            purpose: which secrets, as a question names them.
            missing: the sets whose secret is wanted.
            sets_with: the sets of such secrets that contain this operator and another one.
            is_right: tells whether a secret is the one that the log commits to.

        Raises:
            CeremonyError: RF-RECOVER-001, when some can be had from nobody now.
        """
        wanted = set(missing)
        found: dict[AccessSet, bytes] = {}
        refusals: list[str] = []
        for giver in self._givers():
            sets = sets_with(giver)
            if wanted.isdisjoint(sets):
                continue
            try:
                got = self._ask(giver, purpose, sets)
            except CeremonyError as refusal:
                refusals.append(f"{self.operator.plan.name_of(giver)}: {refusal}")
                continue
            right = {each: got[each] for each in wanted & got.keys() if is_right(each, got[each])}
            found |= right
            wanted -= right.keys()
        if wanted:
            raise CeremonyError(
                "RF-RECOVER-001",
                "secrets that this operator lost could not be got from the others",
                operator=self.operator.name,
                expected=f"{purpose} of every set from one of its members",
                found=f"{len(wanted)} sets are missing; " + "; ".join(refusals),
                effect="this operator asks again; the others go on without it",
                next_step="see that the operators named here run",
                runbook="lost-state",
            )
        return found

    def _givers(self) -> list[int]:
        count, own = self.operator.plan.count, self.operator.index
        excluded = self.operator.log.read(lambda state: frozenset(state.members.excluded))
        others = ((own - 1 + step) % count + 1 for step in range(1, count))
        return [index for index in others if index not in excluded]

    def _ask(
        self, giver: int, purpose: str, sets: tuple[AccessSet, ...]
    ) -> Mapping[AccessSet, bytes]:
        """Ask one operator, under the key that a rejoin named or a fresh one that is then gone."""
        rejoining = self.operator.vault.read(REJOIN_SEED)
        seed = rejoining or secrets.token_bytes(KEM_SEED_BYTES)
        question = Question(self.operator.index, giver, purpose, kem_public_key(seed))
        if rejoining is None:
            question = self._proven(question)
        sealed = self.operator.peers.ask(giver, question)
        return open_answer(self.operator.plan.hash, question, sets, sealed, seed)

    def _proven(self, question: Question) -> Question:
        """Prove that this operator has its vault, as far as another stage's children are there."""
        held = (
            stage
            for stage in STAGES
            if children_of(stage) != question.purpose
            and self.operator.vault.read(stage_key_name(stage)) is not None
        )
        stage = next(held, "")
        if not stage:
            return question
        named = replace(question, proved_by=stage)
        shared = shared_children(self.operator, stage, question.giver)
        proof = proof_of_children(self.operator.plan.hash, named, list(shared.values()))
        return replace(named, proof=proof)


def shared_children(operator: Operator, stage: str, other: int) -> dict[AccessSet, bytes]:
    """Return the children of a stage for the sets with another operator, in canonical order.

    Raises:
        CeremonyError: RF-SETUP-001, when this operator does not hold them.
    """
    keys = operator.stage_keys(stage)
    held = dict(zip(keys.sets, keys.children, strict=True))
    pair = tuple(sorted((operator.index, other)))
    plan = operator.plan
    return {each: held[each] for each in sets_containing(plan.count, plan.threshold, pair)}
