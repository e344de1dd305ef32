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
from dataclasses import asdict
from typing import TYPE_CHECKING

from infra.bench.assembly import measure_assembly
from infra.bench.batches import measure_batch
from infra.bench.kernels import ANY, measure_negacyclic, measure_prss
from infra.bench.machine import this_machine
from infra.bench.model import BenchReport, OpenedBytes, Sizes
from infra.bench.rates import measure_rates
from infra.bench.roofline import batch_needs, export_needs, negacyclic_needs, prss_needs, roof
from infra.bench.subject import Subject
from infra.bench.table import render
from infra.bench.timing import PORTABLE, aes_speed
from infra.estimate.work import key_set_bytes
from infra.leaves import hash_in_pairs
from infra.party.memory import keep_freed_memory
from infra.party.rules import layout_of
from infra.plan.sandbox import sandbox_plan
from infra.sandbox.warm import cache_folder, warm_kernels
from mpc_core.kernels.backend import kernel_mode
from mpc_core.sharing.sets import sets_of, zero_family
from mpc_core.tfhe.parameters import PARAMETER_SETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from infra.bench.model import AssemblyCost, BatchCost, KernelCost, Rates, Roof
    from mpc_core.preprocessing.batches import BatchLayout

__all__ = ["FULL", "bench_command", "measure"]

FULL = Sizes(
    committees=((4, 1), (13, 4)),
    parameters="mainnet",
    counted=tuple(PARAMETER_SETS),
    positions=1 << 20,
    polynomial_size=2048,
    repetitions=5,
    large_bytes=1 << 28,
)
RINGS = (64, 128)
WIDE = 128
WAITING_SECONDS = 60.0


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
    keep_freed_memory()  # as the parties of a ceremony do, and so is the next
    hash_in_pairs()
    report = measure(sizes, _say)
    text = json.dumps(asdict(report), indent=2) if as_json else render(report)
    sys.stdout.write(text + "\n")
    return 0


def measure(sizes: Sizes, say: Callable[[str], None]) -> BenchReport:
    """Measure everything: portable kernels, and those that this process would choose.

    Args:
        sizes: how much is measured.
        say: told what is measured next.
    """
    modes = tuple(dict.fromkeys((PORTABLE, kernel_mode())))
    say("measuring AES, memory and arithmetic ...")
    aes = aes_speed(sizes.repetitions)
    rates = measure_rates(aes, sizes.large_bytes, sizes.repetitions)
    subjects = [_subject(sizes.parameters, n, t) for n, t in sizes.committees]
    batches: list[BatchCost] = []
    for subject in subjects:
        positions = _positions(subject, sizes)
        for stage in (subject.layout.noise, subject.layout.products):
            for word_bits in RINGS:
                batch = _typical(stage, word_bits)
                say(f"measuring {batch.purpose}, {subject.plan.count} operators, K = {word_bits}")
                batches += measure_batch(subject, batch, modes, positions, sizes.repetitions)
    say("measuring kernels alone ...")
    kernels = (
        *(
            cost
            for subject in subjects
            for cost in measure_prss(
                subject.plan.count,
                subject.plan.threshold,
                modes,
                _positions(subject, sizes),
                sizes.repetitions,
            )
        ),
        *measure_negacyclic(sizes.polynomial_size, sizes.repetitions),
    )
    say("measuring the assembly ...")
    assembly = measure_assembly(subjects[0])
    return BenchReport(
        machine=this_machine(),
        repetitions=sizes.repetitions,
        aes=aes,
        rates=rates,
        opened=tuple(_opened_bytes(sizes)),
        batches=tuple(batches),
        kernels=kernels,
        assembly=assembly,
        roofs=tuple(_roofs(batches, kernels, assembly, sizes, rates)),
    )


def _subject(parameters: str, n: int, t: int) -> Subject:
    plan = sandbox_plan(
        operators=n, threshold=t, parameters=parameters, waiting_seconds=WAITING_SECONDS
    ).signed.plan
    return Subject(plan, layout_of(plan))


def _positions(subject: Subject, sizes: Sizes) -> int:
    """Return how many positions are measured: fewer where each costs more.

    They are always enough that the derivation of keys, which a batch pays once, does not count.
    """
    sets = len(sets_of(subject.plan.count, subject.plan.threshold, 1))
    return max(3 * sizes.positions // sets, sizes.positions // 16)


def _typical(batches: Sequence[BatchLayout], word_bits: int) -> BatchLayout:
    """Return the middle batch of a stage and ring, without floods."""
    chosen = [b for b in batches if b.word_bits == word_bits and b.purpose != "flood"]
    return chosen[len(chosen) // 2]


def _opened_bytes(sizes: Sizes) -> Iterator[OpenedBytes]:
    """Count what the random bits of whole key sets open, by ring."""
    for name in sizes.counted:
        for n, t in sizes.committees:
            layout = _subject(name, n, t).layout
            bits: dict[int, int] = defaultdict(int)
            opened: dict[int, int] = defaultdict(int)
            for batch in (*layout.noise, *layout.secrets):
                if batch.purpose != "flood":
                    bits[batch.word_bits] += batch.bits
                    opened[batch.word_bits] += batch.opened_bytes
            for word_bits in RINGS:
                count, size = bits[word_bits], opened[word_bits]
                yield OpenedBytes(name, n, word_bits, count, size, size / count)


def _roofs(
    batches: Sequence[BatchCost],
    kernels: Sequence[KernelCost],
    assembly: AssemblyCost,
    sizes: Sizes,
    rates: Rates,
) -> Iterator[Roof]:
    """Compare every step and kernel with what the machine can do at best."""
    for cost in batches:
        n, t = cost.operators, cost.threshold
        family = sum(1 in members for members in zero_family(n, t))
        taken = {**cost.steps_ns, "whole": cost.whole_ns}
        batch = f"{cost.kind}, n={n} K={cost.word_bits}"
        for step, needs in batch_needs(cost, len(sets_of(n, t, 1)), family).items():
            yield roof((batch, step), cost.mode, needs, taken[step], rates)
    for kernel in kernels:
        if kernel.operators:
            t = dict(sizes.committees)[kernel.operators]
            needs = prss_needs(
                len(sets_of(kernel.operators, t, 1)),
                _degree(batches, kernel.operators),
                WIDE,
                kernel.mode,
            )
            name = f"{kernel.name}, n = {kernel.operators}"
        else:
            needs = negacyclic_needs(sizes.polynomial_size, WIDE)
            name = f"{kernel.name}, N = {sizes.polynomial_size}"
        yield roof(("", name), kernel.mode, needs, kernel.nanoseconds, rates)
    size = key_set_bytes(PARAMETER_SETS[assembly.parameters])
    taken_ns = 1e9 * assembly.export_seconds / size
    yield roof(("", "export, a byte"), ANY, export_needs(), taken_ns, rates)


def _degree(batches: Sequence[BatchCost], operators: int) -> int:
    return next(cost.degree for cost in batches if cost.operators == operators)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
