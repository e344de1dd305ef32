"""The report of a measurement as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.bench.timing import PAIRS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from infra.bench.model import BatchCost, BenchReport

__all__ = ["render"]

MICROSECOND = 1000


def render(report: BenchReport) -> str:
    """Return the report as lines for a person."""
    return "\n".join(_lines(report))


def _lines(report: BenchReport) -> Iterator[str]:
    machine, rates = report.machine, report.rates
    libraries = ", ".join(f"{name} {version}" for name, version in machine.libraries.items())
    yield f"{machine.cpu}, {machine.cores} cores, {machine.system}"
    yield f"Python {machine.python}, {libraries}"
    yield f"kernels {', '.join(machine.modes)}; CPU times, medians of {report.repetitions}"
    yield (
        f"one core: AES-128-CTR {report.aes.gigabytes_per_second:.2f} GB/s, "
        f"memory {rates.memory_bytes:.1f} GB/s; in a nanosecond {rates.multiply_adds:.1f} "
        f"multiply-adds, {rates.short_multiply_adds:.1f} of 16 bits, "
        f"{rates.multiplications:.2f} multiplications 64 x 64"
    )
    for kind in dict.fromkeys(cost.kind for cost in report.batches):
        costs = [cost for cost in report.batches if cost.kind == kind]
        yield from _costs(f"{kind}: ns for each and operator", costs)
    yield ""
    yield "AES of the stream bytes counts the streams of the zero masks too."
    yield (
        f"Two threads: the best of {PAIRS * report.repetitions} runs together beside the best of "
        "as many alone, taken in turn."
    )
    yield ""
    yield "kernels alone, beside AES of the same bytes"
    for kernel in report.kernels:
        where = f", n = {kernel.operators}" if kernel.operators else ""
        time = (
            f"{kernel.nanoseconds / MICROSECOND:.2f} us"
            if kernel.nanoseconds > MICROSECOND
            else f"{kernel.nanoseconds:.1f} ns"
        )
        name = f"{kernel.name}{where}, {kernel.mode}"
        yield f"  {name:<36}{time:>12}{kernel.ratio:>10.2f} times AES"
    yield ""
    assembly = report.assembly
    yield (
        f"end of a ceremony, {assembly.parameters}, n = {assembly.operators}, computed: "
        f"shares of {assembly.bodies:,} bodies {assembly.shares_seconds:.2f} s, "
        f"key files {assembly.export_seconds:.2f} s"
    )
    yield ""
    yield "distance from what the machine can do at best"
    for roof in report.roofs:
        name = f"{roof.name}, {roof.mode}"
        bound = f"{roof.bound} {roof.bounds_ns[roof.bound]:.1f} ns"
        yield f"  {name:<36}{roof.measured_ns:>10.1f} ns{roof.distance:>8.2f} times {bound}"
    yield ""
    yield "opened bytes of all random bits, for each operator (exact)"
    for opened in report.opened:
        yield (
            f"  {opened.parameters:<13} n = {opened.operators:<3} K = {opened.word_bits:<4}"
            f"{opened.opened_bytes_per_bit:>8.3f} a bit"
            f"{opened.bits:>15,} bits{opened.opened_bytes:>17,} bytes"
        )


def _costs(title: str, costs: Sequence[BatchCost]) -> Iterator[str]:
    """Yield a table with a column for each committee, ring and kind of kernels."""
    yield ""
    yield title
    yield _row("", (f"n={cost.operators} K={cost.word_bits}" for cost in costs))
    yield _row("kernels", (cost.mode for cost in costs))
    for step in costs[0].steps_ns:
        yield _row(step, (f"{cost.steps_ns[step]:.1f}" for cost in costs))
    yield _row("share, open, keep, store", (f"{cost.whole_ns:.1f}" for cost in costs))
    yield _row("with all else", (f"{cost.all_ns:.1f}" for cost in costs))
    yield _row("stream bytes each", (f"{cost.stream_bytes_per_item:,.0f}" for cost in costs))
    yield _row("AES of the stream bytes", (f"{cost.aes_ns:.1f}" for cost in costs))
    yield _row("ratio to AES", (f"{cost.whole_ratio:.2f}" for cost in costs))
    yield _row("with all else", (f"{cost.all_ratio:.2f}" for cost in costs))
    yield _row("challenge, part of all", (f"{cost.challenge_share:.3f}" for cost in costs))
    yield _row("two threads", (f"{cost.two_threads:.2f}" for cost in costs))
    yield _row("opened bytes each", (f"{cost.opened_bytes_per_item:.3f}" for cost in costs))


def _row(name: str, figures: Iterable[str]) -> str:
    return f"  {name:<26}" + "".join(f"{figure:>14}" for figure in figures)
