"""Work on batches of an operator that lies, in memory or in a process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from activities.batches import Batches

if TYPE_CHECKING:
    from collections.abc import Callable

    from activities.ports import StagedBlob
    from activities.work import BatchWork
    from mpc_core.adversary.twin import Twin
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.context import BatchContext
    from mpc_core.sharing.opening import Pieces

__all__ = ["LyingBatches"]


@dataclass(frozen=True, slots=True)
class LyingBatches(Batches):
    """Work on batches whose vectors and openings a twin changes."""

    liar: Twin = field(kw_only=True)

    def _work(self, key: BatchKey, context: BatchContext) -> BatchWork:
        work = Batches._work(self, key, context)  # noqa: SLF001 - slots have no super()
        work.share_pieces = self._spoilt(key, work.share_pieces)  # type: ignore[method-assign]
        return work

    def _spoilt(self, key: BatchKey, pieces: Callable[[], Pieces]) -> Callable[[], Pieces]:
        def spoilt() -> Pieces:
            data = b"".join(bytes(piece) for piece in pieces())
            yield self.liar.vector(key[0], data)

        return spoilt

    def _open(self, key: BatchKey, work: BatchWork) -> tuple[dict[int, bytes], StagedBlob]:
        points, opening = Batches._open(self, key, work)  # noqa: SLF001 - as above
        data = bytes(opening.read())
        return points, self.operator.blobs.stage([self.liar.opening(key[0], data)])
