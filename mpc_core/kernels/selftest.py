"""Whether kernels that name instructions compute what they should, checked before their first use.

A CPU, an emulator or a compiler that gets an instruction wrong would make wrong shares, which the
others could only take for a lie. So key streams are compared with those of `cryptography`, sums
over streams with those of the portable kernels, for every ring, and hashes with the library's, all
on fixed inputs.
"""

from __future__ import annotations

import hashlib
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from mpc_core.kernels import aes, prss, prss_fused, quartet, quartet_fused, quartet_tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fused_kernels_agree", "hashes_agree"]

STREAMS = 4
DEGREES, WORD_SIZES = (3, 4), (64, 128)
LEAF_BLOCKS = 3
BLOCKS = 2 * prss_fused.GROUP_BLOCKS
FIRST_BLOCK = 2**32 - 5
"""The counters of the streams carry into their upper half."""

FACTORS = np.array(
    [[3, -1, 1003, -2], [-1003, 1, 0, 977], [17, -17_791, 2, -1], [1, 1, -1, 16_001]]
)
FUSED_LIMB = 16
CENTRED_16, CENTRED_32 = 0x8000_8000_8000_8000, 0x8000_0000_8000_0000
ABSENT = 2
"""The place of the stream that the operator of the check does not have."""

BEGIN = FIRST_BLOCK - 1
"""The streams of the four operators lie in memory from this block on."""

SUMMED = 2 * quartet.STRIP_WORDS - 5
"""Words that are summed for four operators: two strips, the second one not full."""

TURNS, WEIGHT = 1, 1


def fused_kernels_agree() -> bool:
    """Tell whether the kernels that encipher and sum streams give the expected bytes."""
    keys = _keys(STREAMS)
    streams = _streams(keys, FIRST_BLOCK, BLOCKS)
    rings = product(DEGREES, WORD_SIZES)
    return bool(
        (_expanded(keys) == streams).all()
        and all((_fused_sums(keys, *r) == _portable_sums(streams, *r)).all() for r in rings)
        and all(_quartet_agrees(bits) for bits in WORD_SIZES)
    )


def hashes_agree() -> bool:
    """Tell whether two leaves hashed at once have the hashes that the library gives them."""
    from mpc_core.kernels.sha256 import BLOCK_BYTES, hash_two_leaves  # noqa: PLC0415 compiles it

    leaves = _numbers(2 * LEAF_BLOCKS * BLOCK_BYTES).reshape(2, -1)
    expected = tuple(hashlib.sha256(b"\0" + leaf.tobytes()).digest() for leaf in leaves)
    return hash_two_leaves(leaves) == expected


def _numbers(count: int) -> NDArray[np.uint8]:
    numbers = np.arange(count, dtype=np.uint32) * np.uint32(2654435761)
    return (numbers >> np.uint32(24)).astype(np.uint8)


def _keys(streams: int) -> NDArray[np.uint8]:
    return _numbers(streams * aes.KEY_BYTES).reshape(streams, aes.KEY_BYTES)


def _streams(keys: NDArray[np.uint8], first: int, blocks: int) -> NDArray[np.uint8]:
    """Return key streams of the library."""
    size = blocks * aes.BLOCK_BYTES
    rows = []
    for key in keys:
        counter = key[16:].tobytes() + first.to_bytes(8, "big")
        cipher = Cipher(algorithms.AES(key[:16].tobytes()), modes.CTR(counter)).encryptor()
        rows.append(np.frombuffer(cipher.update(bytes(size)), np.uint8))
    return np.stack(rows)


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


def _fused_sums(keys: NDArray[np.uint8], degree: int, bits: int) -> NDArray[np.uint64]:
    factors = FACTORS[:, :degree]
    schedules = _schedules(keys, CENTRED_16)
    pairs = factors.reshape(-1, 2, degree).transpose(0, 2, 1)
    constants = np.ascontiguousarray(pairs).astype(np.int16)
    runs = np.arange(1, len(constants) + 1)
    groups = BLOCKS // prss_fused.GROUP_BLOCKS
    totals = np.empty((groups, 4 * prss_fused.GROUP_BLOCKS * degree), np.int64)
    keys_at, constants_at = _address(schedules), _address(constants)
    add = prss_fused.stream_adder(degree)
    add(totals, np.uint64(FIRST_BLOCK), keys_at, constants_at, runs)
    return _settled(totals, factors, FUSED_LIMB, bits)


def _portable_sums(streams: NDArray[np.uint8], degree: int, bits: int) -> NDArray[np.uint64]:
    factors = FACTORS[:, :degree]
    centred = (streams.view(np.uint64) ^ np.uint64(CENTRED_32)).view(np.uint8)
    groups = BLOCKS // prss.GROUP_BLOCKS
    sums = np.zeros((groups, 4 * prss.GROUP_BLOCKS * degree))
    totals = np.empty(sums.shape, np.int64)
    prss.buffer_adder(degree)(sums, centred, factors.astype(np.float64))
    prss.whole(sums, totals)
    return _settled(totals, factors, 32, bits)


def _settled(
    totals: NDArray[np.int64], factors: NDArray[np.int64], limb_bits: int, bits: int
) -> NDArray[np.uint64]:
    """Return the words that totals stand for, with what centring took off given back."""
    degree, word_bytes = factors.shape[1], bits // 8
    centre = sum(1 << (at + limb_bits - 1) for at in range(0, bits, limb_bits))
    words = [int(total) * centre % (1 << bits) for total in factors.sum(axis=0)]
    joined = b"".join(word.to_bytes(word_bytes, "little") for word in words)
    offsets = np.frombuffer(joined, np.uint8)
    count = BLOCKS * aes.BLOCK_BYTES // word_bytes
    out = np.empty((count, degree, word_bytes // 8), np.uint64)
    settle = prss.settler(degree, bits, fused=limb_bits == FUSED_LIMB)
    settle(totals, _address(offsets), 0, count, _address(out))
    return out


def _quartet_agrees(bits: int) -> bool:
    """Tell whether the kernels of four operators do what those do whose streams lie in memory."""
    keys = _keys(2 * quartet.STREAMS)
    return all(
        (fused == portable).all()
        for fused, portable in zip(
            _quartet_fused(keys, bits), _quartet_portable(keys, bits), strict=True
        )
    )


def _quartet_fused(keys: NDArray[np.uint8], bits: int) -> tuple[NDArray[np.uint8], ...]:
    """Return sums, a share vector and shares of bits from streams that no memory sees."""
    schedules = _schedules(keys, 0)
    addresses = np.array([_address(row) for row in schedules], np.uint64)
    addresses[[ABSENT, quartet.STREAMS + ABSENT]] = 0
    own, masks = addresses[: quartet.STREAMS], addresses[quartet.STREAMS :]
    word = _first_word(bits)
    sums, vector, shares = _room(bits), _room(bits), _room(bits)
    kept, v, seen = _kept(bits), _opened(bits), np.zeros(2, np.uint64)
    width = np.uint64(bits // 8)
    quartet_fused.quartet_encipherer(bits)(own, word, SUMMED, _address(sums))
    quartet_fused.vector_encipherer(bits)(
        own, masks, word, word, SUMMED, TURNS, _address(kept), width, _address(vector)
    )
    quartet_fused.bit_encipherer(bits)(
        own, word, SUMMED, np.uint64(WEIGHT), _address(v), width, _address(shares), seen
    )
    return sums, vector, shares, seen.view(np.uint8)


def _quartet_portable(keys: NDArray[np.uint8], bits: int) -> tuple[NDArray[np.uint8], ...]:
    """Return the same from streams of the library."""
    blocks = 2 * quartet.STRIP_WORDS
    streams = _streams(keys, BEGIN, blocks)
    streams[[ABSENT, quartet.STREAMS + ABSENT]] = 0
    skip = _first_word(bits) * bits // 8 - BEGIN * aes.BLOCK_BYTES
    places = np.array([int(_address(row)) + skip for row in streams], np.uint64)
    own, masks = places[: quartet.STREAMS], places[quartet.STREAMS :]
    sums, vector, shares = _room(bits), _room(bits), _room(bits)
    kept, v, seen = _kept(bits), _opened(bits), np.zeros(2, np.uint64)
    width = np.uint64(bits // 8)
    quartet.quartet_adder(bits)(own, SUMMED, _address(sums))
    quartet_tiles.vector_summer(bits)(
        own, masks, SUMMED, TURNS, _address(kept), width, _address(vector)
    )
    quartet_tiles.bit_summer(bits)(
        own, SUMMED, np.uint64(WEIGHT), _address(v), width, _address(shares), seen
    )
    return sums, vector, shares, seen.view(np.uint8)


def _first_word(bits: int) -> int:
    """Return the number of the first word; of two words in a block it is the second one."""
    return BEGIN * 128 // bits + 128 // bits - 1


def _room(bits: int) -> NDArray[np.uint8]:
    """Return memory for the elements of `SUMMED` words, and what kernels write after them."""
    return np.zeros((SUMMED + 2 * quartet.DEGREE) * quartet.DEGREE * bits // 8, np.uint8)


def _kept(bits: int) -> NDArray[np.uint64]:
    return np.full(bits // 64, 2**64 - 1, np.uint64)


def _opened(bits: int) -> NDArray[np.uint8]:
    """Return even coefficients, and what kernels read after them."""
    v = _numbers((SUMMED + 2) * bits // 8)
    v[:: bits // 8] &= np.uint8(0xFE)
    return v


def _address(array: NDArray[Any]) -> np.uint64:
    return np.uint64(array.__array_interface__["data"][0])
