"""Every kernel made for a degree, a word size and a mode, so that all can compile beforehand."""

from __future__ import annotations

from mpc_core.kernels import bits, openings, prss, prss_fused, quartet, quartet_fused, quartet_tiles
from mpc_core.kernels.backend import available_modes
from mpc_core.kernels.selftest import fused_kernels_agree

__all__ = ["compile_tiles"]

DEGREES, WORD_SIZES = (3, 4), (64, 128)


def compile_tiles() -> None:
    """Compile the kernels of all rings and modes of this machine, or load what was compiled."""
    fused = "avx512" in available_modes()
    for degree in DEGREES:
        prss.buffer_adder(degree)
        if fused:
            prss_fused.stream_adder(degree)
        for size in WORD_SIZES:
            bits.vector_writer(degree, size)
            openings.bit_adder(degree, size)
            prss.settler(degree, size, fused=False)
            if fused:
                prss.settler(degree, size, fused=True)
    for size in WORD_SIZES:
        quartet.quartet_adder(size)
        quartet_tiles.vector_summer(size)
        quartet_tiles.bit_summer(size)
        if fused:
            quartet_fused.quartet_encipherer(size)
            quartet_fused.vector_encipherer(size)
            quartet_fused.bit_encipherer(size)
    if fused:
        fused_kernels_agree()
