"""The whole way of one batch at one operator, step by step (PROTOCOL.md, "Opening a batch")."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from activities.shares import keep_shares
from infra.bench.model import BatchCost
from infra.bench.subject import cut_to, drain, joined
from infra.bench.timing import PORTABLE, gain_of_two_threads, in_mode, make_stream, median_times
from infra.leaves import leaf_root
from infra.stores import FileStore
from infra.sums import FileSums
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.merkle import chunk_root
from mpc_core.sharing.challenge import challenge
from mpc_core.sharing.sets import sets_of, zero_family

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from infra.bench.subject import Subject
    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.ring.galois import RingArray
    from mpc_core.sharing.opening import Buffer

__all__ = ["batch_cost", "kept_bytes", "measure_batch", "share_and_keep", "stream_bytes"]

AT = 1
"""The operator that is measured; the work of the others differs in constants only."""

WHOLE = {"share": 1, "open": 1, "keep": 1, "store": 1}
"""How often each step belongs to the way of a value from its streams to the disk."""
LONGER = 4
"""So many times more is made where threads are compared: deriving keys is the interpreter's work,
which two threads do one after the other."""
ALL = {**WHOLE, "check": 1, "answer": 2, "hash": 2, "write": 2}
"""How often each step happens at an operator that decodes: vector and v are answered for, hashed
and written."""


def measure_batch(
    subject: Subject, batch: BatchLayout, modes: Iterable[str], positions: int, repetitions: int
) -> tuple[BatchCost, ...]:
    """Measure every step of a batch with every kind of kernels, and AES on the same bytes beside.

    Args:
        subject: the committee.
        batch: a batch of degree 2t.
        modes: kinds of kernels.
        positions: bits or products of it that are measured, at most.
        repetitions: how often.
    """
    sample = cut_to(batch, positions, subject.parameters)
    streams = stream_bytes(subject, sample)
    with tempfile.TemporaryDirectory() as folder:
        tasks: dict[str, Callable[[], object]] = {"aes": lambda: make_stream(streams)}
        for mode in modes:
            for name, step in _steps(subject, sample, Path(folder), mode).items():
                tasks[f"{mode} {name}"] = _bound(mode, step)
        taken = median_times(tasks, repetitions)
        larger = cut_to(batch, LONGER * positions, subject.parameters)
        cache = FileSums(Path(folder), 1)
        gains = {}
        for mode in modes:
            with in_mode(mode):  # around both threads: the setting is the whole process's
                gains[mode] = gain_of_two_threads(
                    lambda: drain(subject.work(larger, cache=cache).share_pieces()), repetitions
                )
    return tuple(
        batch_cost(subject, sample, mode, _of_mode(taken, mode), (taken["aes"], gains[mode]))
        for mode in modes
    )


def batch_cost(
    subject: Subject,
    batch: BatchLayout,
    mode: str,
    taken: Mapping[str, float],
    beside: tuple[float, float],
) -> BatchCost:
    """Return the figures of a batch that follow from its times.

    Args:
        subject: the committee.
        batch: what was measured.
        mode: with which kernels.
        taken: nanoseconds of every step.
        beside: nanoseconds of AES on the same bytes, and the gain of two threads.
    """
    items = batch.bits or _products(subject, batch)
    steps = {name: nanoseconds / items for name, nanoseconds in taken.items()}
    whole = sum(count * steps[name] for name, count in WHOLE.items())
    everything = sum(count * steps[name] for name, count in ALL.items())
    aes = beside[0] / items
    return BatchCost(
        kind="random bits" if batch.groups else "products",
        mode=mode,
        operators=subject.plan.count,
        threshold=subject.plan.threshold,
        word_bits=batch.word_bits,
        degree=batch.degree,
        items=items,
        opened_bytes=batch.opened_bytes,
        opened_bytes_per_item=batch.opened_bytes / items,
        stream_bytes=stream_bytes(subject, batch),
        stream_bytes_per_item=stream_bytes(subject, batch) / items,
        kept_bytes=kept_bytes(batch),
        steps_ns=steps,
        whole_ns=whole,
        all_ns=everything,
        aes_ns=aes,
        whole_ratio=whole / aes,
        all_ratio=everything / aes,
        challenge_share=ALL["answer"] * steps["answer"] / everything,
        two_threads=beside[1],
    )


def stream_bytes(subject: Subject, batch: BatchLayout) -> int:
    """Return the key stream bytes of a share vector: one word for each secret and each mask."""
    n, t = subject.plan.count, subject.plan.threshold
    sets = len(sets_of(n, t, AT))
    family = sum(AT in members for members in zero_family(n, t))
    packed = batch.elements * batch.degree
    secrets = batch.bits or packed
    return (sets * secrets + family * packed) * batch.word_bits // 8


def kept_bytes(batch: BatchLayout) -> int:
    """Return the bytes of the shares that are kept: elements of products, or one for each body."""
    positions = sum(segment.count for segment in batch.segments)
    count = batch.elements if batch.stage == "M" else positions
    return count * batch.degree * batch.word_bits // 8


def share_and_keep(
    subject: Subject, batch: BatchLayout, opening: Buffer, folder: Path
) -> dict[str, Callable[[], object]]:
    """Return the steps that an operator does before and after the opening, to be done in turn.

    What the first one notes for the second lies in files of a folder, as in a ceremony.
    """
    cache = FileSums(folder, 1)

    def keep() -> None:
        work = subject.work(batch, cache=cache)
        work.shares(opening)
        cache.drop(work.context_id)

    return {
        "share": lambda: drain(subject.work(batch, cache=cache).share_pieces()),
        "keep": keep,
    }


def _steps(
    subject: Subject, batch: BatchLayout, folder: Path, mode: str
) -> Mapping[str, Callable[[], object]]:
    """Return every step of a batch, from its keys to what is kept."""
    work = subject.work(batch)
    indices = range(1, 2 * subject.plan.threshold + 2)
    vectors = {at: joined(subject.work(batch, at).share_pieces()) for at in indices}
    opening = joined(work.open_pieces(vectors))
    drawn = challenge(subject.plan.hash, bytes(32), 0, bytes(32))
    leaf_bytes = subject.plan.layout.leaf_bytes
    around = share_and_keep(subject, batch, opening, folder)
    hashed = chunk_root if mode == PORTABLE else leaf_root  # whose process hashes in pairs
    return {
        "share": around["share"],
        "open": lambda: drain(work.open_pieces(vectors)),
        "check": lambda: work.check_opening(opening),
        "answer": lambda: work.answer(drawn, vectors[AT]),
        "keep": around["keep"],
        "store": _storing(
            subject, work.shares(opening), BatchName(batch.stage, batch.index), folder
        ),
        "hash": lambda: hashed(vectors[AT], leaf_bytes),
        "write": lambda: (folder / "vector").write_bytes(vectors[AT]),
    }


def _storing(
    subject: Subject, shares: RingArray | None, batch: BatchName, folder: Path
) -> Callable[[], object]:
    """Return the step after `keep`, which makes shares and stores none of them."""
    assert shares is not None, "every measured batch leaves shares"
    vault, kept = (FileStore(folder / each) for each in ("vault", "kept"))
    operator = replace(subject.operator(AT), vault=vault, work=kept)
    return lambda: keep_shares(operator, batch, bytes(32), shares)


def _products(subject: Subject, batch: BatchLayout) -> int:
    rows = (
        (segment.count, item.product)
        for segment in batch.segments
        for item in subject.objects
        if item.number == segment.item
    )
    return sum(count * product.row_length for count, product in rows if product is not None)


def _bound(mode: str, task: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        with in_mode(mode):
            return task()

    return run


def _of_mode(taken: Mapping[str, float], mode: str) -> dict[str, float]:
    prefix = f"{mode} "
    return {
        name.removeprefix(prefix): nanoseconds
        for name, nanoseconds in taken.items()
        if name.startswith(prefix)
    }
