"""What an operator owes the log right now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mpc_core.protocol.context import BatchName  # noqa: TC001 - Temporal reads the hints
from mpc_core.protocol.entries import Acknowledgement, Answer
from mpc_core.protocol.key_setup import SetupPhase

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.key_setup import KeySetup
    from mpc_core.protocol.opening import Opening

__all__ = ["Owed", "owed_by", "slot_of"]

OwedKind = Literal[
    "kem-key", "contribution", "examined", "acknowledgement", "root", "decoded", "have", "answer"
]


@dataclass(frozen=True, slots=True)
class Owed:
    """An entry that an operator owes.

    Attributes:
        kind: kind of the entry.
        batch: the batch it belongs to, None in the setup.
        context: hex of that batch's context.
        round: round of contributions, or decoder round.
    """

    kind: OwedKind
    batch: BatchName | None = None
    context: str = ""
    round: int = 0

    @property
    def slot(self) -> str:
        """The name by which a summons lists it."""
        if self.kind == "contribution":
            return f"contribution/{self.round}"
        if self.kind in ("decoded", "answer"):
            return f"{self.kind}/{self.context}/{self.round}"
        return f"{self.kind}/{self.context}" if self.context else self.kind

    @property
    def summonable(self) -> bool:
        """Whether an operator may be summoned for it: answers and acknowledgements."""
        return self.kind in ("acknowledgement", "answer")


def owed_by(operator: int, setup: KeySetup, openings: Iterable[Opening]) -> tuple[Owed, ...]:
    """Return what this operator owes: in the setup, then batch by batch in the order given."""
    owed = list(_owed_in_setup(operator, setup))
    for opening in openings:
        owed.extend(_owed_in_batch(operator, opening))
    return tuple(owed)


def slot_of(entry: Entry) -> str:
    """Return the name by which a summons lists this entry, "" if nobody is summoned for such."""
    if isinstance(entry, Answer):
        return f"answer/{entry.context.hex()}/{entry.round}"
    return "acknowledgement" if isinstance(entry, Acknowledgement) else ""


def _owed_in_setup(operator: int, setup: KeySetup) -> Iterator[Owed]:
    if setup.phase is SetupPhase.KEM_KEYS and operator not in setup.kem_keys:
        yield Owed("kem-key")
    if setup.owes_contribution(operator):
        yield Owed("contribution", round=setup.closed)
    if setup.phase is SetupPhase.COMPLAINTS and operator not in setup.examined:
        yield Owed("examined")
    if setup.phase is SetupPhase.ACKNOWLEDGEMENTS and operator not in setup.acknowledgements:
        yield Owed("acknowledgement")


def _owed_in_batch(operator: int, opening: Opening) -> Iterator[Owed]:
    name, context = opening.name, opening.context.hex()
    if operator not in opening.roots:
        yield Owed("root", name, context)
    for turn in opening.rounds:
        if turn.decoded is None:
            if turn.decoder == operator and not turn.closed and opening.held is None:
                yield Owed("decoded", name, context, turn.number)
        elif operator not in turn.answers:
            yield Owed("answer", name, context, turn.number)
    turn_now = opening.current
    if turn_now is not None and turn_now.decoded is not None:
        holders = opening.haves.get(turn_now.decoded.root, ())
        if operator not in holders:
            yield Owed("have", name, context, turn_now.number)
