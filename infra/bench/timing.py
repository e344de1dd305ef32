"""CPU times of one thread, and the AES time that they are compared with."""

from __future__ import annotations

import os
import statistics
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from infra.bench.model import AesSpeed
from mpc_core.kernels.backend import SETTING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "PAIRS",
    "PORTABLE",
    "aes_speed",
    "gain_of_two_threads",
    "in_mode",
    "make_stream",
    "median_times",
]

PORTABLE = "portable"
"""The kernels of any CPU."""

PAIRS = 2
"""For every repetition so many pairs of runs, alone and together, where threads are compared."""

PIECE_BYTES = 65_536
BLOCK_BYTES = 16
SPEED_BYTES = 1 << 27


def median_times(tasks: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Return the median CPU time of each task in nanoseconds.

    Each repetition runs all tasks in turn, so a busy moment of the machine meets all of them. One
    more round comes first and is not counted.
    """
    taken: dict[str, list[int]] = {name: [] for name in tasks}
    for _ in range(repetitions + 1):
        for name, task in tasks.items():
            start = time.thread_time_ns()
            task()
            taken[name].append(time.thread_time_ns() - start)
    return {name: float(statistics.median(times[1:])) for name, times in taken.items()}


def gain_of_two_threads(task: Callable[[], object], repetitions: int) -> float:
    """Return the work of two threads side by side over that of one in the same time.

    Several pairs are run, one thread alone and then two together. The best time alone is compared
    with the best time together: what others do on the machine only ever takes away, so a moment's
    disturbance does not decide. The best quotient of a pair would: a disturbed run alone raises it.
    One more pair comes first and is not counted.

    Args:
        task: what every thread runs.
        repetitions: how often times are taken elsewhere; here `PAIRS` times as often.
    """
    alone, together = [], []
    for _ in range(PAIRS * repetitions + 1):
        start = time.perf_counter()
        task()
        middle = time.perf_counter()
        threads = [threading.Thread(target=task) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        alone.append(middle - start)
        together.append(time.perf_counter() - middle)
    return 2 * min(alone[1:]) / min(together[1:])


@contextmanager
def in_mode(mode: str) -> Iterator[None]:
    """Let kernels of a mode run in this process; not for several threads at once."""
    before = os.environ.get(SETTING)
    os.environ[SETTING] = mode
    try:
        yield
    finally:
        if before is None:
            del os.environ[SETTING]
        else:
            os.environ[SETTING] = before


def make_stream(size: int) -> None:
    """Make `size` bytes of one AES-128-CTR stream in pieces that stay in the cache."""
    zeros = memoryview(bytes(PIECE_BYTES))
    target = memoryview(bytearray(PIECE_BYTES + BLOCK_BYTES))
    stream = Cipher(algorithms.AES128(bytes(16)), modes.CTR(bytes(16))).encryptor()
    for start in range(0, size, PIECE_BYTES):
        stream.update_into(zeros[: size - start], target)


def aes_speed(repetitions: int) -> AesSpeed:
    """Measure AES-128-CTR."""
    taken = median_times({"aes": lambda: make_stream(SPEED_BYTES)}, repetitions)
    return AesSpeed(PIECE_BYTES, SPEED_BYTES / taken["aes"])
