"""`ringforge bench`: measure the steps of the protocol on this machine, and print them.

With `--json` one JSON object is written, whose fields are those of `infra.bench.model.BenchReport`
and are documented there. Times are CPU nanoseconds for each bit (or product) and operator, medians
of several repetitions; byte counts are exact. Progress goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from infra.bench.assembly import measure_assembly
from infra.bench.batches import BitsBatch, ProductsBatch
from infra.bench.machine import this_machine
from infra.bench.model import BenchReport, OpenedBytes, Sizes
from infra.bench.table import render
from infra.bench.timing import aes_speed
from infra.plan.layouts import cut_of
from infra.plan.sandbox import TESTS
from infra.sandbox.warm import cache_folder, warm_kernels
from mpc_core.preprocessing.layout import build_layout
from mpc_core.protocol.plan import Layout, TestRules
from mpc_core.ring.galois import degree_for
from mpc_core.tfhe.parameters import PARAMETER_SETS, lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mpc_core.preprocessing.batches import BatchLayout
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.tfhe.parameters import Parameters


__all__ = ["FULL", "bench_command", "measure"]

_LAYOUT = cut_of(lookup("test")).layout

FULL = Sizes(
    committees=((4, 1), (13, 4)),
    parameters="mainnet",
    counted=tuple(PARAMETER_SETS),
    bits=_LAYOUT.bits_per_batch,
    products=_LAYOUT.products_per_batch,
    repetitions=5,
    assembly_rows=None,
)
RINGS = (64, 128)
ASSEMBLED = "test"


def bench_command(*, as_json: bool, sizes: Sizes = FULL) -> int:
    """Measure, and write the result to standard output.

    Args:
        as_json: write JSON instead of a table.
        sizes: how much is measured.

    Returns:
        The exit code, 0.
    """
    folder = cache_folder()
    warm_kernels(folder, _say)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)
    report = measure(sizes, _say)
    text = json.dumps(asdict(report), indent=2) if as_json else render(report)
    sys.stdout.write(text + "\n")
    return 0


def measure(sizes: Sizes, say: Callable[[str], None]) -> BenchReport:
    """Measure everything.

    Args:
        sizes: how much is measured.
        say: told what is measured next.
    """
    say("measuring AES ...")
    aes = aes_speed(sizes.repetitions)
    say("counting opened bytes ...")
    opened = tuple(_opened_bytes(sizes))
    parameters = lookup(sizes.parameters)
    bits, products, assembly = [], [], []
    for n, t in sizes.committees:
        layout = _layout(parameters, n, sizes)
        for word_bits in RINGS:
            say(f"measuring random bits, {n} operators, K = {word_bits} ...")
            noise = _typical(layout.noise, word_bits)
            bits.append(BitsBatch(n, t, noise, _LAYOUT.leaf_bytes).measure(sizes.repetitions))
            say(f"measuring products, {n} operators, K = {word_bits} ...")
            batch = _typical(layout.products, word_bits)
            measured = ProductsBatch(n, t, batch, _LAYOUT.leaf_bytes, parameters)
            products.append(measured.measure(sizes.repetitions))
        say(f"measuring assembly, {n} operators ...")
        assembly.append(
            measure_assembly(lookup(ASSEMBLED), n, sizes.repetitions, sizes.assembly_rows)
        )
    return BenchReport(
        machine=this_machine(),
        repetitions=sizes.repetitions,
        aes=aes,
        opened=opened,
        bits=tuple(bits),
        products=tuple(products),
        assembly=tuple(assembly),
    )


def _layout(parameters: Parameters, n: int, sizes: Sizes) -> CeremonyLayout:
    """Lay out a ceremony as a sandbox does, with batches of the sizes to be measured."""
    plan = replace(
        Layout(**_LAYOUT.model_dump()),
        bits_per_batch=sizes.bits,
        products_per_batch=sizes.products,
    )
    return build_layout(parameters, plan, degree_for(n), TestRules(**TESTS.model_dump()))


def _typical(batches: Sequence[BatchLayout], word_bits: int) -> BatchLayout:
    """Return the middle batch of a stage and ring, without floods."""
    chosen = [b for b in batches if b.word_bits == word_bits and b.purpose != "flood"]
    return chosen[len(chosen) // 2]


def _opened_bytes(sizes: Sizes) -> Iterator[OpenedBytes]:
    """Count what the random bits of whole key sets open, by ring."""
    for name in sizes.counted:
        for n, _ in sizes.committees:
            layout = _layout(lookup(name), n, sizes)
            bits: dict[int, int] = defaultdict(int)
            opened: dict[int, int] = defaultdict(int)
            for batch in (*layout.noise, *layout.secrets):
                if batch.purpose != "flood":
                    bits[batch.word_bits] += batch.bits
                    opened[batch.word_bits] += batch.opened_bytes
            for word_bits in RINGS:
                count, size = bits[word_bits], opened[word_bits]
                yield OpenedBytes(name, n, word_bits, count, size, size / count)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
