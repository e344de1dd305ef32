"""Every kernel made for a degree, a word size and a mode, so that all can compile beforehand."""

from __future__ import annotations

from mpc_core.kernels import bits, openings, prss, prss_fused, quartet, quartet_fused, quartet_tiles
from mpc_core.kernels.backend import available_modes, hashes_in_pairs, kernel_mode
from mpc_core.kernels.selftest import fused_kernels_agree

__all__ = ["compile_tiles", "load_tiles"]

DEGREES, WORD_SIZES = (3, 4), (64, 128)
QUARTET_DEGREE = 3


def compile_tiles() -> None:
    """Compile the kernels of all rings and modes of this machine, or load what was compiled."""
    modes = available_modes()
    for degree in DEGREES:
        _make(degree, portable=True, fused="avx512" in modes)
    if "avx512" in modes:
        fused_kernels_agree()
    hashes_in_pairs()


def load_tiles(degree: int) -> None:
    """Load the kernels that a process uses for rings of this degree."""
    fused = kernel_mode() == "avx512"
    _make(degree, portable=not fused, fused=fused)


def _make(degree: int, *, portable: bool, fused: bool) -> None:
    """Ask for every kernel of a degree once."""
    if portable:
        prss.buffer_adder(degree)
    if fused:
        prss_fused.stream_adder(degree)
    for size in WORD_SIZES:
        bits.vector_writer(degree, size)
        openings.bit_adder(degree, size)
        if portable:
            prss.settler(degree, size, fused=False)
        if fused:
            prss.settler(degree, size, fused=True)
        if degree == QUARTET_DEGREE:
            _make_quartet(size, portable=portable, fused=fused)


def _make_quartet(size: int, *, portable: bool, fused: bool) -> None:
    """Ask for every kernel of four operators once."""
    if portable:
        quartet.quartet_adder(size)
        quartet_tiles.vector_summer(size)
        quartet_tiles.bit_summer(size)
    if fused:
        quartet_fused.quartet_encipherer(size)
        quartet_fused.vector_encipherer(size)
        quartet_fused.bit_encipherer(size)
