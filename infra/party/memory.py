"""Memory that a party frees and asks for again at once: it is kept instead of given back.

A party's blobs, records and ciphertexts come and go by the megabyte. The C library gives such
blocks back to the kernel when they are freed, and every page of the next one is cleared and mapped
anew, which takes longer than to encipher it.
"""

from __future__ import annotations

import ctypes
import gc

__all__ = ["keep_freed_memory", "settle_objects"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of the parameters of mallopt(3)."""

_LARGEST_KEPT_BLOCK = 32 << 20
_MOST_KEPT = 256 << 20


def keep_freed_memory() -> None:
    """Have the C library keep what is freed, where it is one that can be told to."""
    set_parameter = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_parameter is not None:
        set_parameter(_MMAP_THRESHOLD, _LARGEST_KEPT_BLOCK)
        set_parameter(_TRIM_THRESHOLD, _MOST_KEPT)


def settle_objects() -> None:
    """Leave the objects of all loaded modules out of every later search for garbage."""
    gc.collect()
    gc.freeze()
