"""Keeps the other cores at work while something is measured.

In a ceremony every core computes: threads of an operator share the last cache and the memory with
each other, and parties of one machine do with the other parties. What is measured beside idle
cores is a tenth too cheap and more.
"""

from __future__ import annotations

import multiprocessing
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.synchronize import Semaphore

__all__ = ["in_company"]


@contextmanager
def in_company(task: Callable[[], object], companions: int | None = None) -> Iterator[None]:
    """Have copies of this process repeat a task until the block ends, or this process does.

    Args:
        task: what each of them does again and again; the kernels it needs are loaded already.
        companions: how many, by default one for every core but one.
    """
    count = (os.cpu_count() or 1) - 1 if companions is None else companions
    context = multiprocessing.get_context("fork")
    begun = context.Semaphore(0)
    copies = [
        context.Process(target=_repeat, args=(task, os.getpid(), begun), daemon=True)
        for _ in range(count)
    ]
    try:
        for copy in copies:
            copy.start()
        for _ in copies:
            begun.acquire()
        yield
    finally:
        for copy in copies:
            copy.kill()
            copy.join()


def _repeat(task: Callable[[], object], parent: int, begun: Semaphore) -> None:
    begun.release()
    while os.getppid() == parent:
        task()
