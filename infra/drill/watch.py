"""What must never happen in a drill, whoever lies and whatever is lost.

Every vector that an honest operator serves is noted with the key of its mask, the first batch key
of its zero masks, and with the context that it is for; so is every root that it signs, and every
key that it reveals. Two different vectors under one key would show the difference of two secrets,
and one key for two contexts would show, once the first is burnt, what the second keeps secret.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from activities.batches import Batches
from activities.operator import Operator, StageKeys, stage_key_name
from activities.shares import PASSING
from infra.drill.stores import Mask
from mpc_core.protocol.context import OFFLINE
from mpc_core.protocol.entries import (
    Answer,
    Confirmation,
    Correction,
    Decoded,
    Have,
    Reveal,
    Root,
)
from mpc_core.protocol.justice import STREAM_KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from activities.work import BatchWork
    from infra.drill.operator import DrillOperator
    from infra.drill.stores import MemoryBlobs, MemoryStagedBlob
    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.context import BatchContext
    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.plan import Plan
    from mpc_core.protocol.state import CeremonyState
    from mpc_core.sharing.opening import Pieces
    from mpc_core.sharing.prss import StreamKey

__all__ = ["BrokenError", "Watch", "WatchedBatches", "WatchedOperator", "Witness"]

_ABOUT_BATCHES = (Root, Decoded, Have, Answer)
_ONLINE = "O"
_OFFLINE_KEYS = frozenset(map(stage_key_name, OFFLINE))
_DESTROYED = ("stage-keys/", "setup/", "shares-key", f"{PASSING}/")
"""How the names begin of what nobody keeps to the end."""


class BrokenError(Exception):
    """A rule of the protocol was broken."""


@dataclass
class Watch:
    """The eyes of a drill.

    Attributes:
        liars: who may be excluded.
        masks: root of the vector that was served under a mask, by operator and key.
        contexts: what a mask is for, by operator and key.
        masked: operators and roots of what they served under a mask, and what the mask is for.
        roots: root that an operator signed for a context.
        answers: what an operator answered in a round of a context.
        revealed: contexts of which batch keys were posted.
    """

    liars: frozenset[int]
    masks: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    contexts: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    masked: set[tuple[int, bytes, bytes]] = field(default_factory=set)
    roots: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    answers: dict[tuple[int, bytes, int], Answer] = field(default_factory=dict)
    revealed: set[bytes] = field(default_factory=set)

    def serves(self, operator: DrillOperator, blob: MemoryStagedBlob, label: str) -> None:
        """Check a blob that an operator serves from now on."""
        index = operator.index
        if index in self.liars:
            return
        if label == _ONLINE and operator.log.state.sealed is None:
            raise BrokenError(f"operator {index} serves values of the assembly before the seal")
        mask = blob.mask
        if mask is None:
            return
        self.masked.add((index, blob.root, mask.context))
        if self.masks.setdefault((index, mask.key), blob.root) != blob.root:
            raise BrokenError(f"operator {index} serves two vectors under one mask")
        if self.contexts.setdefault((index, mask.key), mask.context) != mask.context:
            raise BrokenError(f"operator {index} uses one mask for two contexts")

    def posts(self, operator: DrillOperator, entry: Entry) -> None:
        """Check an entry that an honest operator signs."""
        index, state = operator.index, operator.log.state
        if index in self.liars:
            return
        if isinstance(entry, _ABOUT_BATCHES) and entry.batch.stage == _ONLINE and not state.sealed:
            raise BrokenError(f"operator {index} opens something of the assembly before the seal")
        if isinstance(entry, Root):
            place = (index, entry.context)
            if self.roots.setdefault(place, entry.root) != entry.root:
                raise BrokenError(f"operator {index} signs two roots for {entry.batch}")
            known = (index, entry.root, entry.context) in self.masked
            if entry.batch.stage != _ONLINE and not known:
                raise BrokenError(f"operator {index} opens {entry.batch} under no known mask")
        if isinstance(entry, Answer):
            turn = (index, entry.context, entry.round)
            if self.answers.setdefault(turn, entry) != entry:
                raise BrokenError(f"operator {index} gives two answers for {entry.batch}")
        if isinstance(entry, Reveal):
            self._check_reveal(index, state, entry)
        self._check_words(index, entry)

    def _check_words(self, index: int, entry: Entry) -> None:
        """Check what an honest operator says of others and of itself."""
        if isinstance(entry, Confirmation) and entry.accused not in self.liars:
            raise BrokenError(f"operator {index} confirms against {entry.accused}, which is honest")
        if isinstance(entry, Correction):
            raise BrokenError(f"operator {index} admits a fault that it does not have")

    def removes(self, operator: DrillOperator, name: str) -> None:
        """Check what an operator destroys."""
        index = operator.index
        live = name in _OFFLINE_KEYS and operator.log.state.sealed is None
        if live and index not in self.liars and operator.vault.read(name) is not None:
            raise BrokenError(f"operator {index} destroys {name} before the seal")

    def judge_what_is_left(self, operator: DrillOperator) -> None:
        """Check that an operator that is done has destroyed what it must."""
        left = [name for name in operator.vault.kept if name.startswith(_DESTROYED)]
        left += operator.work.names(PASSING)
        if left:
            raise BrokenError(f"operator {operator.index} still has {sorted(left)}")

    def _check_reveal(self, index: int, state: CeremonyState, entry: Reveal) -> None:
        current = {opening.context for opening in state.openings if not opening.dead}
        if state.sealed is not None or entry.context in current:
            raise BrokenError(f"operator {index} reveals live batch keys of {entry.batch}")
        half = len(entry.keys) // 2  # where the keys of the zero masks begin
        key = entry.keys[half : half + STREAM_KEY_BYTES]
        if self.contexts.get((index, key), entry.context) != entry.context:
            raise BrokenError(f"operator {index} reveals keys of another batch than {entry.batch}")
        self.revealed.add(entry.context)

    def judge(self, state: CeremonyState, plan: Plan) -> None:
        """Check what the log says of everybody."""
        wronged = state.members.excluded - self.liars
        if wronged:
            raise BrokenError(f"honest operators are excluded: {sorted(wronged)}")
        lost = state.members.written_off | self.liars
        if len(lost) > plan.threshold:
            raise BrokenError(f"too many honest operators are written off: {sorted(lost)}")
        if len(state.justice.burns) > plan.threshold:
            raise BrokenError("there are more blames than liars")

    def judge_the_end(self, state: CeremonyState, plan: Plan) -> None:
        """Check what the whole log says."""
        self.judge(state, plan)
        if {state.status(key).context for key in state.batches} & {
            context.hex() for context in self.revealed
        }:
            raise BrokenError("a batch is used whose keys are revealed")


@dataclass
class Witness(Watch):
    """Eyes that also remember every share vector, by operator and stage."""

    vectors: defaultdict[tuple[int, str], list[bytes]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def serves(self, operator: DrillOperator, blob: MemoryStagedBlob, label: str) -> None:
        """Remember a masked blob."""
        super().serves(operator, blob, label)
        if blob.mask is not None:
            self.vectors[operator.index, label].append(blob.data)


@dataclass(frozen=True, slots=True)
class _WatchedKeys(StageKeys):
    """Stage keys that note which mask is derived for which context."""

    derived: dict[bytes, bytes]

    def batch_keys(
        self, context: bytes, stream: str, bits: int
    ) -> dict[tuple[int, ...], StreamKey]:
        """Derive the batch key of every set for one stream."""
        keys = StageKeys.batch_keys(self, context, stream, bits)
        if stream == "zero":
            first = keys[self.sets[0]]
            self.derived[context] = first.key + first.nonce
        return keys


@dataclass(frozen=True, slots=True)
class WatchedOperator(Operator):
    """An operator that notes which masks it derives.

    Attributes:
        derived: the mask of every context.
    """

    derived: dict[bytes, bytes] = field(kw_only=True)

    def stage_keys(self, stage: str) -> StageKeys:
        """Read the child keys of a stage from the vault."""
        keys = Operator.stage_keys(self, stage)
        return _WatchedKeys(keys.sets, keys.children, self.derived)


@dataclass(frozen=True, slots=True)
class WatchedBatches(Batches):
    """Work on batches that tells the blobs by what a share vector is masked."""

    operator: WatchedOperator
    blobs: MemoryBlobs = field(kw_only=True)

    def _work(self, key: BatchKey, context: BatchContext) -> BatchWork:
        work = Batches._work(self, key, context)  # noqa: SLF001 - slots have no super()
        work.share_pieces = self._masked(context, work.share_pieces)  # type: ignore[method-assign]
        return work

    def _masked(self, context: BatchContext, pieces: Callable[[], Pieces]) -> Callable[[], Pieces]:
        name = context.encode(self.operator.plan.hash)

        def masked() -> Pieces:
            self.operator.derived.pop(name, None)
            yield from pieces()
            key = self.operator.derived.get(name)
            if key is not None:  # the last act before it is staged
                self.blobs.mask = Mask(key, hashlib.sha256(name).digest())

        return masked
