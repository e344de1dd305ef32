"""Kernels, loaded by one thread before several threads use them.

Kernels are imported where they are needed first. numba imports parts of itself then, and two
threads that make it do so at once may find a part half there.
"""

from __future__ import annotations

import importlib
import pkgutil

from infra.leaves import hash_in_pairs
from infra.party.memory import keep_freed_memory, settle_objects
from mpc_core import kernels

__all__ = ["load_kernels"]


def load_kernels(degree: int) -> None:
    """Load every kernel that a party needs for GR(2^K, degree), and keep the memory it frees."""
    keep_freed_memory()
    for module in pkgutil.iter_modules(kernels.__path__):
        importlib.import_module(f"{kernels.__name__}.{module.name}")
    from mpc_core.kernels.tiles import load_tiles  # noqa: PLC0415 kernels compile when imported

    load_tiles(degree)
    hash_in_pairs()
    settle_objects()
