"""Whether kernels that name instructions compute what they should, checked before their first use.

A CPU, an emulator or a compiler that gets an instruction wrong would make wrong shares, which the
others could only take for a lie. So key streams are compared with those of `cryptography`, sums
over streams with those of the portable kernels, and hashes with the library's, on fixed inputs.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from mpc_core.kernels import aes, prss, prss_fused

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fused_kernels_agree", "hashes_agree"]

STREAMS, DEGREE, BITS = 4, 3, 128
LEAF_BLOCKS = 3
BLOCKS = 2 * prss_fused.GROUP_BLOCKS
FIRST_BLOCK = 2**32 - 5
"""The counters of the streams carry into their upper half."""

FUSED_LIMB = 16
CENTRED_16, CENTRED_32 = 0x8000_8000_8000_8000, 0x8000_0000_8000_0000


def fused_kernels_agree() -> bool:
    """Tell whether the kernels that encipher and sum streams give the expected bytes."""
    numbers = np.arange(STREAMS * aes.KEY_BYTES, dtype=np.uint32) * np.uint32(2654435761)
    keys = (numbers >> np.uint32(24)).astype(np.uint8).reshape(STREAMS, aes.KEY_BYTES)
    factors = np.array([[3, -1, 1003], [-1003, 1, 0], [17, -17_791, 2], [1, 1, -1]])
    streams = np.stack([_stream(key) for key in keys])
    return bool(
        (_expanded(keys) == streams).all()
        and (_fused_sums(keys, factors) == _portable_sums(streams, factors)).all()
    )


def hashes_agree() -> bool:
    """Tell whether two leaves hashed at once have the hashes that the library gives them."""
    from mpc_core.kernels.sha256 import BLOCK_BYTES, hash_two_leaves  # noqa: PLC0415 compiles it

    numbers = np.arange(2 * LEAF_BLOCKS * BLOCK_BYTES, dtype=np.uint32) * np.uint32(2654435761)
    leaves = (numbers >> np.uint32(24)).astype(np.uint8).reshape(2, -1)
    expected = tuple(hashlib.sha256(b"\0" + leaf.tobytes()).digest() for leaf in leaves)
    return hash_two_leaves(leaves) == expected


def _stream(key: NDArray[np.uint8]) -> NDArray[np.uint8]:
    counter = key[16:].tobytes() + FIRST_BLOCK.to_bytes(8, "big")
    cipher = Cipher(algorithms.AES(key[:16].tobytes()), modes.CTR(counter)).encryptor()
    return np.frombuffer(cipher.update(bytes(BLOCKS * aes.BLOCK_BYTES)), np.uint8)


def _schedules(keys: NDArray[np.uint8], added: int) -> NDArray[np.uint8]:
    schedules = np.empty((len(keys), aes.SCHEDULE_BYTES), np.uint8)
    aes.write_schedules(keys, np.uint64(added), schedules)
    return schedules


def _expanded(keys: NDArray[np.uint8]) -> NDArray[np.uint8]:
    schedules = _schedules(keys, 0)
    streams = np.empty((len(keys), BLOCKS * aes.BLOCK_BYTES), np.uint8)
    for row, schedule in zip(streams, schedules, strict=True):
        place, key = _address(row), _address(schedule)
        aes.expand(place, np.uint64(FIRST_BLOCK), np.uint64(BLOCKS), key)
    return streams


def _fused_sums(keys: NDArray[np.uint8], factors: NDArray[np.int64]) -> NDArray[np.uint64]:
    schedules = _schedules(keys, CENTRED_16)
    pairs = factors.reshape(-1, 2, DEGREE).transpose(0, 2, 1)
    constants = np.ascontiguousarray(pairs).astype(np.int16)
    runs = np.arange(1, len(constants) + 1)
    groups = BLOCKS // prss_fused.GROUP_BLOCKS
    totals = np.empty((groups, 4 * prss_fused.GROUP_BLOCKS * DEGREE), np.int64)
    keys_at, constants_at = _address(schedules), _address(constants)
    add = prss_fused.stream_adder(DEGREE)
    add(totals, np.uint64(FIRST_BLOCK), keys_at, constants_at, runs)
    return _settled(totals, factors, 16)


def _portable_sums(streams: NDArray[np.uint8], factors: NDArray[np.int64]) -> NDArray[np.uint64]:
    centred = (streams.view(np.uint64) ^ np.uint64(CENTRED_32)).view(np.uint8)
    groups = BLOCKS // prss.GROUP_BLOCKS
    sums = np.zeros((groups, 4 * prss.GROUP_BLOCKS * DEGREE))
    totals = np.empty(sums.shape, np.int64)
    prss.buffer_adder(DEGREE)(sums, centred, factors.astype(np.float64))
    prss.whole(sums, totals)
    return _settled(totals, factors, 32)


def _settled(
    totals: NDArray[np.int64], factors: NDArray[np.int64], limb_bits: int
) -> NDArray[np.uint64]:
    """Return the words that totals stand for, with what centring took off given back."""
    centre = sum(1 << (at + limb_bits - 1) for at in range(0, BITS, limb_bits))
    words = [int(total) * centre % (1 << BITS) for total in factors.sum(axis=0)]
    offsets = np.frombuffer(b"".join(word.to_bytes(16, "little") for word in words), np.uint8)
    out = np.empty((BLOCKS, DEGREE, 2), np.uint64)
    settle = prss.settler(DEGREE, BITS, fused=limb_bits == FUSED_LIMB)
    settle(totals, _address(offsets), 0, BLOCKS, _address(out))
    return out


def _address(array: NDArray[Any]) -> np.uint64:
    return np.uint64(array.__array_interface__["data"][0])
