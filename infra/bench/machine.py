"""Facts about this machine that a measurement depends on, without names or paths."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

from infra.bench.model import Machine
from mpc_core.kernels.backend import available_modes

__all__ = ["this_machine"]

LIBRARIES = ("cryptography", "llvmlite", "numba", "numpy")


def this_machine() -> Machine:
    """Return the facts of this machine."""
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        modes=available_modes(),
        python=platform.python_version(),
        libraries={name: version(name) for name in LIBRARIES},
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor() or "unknown"
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or "unknown")
