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
from mpc_core.sharing.sums import stream_sums

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from mpc_core.ring.galois import Ring, RingArray
    from mpc_core.sharing.sets import OperatorSet
    from mpc_core.sharing.sums import StreamSums

__all__ = [
    "StreamKey",
    "batch_key",
    "committee_of",
    "expand",
    "prss_ring_share",
    "prss_share",
    "prss_sums",
    "share_of_streams",
    "stream_key",
]

KEY_BYTES, NONCE_BYTES, BLOCK_BYTES = 16, 8, 16


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
    counter = key.nonce + first_block.to_bytes(BLOCK_BYTES - NONCE_BYTES, "big")
    cipher = Cipher(algorithms.AES(key.key), modes.CTR(counter)).encryptor()
    return np.frombuffer(cipher.update(bytes(blocks * BLOCK_BYTES)), np.uint8)


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
    return _filled(prss_sums(keys, at, ring), count, ring, first)


def prss_sums(keys: Mapping[OperatorSet, StreamKey], at: int, ring: Ring) -> StreamSums:
    """Prepare what `prss_share` computes, for any part of the streams.

    Args:
        keys: this batch's stream key of every access set A that contains `at`.
        at: the operator whose shares are computed.
        ring: GR(2^K, d).

    Returns:
        Sums that `fill` arrays with shares of the secrets from any number on.
    """
    n, _ = committee_of(keys, at)
    sets = tuple(sorted(keys))
    return stream_sums([keys[a] for a in sets], share_constants(at, n, sets), ring)


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

    Args:
        keys: stream keys.
        constants: small integer coefficients of an element per stream, shape (len(keys), d).
        count: number of sums.
        ring: GR(2^K, d).
        first: number of the first word in the streams.

    Returns:
        Elements, shape (count, d[, 2]).
    """
    return _filled(stream_sums(keys, constants, ring), count, ring, first)


def _filled(sums: StreamSums, count: int, ring: Ring, first: int) -> RingArray:
    out = np.empty(ring.shape(count), np.uint64)
    sums.fill(out, first)
    return out
