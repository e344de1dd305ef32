"""The name of a batch: what it is derived from, so that nothing is ever masked twice.

PROTOCOL.md, "PRSS keys": every batch key is derived from (plan hash, stage, generation, batch,
attempt, digests of every opened value the batch depends on).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

__all__ = ["OFFLINE", "BatchContext", "BatchName"]

STAGES = ("N", "S", "M", "O")
"""Noise, key bits (secrets), products (multiplications), assembly (online)."""
OFFLINE = ("N", "S", "M")
"""Stages of throw-away randomness, whose shares follow from keys that the seal destroys."""


def _field(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


@dataclass(frozen=True, slots=True, order=True)
class BatchName:
    """A batch of the layout and the try that is current."""

    stage: str
    batch: int
    generation: int = 0
    attempt: int = 0

    def __str__(self) -> str:
        text = f"{self.stage}-{self.batch:04d}"
        return (
            text
            if not (self.generation or self.attempt)
            else (f"{text}.g{self.generation}.a{self.attempt}")
        )


@dataclass(frozen=True, slots=True)
class BatchContext:
    """A batch with the digests (roots) of every opened value it depends on, in layout order."""

    name: BatchName
    dependencies: tuple[bytes, ...] = ()

    def encode(self, plan_hash: bytes) -> bytes:
        """Return the injective encoding that enters key derivation and challenges."""
        name = self.name
        numbers = (name.generation, name.batch, name.attempt, len(self.dependencies))
        return b"".join(
            (
                _field(b"ringforge/context/v1"),
                _field(plan_hash),
                _field(name.stage.encode()),
                *(number.to_bytes(8, "big") for number in numbers),
                *(_field(dependency) for dependency in self.dependencies),
            )
        )

    def identifier(self, plan_hash: bytes) -> bytes:
        """Return the 32 bytes by which log entries name this context."""
        return hashlib.sha256(self.encode(plan_hash)).digest()
