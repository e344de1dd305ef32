"""Pseudo-random secret sharing: degree-t sharings of random secrets without communication.

Every set A of n-t operators has a key that exactly its members know. From it comes, for every
batch, a stream r_A; the secret is x = sum_A r_A, and operator i's share of it is
sum over A containing i of r_A f_A(alpha_i), where f_A has degree t, is 1 at 0 and 0 at every
operator outside A (PROTOCOL.md, "PRSS keys").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mpc_core.protocol.errors import CeremonyError
from mpc_core.ring.points import share_constants
from mpc_core.sharing.packing import pack
from mpc_core.sharing.sets import check_committee, sets_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mpc_core.ring.galois import Ring, RingArray
    from mpc_core.sharing.sets import OperatorSet

__all__ = [
    "StreamKey",
    "accumulate",
    "batch_key",
    "carry",
    "committee_of",
    "expand",
    "prss_ring_share",
    "prss_share",
    "share_of_streams",
    "stream_key",
]

KEY_BYTES, NONCE_BYTES, BLOCK_BYTES = 16, 8, 16
PIECE_BYTES = 65536
"""Bytes enciphered per call: large enough that the call itself costs nothing."""

TILE_BLOCKS = PIECE_BYTES // BLOCK_BYTES
"""Blocks of every stream that are summed before the next ones are made."""

LANES = 4
"""The kernel takes streams by this number."""

GROUP = 2 * LANES
"""Streams that are made and summed together."""

LIMB_BYTES = 4
ZEROS = bytes(PIECE_BYTES)


@dataclass(frozen=True, slots=True)
class StreamKey:
    """AES-128 key and nonce of one stream of one batch; never printed."""

    key: bytes = field(repr=False)
    nonce: bytes = field(repr=False)


def stream_key(secret: bytes, info: bytes) -> StreamKey:
    """Return the stream key that HKDF-SHA256 derives from `secret` for `info`."""
    derived = HKDF(SHA256(), KEY_BYTES + NONCE_BYTES, None, info).derive(secret)
    return StreamKey(derived[:KEY_BYTES], derived[KEY_BYTES:])


def batch_key(stage_key: bytes, context: bytes, stream: str, bits: int) -> StreamKey:
    """Derive the key of one set's stream in one batch.

    Args:
        stage_key: the child of k_A for the batch's stage.
        context: `BatchContext.encode` of the batch.
        stream: "bits", "zero", "product", ...
        bits: K of the ring the stream is used in.

    Returns:
        Key and nonce of the stream.

    Security: HKDF is one-way and its `info` injective, so revealing the batch keys of a dead batch
        reveals nothing about any other stream, batch or stage, and no two uses share a mask.
    """
    info = b"".join(
        (
            len(context).to_bytes(4, "big") + context,
            len(stream).to_bytes(4, "big") + stream.encode("ascii"),
            bits.to_bytes(8, "big"),
        )
    )
    return stream_key(stage_key, info)


def expand(key: StreamKey, first_block: int, blocks: int) -> NDArray[np.uint8]:
    """Return part of a stream: AES-128-CTR with counter block = nonce, 64-bit big-endian index.

    Args:
        key: key and nonce.
        first_block: index of the first block.
        blocks: number of blocks of 16 bytes.

    Returns:
        Bytes, shape (16 * blocks,).
    """
    size = blocks * BLOCK_BYTES
    buffer = np.empty(size + BLOCK_BYTES, np.uint8)
    stream = _Stream(key, first_block)
    for at in range(0, size, PIECE_BYTES):
        stream.fill(buffer.data[at:], min(PIECE_BYTES, size - at))
    return buffer[:size]


def prss_share(
    keys: Mapping[OperatorSet, StreamKey], at: int, count: int, ring: Ring, first: int = 0
) -> RingArray:
    """Share `count` pseudo-random secrets of Z_2^K among the operators, without communication.

    Args:
        keys: this batch's stream key of every access set A that contains `at`.
        at: the operator whose share is computed.
        count: number of secrets.
        ring: GR(2^K, d).
        first: number of the first secret in the streams.

    Returns:
        Degree-t shares, shape (count, d[, 2]).

    Security: any t operators miss the key of exactly one set, so the secrets are uniform to them.
        The result is a function of the keys alone: nobody can influence it after the key setup.

    Source: Cramer, Damgard, Ishai (2005); PROTOCOL.md, "PRSS keys".
    """
    n, _ = committee_of(keys, at)
    sets = tuple(sorted(keys))
    constants = share_constants(at, n, sets)
    return share_of_streams([keys[a] for a in sets], constants, count, ring, first)


def prss_ring_share(
    keys: Mapping[OperatorSet, StreamKey], at: int, count: int, ring: Ring, first: int = 0
) -> RingArray:
    """Share `count` pseudo-random secrets of all of GR(2^K, d), without communication.

    Every r_A takes d words of its stream, which are its coefficients: the sharing is the packing of
    d sharings of Z_2^K. Arguments, result and security are those of `prss_share`.
    """
    d = ring.degree
    return pack(prss_share(keys, at, count * d, ring, first * d), ring)


def committee_of(keys: Mapping[OperatorSet, StreamKey], at: int) -> tuple[int, int]:
    """Return (n, t) of the committee whose access sets containing `at` have these keys.

    Raises:
        CeremonyError: RF-RING-006 if a set is missing or too many: the share would be wrong.
    """
    n = max((members[-1] for members in keys), default=0)
    t = n - max((len(members) for members in keys), default=0)
    check_committee(n, t)
    if set(keys) != set(sets_of(n, t, at)):
        raise CeremonyError(
            "RF-RING-006",
            "the key sets of an operator are incomplete",
            expected=f"the {len(sets_of(n, t, at))} sets that contain operator {at}",
            found=f"{len(keys)} sets",
            effect="no share is computed",
        )
    return n, t


def share_of_streams(
    keys: Sequence[StreamKey],
    constants: NDArray[np.int32],
    count: int,
    ring: Ring,
    first: int = 0,
) -> RingArray:
    """Return sum_s constants_s * r_s for words r_s of Z_2^K from the stream of each key.

    Streams are made and summed a tile at a time, so memory does not grow with their number.

    Args:
        keys: stream keys.
        constants: small integer coefficients of an element per stream, shape (len(keys), d).
        count: number of sums.
        ring: GR(2^K, d).
        first: number of the first word in the streams.

    Returns:
        Elements, shape (count, d[, 2]).
    """
    from mpc_core.kernels import prss  # noqa: PLC0415 kernels compile when imported

    if constants.shape != (len(keys), ring.degree):
        raise ValueError("constants of another ring or other streams")
    words_per_block = 8 * BLOCK_BYTES // ring.bits
    block, skip = divmod(first, words_per_block)
    tile_blocks = min(TILE_BLOCKS, (skip + count) // words_per_block + 1)
    tile_words = tile_blocks * words_per_block
    streams = [_Stream(key, block) for key in keys]
    factors = _padded(constants)
    buffers = np.zeros((GROUP, (tile_blocks + 1) * BLOCK_BYTES), np.uint8)
    limbs = buffers.view("<u4")
    out = np.empty(ring.shape(count), np.uint64)
    rows = out.reshape(count, ring.degree * (ring.bits // 64))
    for start in range(-skip, count, tile_words):
        blocks = min(tile_blocks, -(-(count - start) // words_per_block))
        sums = np.zeros((ring.degree, blocks * BLOCK_BYTES // LIMB_BYTES), np.int64)
        for at in range(0, len(streams), GROUP):
            for stream, buffer in zip(streams[at : at + GROUP], buffers, strict=False):
                stream.fill(buffer.data, blocks * BLOCK_BYTES)
            group = factors[at : at + GROUP]
            prss.accumulate(limbs[: len(group)], group, sums)
        target = max(start, 0)
        prss.carry(sums, ring.bits // 32, target - start, rows[target : start + tile_words])
    return out


def accumulate(
    streams: NDArray[np.uint32], constants: NDArray[np.int32], sums: NDArray[np.int64]
) -> None:
    """Add constants^T * streams to `sums`: the reference of the kernel of the same name."""
    limbs = streams[:, : sums.shape[1]].astype(np.int64)
    sums += constants.T.astype(np.int64) @ limbs


def carry(sums: NDArray[np.int64], limbs: int, first: int, out: NDArray[np.uint64]) -> None:
    """Write the words that limb sums stand for: the reference of the kernel of the same name."""
    degree = len(sums)
    weights = np.array([1 << (32 * k) for k in range(limbs)], dtype=object)
    words = (sums.astype(object).reshape(degree, -1, limbs) * weights).sum(axis=2)
    for half in range(limbs // 2):
        part = (words[:, first : first + len(out)] >> (64 * half)) & (2**64 - 1)
        out[:, half :: limbs // 2] = part.T.astype(np.uint64)


def _padded(constants: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the constants with zeros for the streams missing to a multiple of `LANES`."""
    count, degree = constants.shape
    padded = np.zeros((-(-count // LANES) * LANES, degree), np.int32)
    padded[:count] = constants
    return padded


class _Stream:
    """A key stream, read from a block on."""

    __slots__ = ("_cipher",)

    def __init__(self, key: StreamKey, first_block: int) -> None:
        counter = key.nonce + first_block.to_bytes(BLOCK_BYTES - NONCE_BYTES, "big")
        self._cipher = Cipher(algorithms.AES(key.key), modes.CTR(counter)).encryptor()

    def fill(self, buffer: memoryview, size: int) -> None:
        """Write the next `size` <= PIECE_BYTES bytes; the buffer has room for one block more."""
        self._cipher.update_into(memoryview(ZEROS)[:size], buffer)
