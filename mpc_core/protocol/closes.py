"""What a close entry ends: a deadline, by the name of its slot (PROTOCOL.md, "Model")."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mpc_core.protocol.rules import VoidEntryError, require
from mpc_core.protocol.slots import refutation_in

if TYPE_CHECKING:
    from mpc_core.protocol.batches import Batches
    from mpc_core.protocol.entries import Close, LogEntry
    from mpc_core.protocol.key_setup import KeySetup
    from mpc_core.protocol.members import Members
    from mpc_core.protocol.tries import Tries

__all__ = ["Closes"]

MOST_DIGITS = 9
"""Of a number in a slot; Python refuses to convert very long ones."""


@dataclass(slots=True)
class Closes:
    """The deadlines that are over, and what their ends do.

    Attributes:
        setup: of which deadlines end.
        batches: of which deadlines end.
        members: who may be absent afterwards.
        tries: how often each was closed, validly or not.
        positions: log positions of the valid closes, by slot.
    """

    setup: KeySetup
    batches: Batches
    members: Members
    tries: Tries
    positions: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def take(self, log: LogEntry, entry: Close) -> None:
        """End the deadline that an entry names; who owed something is absent from now on."""
        self.tries.take(entry, entry.slot)
        self._close_slot(log, entry.slot)
        self.positions[entry.slot] = (*self.positions.get(entry.slot, ()), log.position)

    def _close_slot(self, log: LogEntry, slot: str) -> None:
        step, *rest = slot.split("/")
        if slot == "complaints":
            self.setup.close_complaints(log.position)
            return
        if step == "contributions" and len(rest) == 1:
            owing = self.setup.close_contributions(_number(rest[0]), self.members)
        elif slot == "kem-keys":
            owing = self.setup.close_kem_keys(self.members)
        else:
            owing = self._close_in_batch(log, step, rest)
        self.members.miss(owing, log.position)
        self.batches.touch_all()

    def _close_in_batch(self, log: LogEntry, step: str, rest: list[str]) -> frozenset[int]:
        require(bool(rest), "there is no such slot")
        opening = self.batches.named_by_hex(rest[0])
        match (step, rest[1:]):
            case ("roots", []):
                return opening.close_roots(self.members)
            case ("round", [number]):
                return opening.close_round(_number(number), self.members, log.position)
            case ("refuted", [_, _]):
                said = refutation_in(log.entry)
                require(said is not None, "there is no such slot")
                assert said is not None
                return opening.close_refuted(said, self.members, log.position)
            case ("answers", [number]):
                return opening.close_answers(_number(number), self.members)
            case ("recomputation", [number]):
                return opening.close_recomputation(_number(number))
        raise VoidEntryError("there is no such slot")


def _number(text: str) -> int:
    canonical = text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS
    require(canonical and text == str(int(text)), "there is no such slot")
    return int(text)
