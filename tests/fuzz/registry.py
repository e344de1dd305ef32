"""Fuzz targets: one function for every decoder of something that comes from outside.

A target takes bytes, decodes them and asserts what the decoder promises. It may raise the errors
that the decoder documents (`refusals`) and nothing else. To add one, write a function in a module
of this package under `@target(seeds=...)` and name the module in `targets.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.board.strict import Malformed
from mpc_core.protocol.errors import CeremonyError

CORPUS = Path(__file__).parent / "corpus"
Seeds = Callable[[], Iterable[bytes]]
LARGEST_INPUT = 8192
TARGETS: dict[str, Target] = {}


@dataclass(frozen=True)
class Target:
    """A decoder to be fuzzed; `seeds` makes valid inputs, from which mutations start."""

    name: str
    decode: Callable[[bytes], object]
    seeds: Seeds
    refusals: tuple[type[Exception], ...]

    @property
    def corpus(self) -> Path:
        return CORPUS / self.name

    def run(self, data: bytes) -> None:
        """Decode; only the documented refusals are swallowed."""
        try:
            self.decode(data)
        except self.refusals:
            return


def target(
    *,
    seeds: Seeds,
    refusals: tuple[type[Exception], ...] = (CeremonyError, Malformed),
) -> Callable[[Callable[[bytes], object]], Callable[[bytes], object]]:
    """Register a function as the target of its name."""

    def register(decode: Callable[[bytes], object]) -> Callable[[bytes], object]:
        name = decode.__name__.replace("_", "-")
        assert name not in TARGETS
        TARGETS[name] = Target(name, decode, seeds, refusals)
        return decode

    return register


def one_of(data: bytes, *decoders: Callable[[bytes], object]) -> None:
    """Let the first byte choose a decoder for the rest: several small ones are one target."""
    decoders[data[0] % len(decoders) if data else 0](data[1:])


def chosen(*seeds: Seeds) -> Seeds:
    """Return the seeds of several decoders, each behind the byte that chooses its decoder."""

    def all_of_them() -> Iterator[bytes]:
        for number, each in enumerate(seeds):
            yield from (bytes([number]) + data for data in each())

    return all_of_them
