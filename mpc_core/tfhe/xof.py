"""The public masks: tfhe-rs's extendable-output stream, AES-128 with a little-endian counter.

The counter is little-endian, so the CTR mode of a library does not fit: counter blocks are written
into an array and encrypted by ECB. Masks are public; nothing here touches a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mpc_core.tfhe.objects import PublicObject

__all__ = ["GENERATION", "SEED_BYTES", "XofStream", "mask_rows", "mask_stream"]

BLOCK = 16
SEED_BYTES = 16
GENERATION = b"TFHE_GEN"
"""Domain separator of the stream that masks a key set."""

PIECE = 4096
"""Blocks that are encrypted at once: counters and bytes stay in a cache."""
SPARE = BLOCK - 1
"""Room that the library wants behind its output."""
STEPS = np.arange(PIECE, dtype=np.uint64)

_WORD, LOW = 64, (1 << 64) - 1


class XofStream:
    """The byte stream of one seed, readable at any position (tfhe-csprng, `XofSeed`).

    Attributes:
        data: domain separator and seed, as the key files write it.
    """

    __slots__ = ("_counter", "_key", "data")

    def __init__(self, separator: bytes, seed: bytes) -> None:
        """Derive AES key and first counter from the seed.

        With D = separator || seed, zero-padded to blocks, then a block with the bit length of D:
        c_0 = 0, c_j = AES_0(c_(j-1) xor m_j); the key is the last c, the counter the one before.
        """
        self.data = separator + seed
        padded = self.data + bytes(-len(self.data) % BLOCK)
        padded += (8 * len(self.data)).to_bytes(BLOCK, "little")
        chaining = Cipher(algorithms.AES(bytes(BLOCK)), modes.CBC(bytes(BLOCK))).encryptor()
        chain = bytes(BLOCK) + chaining.update(padded)
        self._key = chain[-BLOCK:]
        self._counter = int.from_bytes(chain[-2 * BLOCK : -BLOCK], "little")

    def read(self, start: int, count: int) -> NDArray[np.uint8]:
        """Return `count` bytes from byte `start`, as an array that the caller may change."""
        first, skipped = divmod(start, BLOCK)
        blocks = -(-(skipped + count) // BLOCK)
        encryptor = Cipher(algorithms.AES(self._key), modes.ECB()).encryptor()  # noqa: S305
        output = np.empty(blocks * BLOCK + SPARE, dtype=np.uint8)
        counters = np.empty((min(PIECE, blocks), 2), dtype="<u8")
        for at in range(0, blocks, PIECE):
            piece = counters[: blocks - at]
            _count(piece, self._counter + first + at)
            encryptor.update_into(piece.reshape(-1).view(np.uint8).data, output[at * BLOCK :].data)
        return output[skipped : skipped + count]

    def words(self, start: int, count: int, word_bits: int) -> NDArray[np.uint64]:
        """Return `count` little-endian words, shape (count,), or (count, 2) for 128 bits."""
        data = self.read(start, count * word_bits // 8).view("<u8")
        data = np.require(data, np.uint64, ["ALIGNED"])
        return data if word_bits == _WORD else data.reshape(count, 2)


def _count(counters: NDArray[np.uint64], first: int) -> None:
    """Write the counter blocks first, first + 1, ... mod 2^128, low word first."""
    low, high = first & LOW, first >> _WORD
    np.add(STEPS[: len(counters)], np.uint64(low), out=counters[:, 0])
    counters[:, 1] = high & LOW
    counters[LOW + 1 - low :, 1] = high + 1 & LOW  # after the carry


def mask_stream(seed: bytes) -> XofStream:
    """Return the stream of a key set's masks for its public seed of 16 bytes."""
    assert len(seed) == SEED_BYTES
    return XofStream(GENERATION, seed)


def mask_rows(stream: XofStream, item: PublicObject, start: int, rows: int) -> NDArray[np.uint64]:
    """Return the masks of some rows of an object, shape (rows, row_mask_words[, 2])."""
    words = item.row_mask_words
    position = item.mask_offset + start * words * item.word_bits // 8
    flat = stream.words(position, rows * words, item.word_bits)
    return flat.reshape(rows, words, *flat.shape[1:])
