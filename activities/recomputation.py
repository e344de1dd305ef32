"""A burnt batch, computed again from the batch keys that were posted (PROTOCOL.md, "Blame").

What an operator had to answer follows from these keys and the public openings alone. So everybody
finds the same lies: operators that confirm them, and whoever reads the log later.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from activities.work import work_of
from mpc_core.protocol.context import BatchContext
from mpc_core.protocol.errors import CeremonyError
from mpc_core.sharing.challenge import challenge
from mpc_core.sharing.prss import StreamKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from activities.operator import Operator
    from activities.work import BatchWork
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.justice import BatchKeys, Burn, Revealed
    from mpc_core.protocol.opening import Opening
    from mpc_core.ring.galois import RingArray
    from mpc_core.sharing.opening import Buffer

__all__ = ["lies", "wrong_rounds"]

_KEY_BYTES = 16


def lies(suspect: Operator, burn: Burn, opened: Callable[[Opening], memoryview]) -> tuple[int, ...]:
    """Return the rounds in which an operator answered otherwise than the posted keys say.

    Args:
        suspect: the operator's seat; of it only plan, layout and index are used.
        burn: the burnt batch, of which all keys are posted.
        opened: returns the value that held in an opening, which may be dead.

    Security: every key has more than t supporters, and reveals nothing about another batch.
    """
    work = _Recomputation(suspect, burn, opened).work()
    vector = b"".join(bytes(piece) for piece in work.share_pieces())
    return tuple(wrong_rounds(suspect, burn.opening, work, vector))


def wrong_rounds(
    operator: Operator, opening: Opening, work: BatchWork, vector: Buffer
) -> Iterator[int]:
    """Yield the rounds in which this operator posted an answer that the vector does not give."""
    for turn in opening.rounds:
        posted = turn.answers.get(operator.index)
        if posted is not None:
            drawn = challenge(operator.plan.hash, opening.context, turn.number, turn.log_root)
            if work.answer(drawn, vector) != posted:
                yield turn.number


@dataclass(frozen=True, slots=True)
class _Recomputation:
    """A burnt batch as another operator should have computed it."""

    seat: Operator
    burn: Burn
    opened: Callable[[Opening], memoryview]

    def work(self) -> BatchWork:
        """Return the work of the burnt batch for that operator."""
        burnt, *consumed = self.burn.revealed
        return self._work(burnt, _Consumed(self, {r.opening.rule.key: r for r in consumed}))

    def bits(self, revealed: Revealed) -> RingArray:
        """Return that operator's shares of a batch of key bits that the burnt one consumed."""
        v = self.opened(revealed.opening)
        shares = self._work(revealed, _Consumed(self, {})).shares(v)
        assert shares is not None, "key bits leave shares"
        return shares

    def _work(self, revealed: Revealed, earlier: _Consumed) -> BatchWork:
        opening = revealed.opening
        keys = revealed.right
        assert keys is not None, "all keys are posted"
        work = work_of(
            self.seat, self.seat.batch(opening.rule.key), BatchContext(opening.name), earlier
        )
        work.revealed = _streams(keys, self.seat.index)
        return work


class _Consumed:
    """What a burnt batch was made from, as another operator held it."""

    def __init__(self, recomputation: _Recomputation, bits: dict[BatchKey, Revealed]) -> None:
        self._bits = bits
        self.shares = cache(lambda key: recomputation.bits(self._bits[key]))

    def opening(self, key: BatchKey) -> memoryview:
        """Nothing before the seal is made from an opened value itself."""
        raise CeremonyError("RF-BATCH-012", f"batch {key} is not part of what was burnt")


def _streams(keys: BatchKeys, index: int) -> Callable[[str], dict[tuple[int, ...], StreamKey]]:
    """Return the posted keys of one operator's sets, by stream, as `BatchWork.keys` has them."""
    return lambda stream: {
        members: StreamKey(key[:_KEY_BYTES], key[_KEY_BYTES:])
        for (name, members), key in sorted(keys.items())
        if name == stream and index in members
    }
