"""The report of a measurement as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from infra.bench.model import BatchCost, BenchReport

__all__ = ["render"]


def render(report: BenchReport) -> str:
    """Return the report as lines for a person."""
    return "\n".join(_lines(report))


def _lines(report: BenchReport) -> Iterator[str]:
    machine = report.machine
    libraries = ", ".join(f"{name} {version}" for name, version in machine.libraries.items())
    yield f"{machine.cpu}, {machine.cores} cores, {machine.system}"
    yield f"Python {machine.python}, {libraries}"
    yield f"AES-128-CTR {report.aes.gigabytes_per_second:.2f} GB/s in one thread"
    yield f"CPU times, medians of {report.repetitions}"
    yield from _costs("random bits: ns for each bit and operator", report.bits)
    yield from _costs("products: ns for each product and operator", report.products)
    yield ""
    yield "assembly of the shares of all bodies, for each operator"
    for assembly in report.assembly:
        yield (
            f"  n = {assembly.operators:<4} {assembly.parameters}: {assembly.bodies:,} bodies in "
            f"{assembly.seconds:.2f} s"
        )
    yield ""
    yield "opened bytes of all random bits, for each operator (exact)"
    for opened in report.opened:
        yield (
            f"  {opened.parameters:<13} n = {opened.operators:<3} K = {opened.word_bits:<4}"
            f"{opened.opened_bytes_per_bit:>8.3f} a bit"
            f"{opened.bits:>15,} bits{opened.opened_bytes:>17,} bytes"
        )


def _costs(title: str, costs: Sequence[BatchCost]) -> Iterator[str]:
    """Yield a table with a column for each committee and ring."""
    yield ""
    yield title
    yield _row("", (f"n={cost.operators} K={cost.word_bits}" for cost in costs))
    first = costs[0]
    for step in first.steps_ns:
        yield _row(step, (f"{cost.steps_ns[step]:.1f}" for cost in costs))
        if step == "share_vector":
            for part in first.share_vector_parts_ns:
                figures = (f"({cost.share_vector_parts_ns[part]:.1f})" for cost in costs)
                yield _row(f"  of it {part}", figures)
    yield _row("total", (f"{cost.total_ns:.1f}" for cost in costs))
    yield _row("AES of the stream bytes", (f"{cost.aes_ns:.1f}" for cost in costs))
    yield _row("ratio to AES", (f"{cost.ratio_to_aes:.2f}" for cost in costs))
    yield _row("opened bytes each", (f"{cost.opened_bytes_per_item:.3f}" for cost in costs))


def _row(name: str, figures: Iterator[str]) -> str:
    return f"  {name:<24}" + "".join(f"{figure:>14}" for figure in figures)
