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

_WORD = 64


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
        first = start // BLOCK
        blocks = -(-(start + count) // BLOCK) - first
        counters = _counters(self._counter + first, blocks)
        encryptor = Cipher(algorithms.AES(self._key), modes.ECB()).encryptor()  # noqa: S305
        output = np.empty(blocks * BLOCK + BLOCK - 1, dtype=np.uint8)
        encryptor.update_into(counters.view(np.uint8).data, output.data)
        begin = start - first * BLOCK
        return output[begin : begin + count].copy()

    def words(self, start: int, count: int, word_bits: int) -> NDArray[np.uint64]:
        """Return `count` little-endian words, shape (count,), or (count, 2) for 128 bits."""
        data = self.read(start, count * word_bits // 8).view("<u8").astype(np.uint64, copy=False)
        return data if word_bits == _WORD else data.reshape(count, 2)


def _counters(first: int, blocks: int) -> NDArray[np.uint64]:
    """Return the counter blocks first, first + 1, ... mod 2^128, low word first."""
    mask = (1 << _WORD) - 1
    low, high = np.uint64(first & mask), np.uint64(first >> _WORD & mask)
    counters = np.empty((blocks, 2), dtype="<u8")
    with np.errstate(over="ignore"):
        counters[:, 0] = np.arange(blocks, dtype=np.uint64) + low
        counters[:, 1] = high + (counters[:, 0] < low)
    return counters.ravel()


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
