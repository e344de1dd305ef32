"""What an operator must remember to stay honest, in storage that is not rolled back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from infra.board import strict

# The types of fields are looked up when the state is read, so these are needed at run time.
from infra.board.moves import MoveRequest  # noqa: TC001
from infra.board.notes import Checkpoint, Head, HeadSignature  # noqa: TC001
from infra.guarded import read_guarded, write_guarded

if TYPE_CHECKING:
    from pathlib import Path

    from activities.ports import Store

__all__ = ["WITNESS", "FileVault", "Heard", "Start", "StoredVault", "WitnessState", "WitnessVault"]

WITNESS = "witness"
"""The name of the state in a store of sealed objects."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Start:
    """The head with which an epoch began; None for the empty log."""

    head: Head | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """The newest head that was seen under another operator's signature."""

    head: Head
    part: HeadSignature


@dataclass(frozen=True, slots=True)
class WitnessState:
    """What an operator must remember.

    Attributes:
        epoch: the newest epoch that it signed a move statement for, or that it entered.
        host: the move request that it answered, which says who hosts that epoch and where; None in
            epoch 0.
        signed: the last head that it signed in that epoch.
        certified: the highest certificate that it holds, of any epoch.
        start: with what that epoch began; None while n-t operators have not opened it.
        left: the epoch before it, in which nothing is signed any more.
        hosts: names of the parties that have hosted an epoch of the log since epoch 0.
        heard: of each other operator the newest head that it was seen to have signed, by its index:
            what it is told if it asks whether its own record is the newest.
    """

    epoch: int = 0
    host: MoveRequest | None = None
    signed: Head | None = None
    certified: Checkpoint | None = None
    start: Start | None = Start()
    left: int = 0
    hosts: tuple[str, ...] = ()
    heard: tuple[Heard, ...] = ()


class WitnessVault(Protocol):
    """Durable storage that is not rolled back."""

    def load(self) -> WitnessState | None:
        """Return the state saved last, or None if that is gone."""
        ...

    def save(self, state: WitnessState) -> None:
        """Return when the state survives a power failure."""
        ...


class FileVault:
    """The state in a file of the operator's vault."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self) -> None:
        """Write the state of an operator that has never signed; only who makes its home may."""
        self.save(WitnessState())

    def load(self) -> WitnessState | None:
        """Return the state saved last, or None if the file is gone or damaged."""
        return _state_in(read_guarded(self._path))

    def save(self, state: WitnessState) -> None:
        """Replace the file; return when it is durable."""
        write_guarded(self._path, strict.encode(state))


class StoredVault:
    """The state in a store of sealed objects."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self) -> None:
        """Write the state of an operator that has never signed; only who makes its home may."""
        self.save(WitnessState())

    def load(self) -> WitnessState | None:
        """Return the state saved last, or None if it is gone."""
        return _state_in(self._store.read(WITNESS))

    def save(self, state: WitnessState) -> None:
        """Replace it; return when it is durable."""
        self._store.write(WITNESS, strict.encode(state))


def _state_in(data: bytes | None) -> WitnessState | None:
    if data is None:
        return None
    try:
        return strict.decode(WitnessState, data)
    except strict.Malformed as error:
        _log.warning("the record of what was signed is damaged", reason=str(error))
        return None
