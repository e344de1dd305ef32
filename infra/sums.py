"""Sums of streams of the batches in flight, in files without a name.

What an operator computes for a share vector it needs again once the batch is opened, seconds or
minutes later; of all batches in flight together that is more than belongs in its memory. So it lies
in files of `work/` that nobody else can open, and that are gone with the process.

Security: the sums are shares of secrets. Each file is encrypted with AES-256-GCM under a key that
    was drawn for it and exists in this process only; the nonce of a part is the number of its first
    sum, and parts are written once. So a disk that is read later shows nothing, and one that gives
    back other bytes than were written is noticed: a wrong sum would make a share of no bit, for
    which this operator would be taken for a liar.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from infra.files import append, disk_errors, make_directory
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from numpy.typing import NDArray

    from mpc_core.protocol.plan import Plan
    from mpc_core.ring.galois import RingArray

__all__ = ["FileSums", "batches_at_a_time"]

_KEY_BITS, _NONCE_BYTES, _TAG_BYTES = 256, 12, 16
_log = structlog.get_logger()


def batches_at_a_time(plan: Plan) -> int:
    """Return how many batches of random bits are in flight: noise is made beside the key bits."""
    return 2 * plan.layout.batches_in_flight


class FileSums:
    """The sums of a few batches, of which the oldest gives way."""

    def __init__(self, folder: Path, most: int) -> None:
        """Keep files of at most so many batches in a folder, which is made when it is missing."""
        self._folder, self._most = make_directory(folder), most
        self._guard = threading.Lock()
        self._files: dict[bytes, _File] = {}

    def begin(self, context: bytes, count: int) -> _Writer | None:
        """Note so many sums of a batch, in place of what was noted of it; None if it cannot."""
        with self._guard:
            self._files.pop(context, None)
            if len(self._files) >= self._most:
                del self._files[next(iter(self._files))]
            try:
                file = _File(self._folder, count)
            except CeremonyError as refusal:
                _say_not_noted(refusal)
                return None
            self._files[context] = file
        return _Writer(file)

    def find(self, context: bytes) -> _Reader | None:
        """Return the sums of a batch; None unless all of them were noted."""
        with self._guard:
            file = self._files.get(context)
        return _Reader(file) if file is not None and file.is_whole else None

    def drop(self, context: bytes) -> None:
        """Forget a batch; nothing happens when it is unknown."""
        with self._guard:
            self._files.pop(context, None)

    def retain(self, contexts: Collection[bytes]) -> None:
        """Forget all other batches."""
        with self._guard:
            for context in self._files.keys() - set(contexts):
                del self._files[context]


class _File:
    """One batch: a file, its key, and where its parts begin.

    When nobody refers to it any more, its key and its file are gone. So one that gives way while a
    thread reads it stays readable for that thread. No file is written over for another batch: what
    is gone within seconds the system never writes to the disk.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.path = folder / "sums"
        """Stands in errors for the file, which has no name."""
        with disk_errors(self.path):
            file = tempfile.TemporaryFile(buffering=0, dir=folder)  # noqa: SIM115 - closed below
        weakref.finalize(self, file.close)
        self.descriptor = file.fileno()
        self.cipher = AESGCM(AESGCM.generate_key(_KEY_BITS))
        self.count = count
        self.starts = [0]
        """Number of the first sum of every part, and of the one that is to come."""
        self.word: tuple[int, ...] = ()
        """Shape of one sum."""
        self.spoilt = False

    @property
    def is_whole(self) -> bool:
        """Whether all sums are here, as far as one can tell without reading them."""
        return not self.spoilt and self.starts[-1] == self.count

    def spoil(self, error: CeremonyError | None = None) -> None:
        """Use it no more."""
        self.spoilt = True
        if error is not None:
            _say_not_noted(error)


class _Writer:
    """Encrypts sums and appends them."""

    def __init__(self, file: _File) -> None:
        self._file, self._sealed = file, np.empty(0, np.uint8)

    def write(self, first: int, words: RingArray) -> None:
        """Note sums, which follow the last ones; a disk that refuses them spoils what is noted."""
        file = self._file
        if file.spoilt:
            return
        if first != file.starts[-1] or first + len(words) > file.count:
            raise ValueError("sums that do not follow those that were noted")
        file.word = words.shape[1:]
        self._sealed = _room(self._sealed, words.nbytes + _TAG_BYTES)
        sealed = self._sealed[: words.nbytes + _TAG_BYTES].data
        file.cipher.encrypt_into(_nonce(first), _bytes_of(words), None, sealed)
        try:
            with disk_errors(file.path):
                append(file.descriptor, [sealed])
        except CeremonyError as refusal:
            file.spoil(refusal)
        else:
            file.starts.append(first + len(words))


class _Reader:
    """Decrypts parts, the last one of which it remembers: they are longer than what is asked for.

    What it remembers goes with it, at the end of the step.
    """

    def __init__(self, file: _File) -> None:
        self._file, self._part = file, -1
        self._sealed = self._open = np.empty(0, np.uint8)
        self._words = np.empty(0, np.uint64)

    def read(self, first: int, out: RingArray) -> bool:
        """Write noted sums; returns False unless they are what was noted."""
        file, done = self._file, 0
        if file.spoilt or first < 0 or first + len(out) > file.count:
            return False
        while done < len(out):
            part = bisect_right(file.starts, first + done) - 1
            if part != self._part and not self._load(part):
                return False
            skip = first + done - file.starts[part]
            size = min(len(self._words) - skip, len(out) - done)
            out[done : done + size] = self._words[skip : skip + size]
            done += size
        return True

    def _load(self, part: int) -> bool:
        """Read and decrypt a part."""
        file = self._file
        first, end = file.starts[part : part + 2]
        word_bytes = 8 * int(np.prod(file.word))
        size = (end - first) * word_bytes
        self._sealed = _room(self._sealed, size + _TAG_BYTES)
        self._open = _room(self._open, size)
        sealed, opened = self._sealed[: size + _TAG_BYTES], self._open[:size]
        self._part = -1
        try:
            with disk_errors(file.path):
                os.preadv(file.descriptor, [sealed.data], first * word_bytes + part * _TAG_BYTES)
            file.cipher.decrypt_into(_nonce(first), sealed.data, None, opened.data)
        except CeremonyError as refusal:
            file.spoil(refusal)
            return False
        except InvalidTag:
            file.spoil()
            _log.warning("noted sums are damaged: their streams are expanded again")
            return False
        self._words = opened.view(np.uint64).reshape(-1, *file.word)
        self._part = part
        return True


def _nonce(first: int) -> bytes:
    return first.to_bytes(_NONCE_BYTES, "big")


def _room(buffer: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return the buffer, or a larger one."""
    return buffer if len(buffer) >= size else np.empty(size, np.uint8)


def _bytes_of(words: RingArray) -> memoryview:
    return words.reshape(-1).view(np.uint8).data


def _say_not_noted(refusal: CeremonyError) -> None:
    _log.warning("sums are not noted: their streams are expanded again", reason=str(refusal))
