"""The report of a measurement as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.bench.timing import PAIRS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from infra.bench.model import BatchCost, BenchReport, Roof

__all__ = ["render"]

MICROSECOND = 1000
SHORT = {
    "aes_blocks": "AES",
    "memory_bytes": "memory",
    "multiply_adds": "fma",
    "short_multiply_adds": "fma16",
    "multiplications": "mul64",
    "additions": "add",
    "sha256_bytes": "SHA",
}
"""Names of `Rates` in a table."""


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
        f"{rates.multiplications:.2f} multiplications 64 x 64, {rates.additions:.1f} additions, "
        f"{rates.sha256_bytes:.2f} bytes of SHA-256"
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
    yield from _distances(report.roofs)
    yield ""
    yield "opened bytes of all random bits, for each operator (exact)"
    for opened in report.opened:
        yield (
            f"  {opened.parameters:<13} n = {opened.operators:<3} K = {opened.word_bits:<4}"
            f"{opened.opened_bytes_per_bit:>8.3f} a bit"
            f"{opened.bits:>15,} bits{opened.opened_bytes:>17,} bytes"
        )


def _distances(roofs: Sequence[Roof]) -> Iterator[str]:
    """Yield a row for each batch, a column for each step; then kernels alone."""
    yield "distance from what the machine can do at best: times the slowest of what a step needs"
    yield "(AES and SHA are the libraries'; kernels that name instructions can be faster)"
    rows: dict[str, dict[str, Roof]] = {}
    for roof in roofs:
        rows.setdefault(f"{roof.batch}, {roof.mode}" if roof.batch else "", {})[
            f"{roof.name}, {roof.mode}" if not roof.batch else roof.name
        ] = roof
    alone = rows.pop("", {})
    steps = dict.fromkeys(step for row in rows.values() for step in row)
    yield f"  {'':<34}" + "".join(f"{step:>12}" for step in steps)
    for name, row in rows.items():
        cells = (f"{row[step].distance:.1f} {SHORT[row[step].bound]}" for step in steps)
        yield f"  {name:<34}" + "".join(f"{cell:>12}" for cell in cells)
    for name, roof in alone.items():
        bound = f"{roof.bound} {roof.bounds_ns[roof.bound]:.2f} ns"
        yield f"  {name:<36}{roof.measured_ns:>10.2f} ns{roof.distance:>8.2f} times {bound}"


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
