"""What an operator gives to another one that lost it (PROTOCOL.md, "Recovery and destruction").

Only secrets of sets that contain both, so nothing that the asker is not to know. That it is the
asker, and not somebody who stole its identity key, shows in one of three ways: people vouched for
the key to which the answer is sealed; the asker has the rest of its vault; or, in the setup, the
log says that it cannot open what was sent to it. What it contributed itself it gets back on its
word: a set without a corrupted member has another honest contributor.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.children import may_be_sealed
from activities.recovery import shared_children
from mpc_core.protocol.context import OFFLINE, STAGES
from mpc_core.protocol.errors import CeremonyError
from mpc_core.sharing.recovery import children_of, proof_of_children, seal_answer
from mpc_core.sharing.sealing import KEM_PUBLIC_BYTES

if TYPE_CHECKING:
    from activities.operator import Operator
    from activities.strings import Strings
    from mpc_core.protocol.quorum import AccessSet
    from mpc_core.protocol.state import CeremonyState
    from mpc_core.sharing.recovery import Question

__all__ = ["Giving"]

_STRINGS = re.compile(r"strings/([1-9][0-9]?)/(0|[1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True)
class Giving:
    """One operator's answers to what others ask for."""

    operator: Operator
    strings: Strings

    def answer(self, question: Question) -> bytes:
        """Seal what a question asks for; its asker's signature was checked.

        Raises:
            CeremonyError: RF-RECOVER-002 if the asker does not get this, RF-RECOVER-003 if it is
                destroyed, RF-SETUP-001 if this operator lacks it itself.

        Security: nothing of N, S and M is given once the log has the seal, whether this operator
            has destroyed it already or not.
        """
        held = self._held(question)
        return seal_answer(self.operator.plan.hash, question, list(held), held)

    def _held(self, question: Question) -> dict[AccessSet, bytes]:
        """Return the secrets of the question's purpose, by set, for all sets with the asker."""
        own, asker = self.operator.index, question.asker
        others = set(range(1, self.operator.plan.count + 1)) - {own}
        if question.giver != own or asker not in others:
            raise self._refused("the question is for somebody else")
        if len(question.public_key) != KEM_PUBLIC_BYTES:
            raise self._refused("it names no KEM key")
        if reason := self.operator.log.read(lambda state: _standing(state, asker)):
            raise self._refused(reason)
        stage = next((each for each in STAGES if children_of(each) == question.purpose), "")
        if stage:
            return self._children(question, stage)
        return self._strings(question)

    def _children(self, question: Question, stage: str) -> dict[AccessSet, bytes]:
        early, destroyed = self.operator.log.read(
            lambda state: (
                state.setup.sealed_at is None,
                stage in OFFLINE and may_be_sealed(state),
            )
        )
        if early:
            raise self._refused("the setup is not sealed")
        if destroyed:
            raise CeremonyError(
                "RF-RECOVER-003",
                "the keys that an operator asks for are destroyed",
                operator=self.operator.plan.name_of(question.asker),
                stage=stage,
                expected="a question before the seal",
                found="the seal on the log",
                effect="nobody gives them any more; what followed from them cannot be made again",
                next_step="go on without that operator",
                runbook="lost-state",
            )
        if not self._vouched(question) and not self._proves(question):
            raise self._refused("nobody vouches for its key, and it has not shown its vault")
        return shared_children(self.operator, stage, question.asker)

    def _strings(self, question: Question) -> dict[AccessSet, bytes]:
        named = _STRINGS.fullmatch(question.purpose)
        place = (int(named[1]), int(named[2])) if named else (0, 0)
        setup, asker = self.operator.log.read(lambda state: state.setup), question.asker
        if place not in setup.contributions or setup.sealed_at is not None:
            raise self._refused("there are no such strings, or no more")
        own = place[0] == asker
        if not own and not self._vouched(question) and not setup.says_it_cannot_open(asker):
            raise self._refused("the log does not say that it cannot open what it was sent")
        held = self.strings.held(setup, place)
        return {each: held.get(each, b"") for each in self.strings.sets_with(setup, place, asker)}

    def _vouched(self, question: Question) -> bool:
        """Tell whether n-t operators vouched for the key to which the answer is sealed."""
        rejoin = self.operator.log.read(lambda state: state.members.rejoins.get(question.asker))
        return rejoin is not None and rejoin.key == hashlib.sha256(question.public_key).digest()

    def _proves(self, question: Question) -> bool:
        """Tell whether the asker has shown that it holds the children of another stage."""
        stage = question.proved_by
        if stage not in STAGES or children_of(stage) == question.purpose:
            return False
        shared = shared_children(self.operator, stage, question.asker)
        proof = proof_of_children(self.operator.plan.hash, question, list(shared.values()))
        return hmac.compare_digest(proof, question.proof)

    def _refused(self, reason: str) -> CeremonyError:
        return CeremonyError(
            "RF-RECOVER-002",
            f"an operator does not get the secrets that it asks for: {reason}",
            expected="a question about sets of both, and a reason on the log to answer it",
            found="another one",
            effect="nothing was given",
            next_step="an operator that lost its vault starts with --rejoin",
            runbook="lost-state",
        )


def _standing(state: CeremonyState, asker: int) -> str:
    return "it is excluded" if asker in state.members.excluded else ""
