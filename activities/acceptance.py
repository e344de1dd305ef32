"""Acceptance of the key set before it is announced (PROTOCOL.md, "Assembly").

Every operator rebuilds the export from seed and bodies and compares digests; the zero audit and the
test decryptions must come out right. People may still decline: a refusal is one missing signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.work.phases import acceptance_ciphertexts, decode_phases
from mpc_core.tfhe.keyset import bodies_of, key_set_digest, seed_of

if TYPE_CHECKING:
    from activities.batches import Batches
    from activities.operator import Operator
    from mpc_core.preprocessing.batches import BatchLayout

__all__ = ["Acceptance"]

_DIGEST = "key-set-digest"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What one operator does before it signs."""

    operator: Operator
    batches: Batches

    def rebuild(self) -> None:
        """Rebuild the key set from the public openings and note its digest."""
        with self.operator.lock("rebuild"):
            if self.operator.work.read(_DIGEST) is None:
                self.operator.work.write(_DIGEST, self._digest())

    def digest(self) -> bytes | None:
        """Return the digest of the key set that this operator rebuilt, None before it has."""
        return self.operator.work.read(_DIGEST)

    def objection(self) -> str:
        """Return why the key set must not be announced, "" if nothing speaks against it."""
        for batch in self.operator.layout.assembly:
            opening = self.batches.opening((batch.stage, batch.index))
            if batch.purpose == "audit" and any(opening):
                return f"the zero audit of the {batch.word_bits}-bit objects is not zero"
            expected = self.operator.plan.tests.plaintexts
            if batch.purpose == "tests" and self._test_values(batch, opening) != expected:
                return "a test decryption gave another plaintext than the plan's"
        return ""

    def _test_values(self, batch: BatchLayout, opening: memoryview) -> tuple[int | bool, ...]:
        plan, parameters = self.operator.plan, self.operator.parameters
        lists = acceptance_ciphertexts(plan, parameters, self.operator.layout, self._online)
        return decode_phases(plan, parameters, batch, opening, lists)

    def _online(self, index: int) -> memoryview:
        return self.batches.opening(("O", index))

    def _digest(self) -> bytes:
        operator = self.operator
        seed = seed_of(self._online(0))
        bodies = bodies_of(operator.parameters, operator.layout, self._online)
        return key_set_digest(operator.parameters, seed, operator.tag, bodies)
