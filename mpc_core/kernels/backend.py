"""Which kernels this process runs: portable ones, or twins that name instructions of the CPU.

Compiled code that names an instruction which the CPU lacks aborts the process, without an error
that anybody could catch. So nothing is guessed: a mode is available only if the operating system
lists every instruction set it needs, the compiler found them too, and the compiler was not told
to do without. Whatever the mode, the results have the same bytes; the first use of a mode that
names instructions checks that (`kernels.selftest`).

`RINGFORGE_KERNELS` chooses another available mode than the fastest one, usually `portable`.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from mpc_core.protocol.errors import CeremonyError

__all__ = ["SETTING", "Mode", "available_modes", "hashes_in_pairs", "kernel_mode"]

Mode = Literal["portable", "avx512"]

SETTING = "RINGFORGE_KERNELS"

NEEDED: dict[Mode, frozenset[str]] = {
    "portable": frozenset(),
    "avx512": frozenset({"aes", "avx2", "vaes", "avx512f", "avx512bw", "avx512vl", "avx512dq"}),
}
"""Instruction sets, in the names that both the compiler and /proc/cpuinfo use."""

CPU_INFO = Path("/proc/cpuinfo")


def kernel_mode() -> Mode:
    """Return the mode of this process's kernels.

    Raises:
        CeremonyError: RF-KERNEL-001 if the environment asks for a mode that does not exist or that
            this CPU lacks, RF-KERNEL-002 if kernels that name instructions give other results than
            portable ones.
    """
    return _chosen(os.environ.get(SETTING, ""))


def available_modes() -> tuple[Mode, ...]:
    """Return the modes that this CPU can run, the fastest one last."""
    features = listed_features() & compiled_features()
    return tuple(mode for mode, needed in NEEDED.items() if needed <= features)


def hashes_in_pairs() -> bool:
    """Tell whether this process may hash with the instructions made for SHA-256.

    Raises:
        CeremonyError: RF-KERNEL-002 if they give other hashes than the library.
    """
    if kernel_mode() == "portable" or not _has_sha256():
        return False
    _check_hashes()
    return True


def listed_features() -> frozenset[str]:
    """Return the instruction sets that the operating system lists for every processor."""
    try:
        text = CPU_INFO.read_text()
    except OSError:
        return frozenset()
    lists = [
        frozenset(line.partition(":")[2].split())
        for line in text.splitlines()
        if line.startswith("flags")
    ]
    return frozenset.intersection(*lists) if lists else frozenset()


def compiled_features() -> frozenset[str]:
    """Return the instruction sets that the compiler found and may use."""
    from llvmlite import binding  # noqa: PLC0415 loads the compiler
    from numba.core.registry import cpu_target  # noqa: PLC0415

    host = binding.get_host_cpu_features()  # type: ignore[no-untyped-call]
    found = {name for name, present in host.items() if present}
    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    enabled = {name[1:] for name in features.split(",") if name.startswith("+")}
    return frozenset(found & enabled)


@lru_cache
def _chosen(wanted: str) -> Mode:
    modes = available_modes()
    mode = next((mode for mode in modes if mode == wanted), None) if wanted else modes[-1]
    if mode is None:
        known = wanted in get_args(Mode)
        raise CeremonyError(
            "RF-KERNEL-001",
            f"{SETTING} asks for kernels that "
            + ("this CPU cannot run" if known else "do not exist"),
            expected=f"one of {', '.join(modes)}, or nothing for {modes[-1]}",
            found=wanted,
            effect="nothing was started",
            next_step=f"unset {SETTING}",
        )
    if mode != "portable":
        _check_results(mode)
    return mode


@lru_cache
def _has_sha256() -> bool:
    """The compiler and /proc/cpuinfo have different names for these instructions."""
    return "sha_ni" in listed_features() and "sha" in compiled_features()


@lru_cache
def _check_hashes() -> None:
    from mpc_core.kernels.selftest import hashes_agree  # noqa: PLC0415 compiles them

    if not hashes_agree():
        raise _wrong("kernels that hash in pairs", "the hashes of the library")


def _check_results(mode: Mode) -> None:
    from mpc_core.kernels.selftest import fused_kernels_agree  # noqa: PLC0415 compiles them

    if not fused_kernels_agree():
        expected = "the key streams of `cryptography` and the sums of the portable kernels"
        raise _wrong(f"the {mode} kernels", expected)


def _wrong(what: str, expected: str) -> CeremonyError:
    return CeremonyError(
        "RF-KERNEL-002",
        f"{what} compute wrong results on this machine",
        expected=expected,
        found="other bytes",
        effect="nothing was started",
        next_step=f"{SETTING}=portable does without them; have the machine checked",
    )
