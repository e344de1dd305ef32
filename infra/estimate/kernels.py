"""Measures what the steps cost on this machine, with the functions that operators call.

Every measurement takes a small batch of the plan, of the middle of its stage, and lets one operator
work on it while the other cores do as well: CPU times of one thread, medians of a few repetitions,
a first one not counted. It takes some seconds. Only `sync_byte` depends on how fast the disk is,
and nothing on the network.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from activities.shares import keep_shares, stored_shares
from infra.bench.batches import share_and_keep
from infra.bench.subject import Subject, cut_to, drain, joined
from infra.bench.timing import median_times
from infra.estimate.company import in_company
from infra.estimate.costs import Costs, ElementCosts
from infra.estimate.log import points_of
from infra.estimate.network import carry_costs
from infra.estimate.work import key_set_bytes
from infra.leaves import leaf_root
from infra.sandbox.warm import cache_folder
from infra.stores import FileStore
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.quorum import Quorum
from mpc_core.protocol.setup import sets_contributed_by, sets_of
from mpc_core.ring.galois import Ring
from mpc_core.sharing.challenge import CombinationSum, challenge
from mpc_core.sharing.sealing import KEM_SEED_BYTES, kem_public_key
from mpc_core.sharing.setup import (
    STRING_BYTES,
    contribute,
    open_contribution,
    references,
    set_key,
    stage_keys,
)
from mpc_core.tfhe.keyset import key_set_digest
from mpc_core.tfhe.objects import public_objects
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.plan import Plan
    from mpc_core.tfhe.objects import PublicObject
    from mpc_core.tfhe.parameters import Parameters

__all__ = ["measure_costs", "measure_export", "measure_rows"]

REPETITIONS = 3
MEASURED = ("noise", "bits", "products", "bodies")
MOST_POSITIONS, LEAST_POSITIONS = 3 << 18, 1 << 16
"""Bits, products or bodies of a measured batch, the more sets there are the fewer: enough that the
derivation of keys, which a batch pays once, does not count."""
BODIES = 1 << 15
"""Bodies that are measured of each object."""
FILE_BYTES = 1 << 24
SYNCED_BYTES = 1 << 28
NARROW = 64
EXPORTED = "test"
"""Its key files have all objects of the large sets and take a moment."""


def measure_costs(plan: Plan, layout: CeremonyLayout, say: Callable[[str], None]) -> Costs:
    """Measure the costs of a plan's steps on one core of this machine, while no other is idle.

    Args:
        plan: the plan.
        layout: its batches.
        say: told what is measured next.
    """
    subject, quorum = Subject(plan, layout), Quorum.of(plan)
    positions = max(MOST_POSITIONS // len(sets_of(1, quorum)), LEAST_POSITIONS)
    with in_company(_a_batch(subject, cut_to(layout.noise[0], positions, subject.parameters))):
        return _measure_costs(subject, quorum, positions, say)


def _a_batch(subject: Subject, batch: BatchLayout) -> Callable[[], object]:
    """Return what others do meanwhile: a share vector is made, and answered for."""
    work, drawn = subject.work(batch), challenge(subject.plan.hash, bytes(32), 0, bytes(32))

    def task() -> None:
        work.answer(drawn, joined(work.share_pieces()))

    task()  # loads the kernels
    return task


def _measure_costs(
    subject: Subject, quorum: Quorum, positions: int, say: Callable[[str], None]
) -> Costs:
    layout, plan = subject.layout, subject.plan
    elements = {}
    for batch in _typical(layout):
        say(f"measuring {batch.purpose} mod 2^{batch.word_bits} ...")
        sample = cut_to(batch, positions, subject.parameters)
        elements[batch.purpose, batch.word_bits] = _measure_batch(subject, sample, quorum)
    say("measuring bodies ...")
    rows = {item.number: measure_rows(subject, item) for item in public_objects(subject.parameters)}
    say("measuring files, network and key setup ...")
    send_byte, receive_byte = carry_costs(plan.layout.leaf_bytes, REPETITIONS)
    hash_byte, write_byte = _measure_file(plan.layout.leaf_bytes)
    keep_byte, load_byte = _measure_shares(subject)
    return Costs(
        elements=elements,
        rows=rows,
        hash_byte=hash_byte,
        write_byte=write_byte,
        keep_byte=keep_byte,
        load_byte=load_byte,
        send_byte=send_byte,
        receive_byte=receive_byte,
        export_byte=measure_export(),
        sync_byte=_measure_sync(),
        setup=_measure_setup(quorum),
    )


def _typical(layout: CeremonyLayout) -> Iterator[BatchLayout]:
    """Yield the middle batch of each purpose and ring."""
    batches = (*layout.noise, *layout.secrets, *layout.products, *layout.assembly)
    for purpose in MEASURED:
        for bits in (64, 128):
            found = [b for b in batches if b.purpose == purpose and b.word_bits == bits]
            if found:
                yield found[len(found) // 2]


def _measure_batch(subject: Subject, batch: BatchLayout, quorum: Quorum) -> ElementCosts:
    indices = range(1, points_of(batch, quorum) + 1)
    if batch.stage == "O":  # bodies are measured by rows, from shares that are zero
        vectors = dict.fromkeys(indices, memoryview(bytes(batch.opened_bytes)))
    else:
        vectors = {index: joined(subject.work(batch, index).share_pieces()) for index in indices}
    work = subject.work(batch)
    opening = joined(work.open_pieces(vectors))
    drawn = challenge(subject.plan.hash, bytes(32), 0, bytes(32))
    tasks: dict[str, Callable[[], object]] = {
        "open": lambda: drain(work.open_pieces(vectors)),
        "check": lambda: work.check_opening(opening),
        "answer": lambda: work.answer(drawn, vectors[1]),
        "answer of a batch": CombinationSum(drawn, work.ring).result,
    }
    with tempfile.TemporaryDirectory() as folder:
        if batch.stage != "O":
            tasks |= share_and_keep(subject, batch, opening, Path(folder))
        taken = median_times(tasks, REPETITIONS)
    scale = 1e9 * batch.elements
    return ElementCosts(
        share=taken.get("share", 0.0) / scale,
        open=taken["open"] / scale,
        check=taken["check"] / scale,
        answer=max(taken["answer"] - taken["answer of a batch"], 0.0) / scale,
        keep=taken.get("keep", 0.0) / scale,
    )


def measure_rows(subject: Subject, item: PublicObject) -> float:
    """Return the seconds that the shares of one row of an object take."""
    batches = subject.layout.assembly
    batch, segment = next(
        (batch, run)
        for batch in batches
        if batch.purpose == "bodies"
        for run in batch.segments
        if run.item == item.number
    )
    alone = cut_to(replace(batch, segments=(segment,)), BODIES, subject.parameters)
    taken = median_times({"rows": lambda: drain(subject.work(alone).share_pieces())}, REPETITIONS)
    return taken["rows"] / (1e9 * alone.segments[0].count)


def _measure_file(leaf_bytes: int) -> tuple[float, float]:
    """Return the seconds that hashing and writing a byte takes."""
    data = memoryview(bytes(FILE_BYTES))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "blob"
        taken = median_times(
            {
                "hash": lambda: leaf_root(data, leaf_bytes),
                "write": lambda: path.write_bytes(data),
            },
            REPETITIONS,
        )
    return taken["hash"] / (1e9 * FILE_BYTES), taken["write"] / (1e9 * FILE_BYTES)


def _measure_sync() -> float:
    """Return the wall seconds that a byte needs to reach the disk."""
    data, taken = bytes(SYNCED_BYTES), []
    for _ in range(REPETITIONS):
        with tempfile.NamedTemporaryFile(dir=cache_folder(), buffering=0) as file:
            start = time.perf_counter()
            file.write(data)
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - start)
    return statistics.median(taken) / SYNCED_BYTES


def _measure_shares(subject: Subject) -> tuple[float, float]:
    """Return the seconds that storing and reading a byte of shares takes."""
    ring = Ring(NARROW, subject.layout.degree)
    shares = ring.zeros(FILE_BYTES // (NARROW // 8 * ring.degree))
    name, root = BatchName("N", 0), bytes(32)
    with tempfile.TemporaryDirectory() as folder:
        vault, work = (FileStore(Path(folder) / each) for each in ("vault", "work"))
        operator = replace(subject.operator(1), vault=vault, work=work)
        taken = median_times(
            {
                "keep": lambda: keep_shares(operator, name, root, shares),
                "load": lambda: stored_shares(operator, name, root, ring),
            },
            REPETITIONS,
        )
    return taken["keep"] / (1e9 * shares.nbytes), taken["load"] / (1e9 * shares.nbytes)


def measure_export() -> float:
    """Return the seconds that a byte of key files takes, rebuilt from bodies and hashed."""
    parameters: Parameters = lookup(EXPORTED)
    bodies = {
        item.number: np.zeros(
            (item.bodies, 2) if item.word_bits > NARROW else item.bodies, np.uint64
        )
        for item in public_objects(parameters)
    }
    taken = median_times(
        {"export": lambda: key_set_digest(parameters, bytes(16), bytes(16), bodies)}, REPETITIONS
    )
    return taken["export"] / (1e9 * key_set_bytes(parameters))


def _measure_setup(quorum: Quorum) -> float:
    """Return the seconds that an operator spends on the key setup."""
    plan_hash, seeds = bytes(32), {at: os.urandom(KEM_SEED_BYTES) for at in quorum.everyone}
    public = {at: kem_public_key(seed) for at, seed in seeds.items()}
    asked = sets_contributed_by(1, quorum)
    strings = {members: os.urandom(STRING_BYTES) for members in asked}

    def act() -> None:
        sealed = contribute(plan_hash, 1, strings, public)
        for _ in range(2 * (quorum.count - 1)):  # once to complain, once to derive
            open_contribution(plan_hash, 1, 2, sets=asked, sealed=sealed, seed=seeds[2])
        children = {
            members: stage_keys(
                plan_hash, members, set_key(plan_hash, members, [bytes(32)] * quorum.threshold)
            )
            for members in sets_of(1, quorum)
        }
        references(plan_hash, children)

    return median_times({"setup": act}, REPETITIONS)["setup"] / 1e9
