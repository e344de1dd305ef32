"""Encryption under the compact public key, and its decryption on shares.

The phase b - <a, s> of a ciphertext is Delta m plus noise and linear in the shared key. It is
never opened as it is: it is a noiseless equation in the key for whoever knows the encryption
randomness. What is opened is the phase plus flood noise of which each sharing serves once
(PROTOCOL.md, "Assembly").
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from mpc_core.protocol.errors import CeremonyError
from mpc_core.tfhe.ciphertexts import BLOCK_BITS, BOOLEAN, CompactList, blocks_of
from mpc_core.tfhe.parameters import CARRY_MODULUS, MESSAGE_MODULUS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mpc_core.ring.galois import RingArray
    from mpc_core.tfhe.parameters import Parameters

__all__ = [
    "DELTA",
    "acceptance_randomness",
    "check_flood",
    "decode",
    "encrypt",
    "noise_bound",
    "phase_shares",
    "randomness_bytes",
]

DELTA = 2**63 // (MESSAGE_MODULUS * CARRY_MODULUS)
"""Distance of two messages; the top bit stays free."""

_BLOCK = (1 << BLOCK_BITS) - 1


def noise_bound(parameters: Parameters) -> int:
    """Return a bound on the noise of a fresh ciphertext: |e r + e_2 - e_1 s| <= (2n + 1) 2^b."""
    compact = parameters.compact
    return (2 * compact.lwe_dimension + 1) << compact.noise


def check_flood(parameters: Parameters, flood_bound_log2: int) -> None:
    """Demand that decryption under flood noise TUniform(flood_bound_log2) is right and safe.

    Raises:
        CeremonyError: RF-TFHE-004 if flood and noise together may reach Delta / 2, or for a set
            that is not insecure: there 2^B must be 2^40 times the noise, which takes noise
            squashing to 2^128 first.
    """
    largest = (1 << flood_bound_log2) + noise_bound(parameters)
    if parameters.insecure and largest < DELTA // 2:
        return
    raise CeremonyError(
        "RF-TFHE-004",
        f"test decryptions of parameter set {parameters.name} cannot be flooded safely",
        expected="an insecure set, and flood plus noise below Delta / 2",
        found=f"flood 2^{flood_bound_log2}, noise at most {noise_bound(parameters)}",
        effect="nothing is opened",
        next_step="choose another flood bound in the plan, or no test decryptions",
        runbook="start",
    )


def acceptance_randomness(seed: bytes, number: int, count: int) -> bytes:
    """Return the randomness of a test ciphertext, SHAKE-256(seed, "test", number)."""
    return hashlib.shake_256(seed + b"test" + number.to_bytes(8, "big")).digest(count)


def randomness_bytes(parameters: Parameters, kinds: Sequence[int]) -> int:
    """Return how many bytes `encrypt` takes for values of these kinds."""
    dimension = parameters.compact.lwe_dimension
    return dimension // 8 + (dimension + _blocks(kinds)) * _noise_width(parameters)


def encrypt(
    parameters: Parameters,
    public_key: tuple[NDArray[np.uint64], NDArray[np.uint64]],
    values: Sequence[tuple[int, int]],
    randomness: bytes,
    tag: bytes = b"",
) -> CompactList:
    """Encrypt values under the compact public key with given randomness.

    With r binary, a' = a r + e_1 and b'_j = (b r)_(n-1-j) + e_2j + Delta m_j.

    Args:
        parameters: the parameter set.
        public_key: mask a and body b, shape (n,) each.
        values: (kind, value) pairs; kinds as in `CompactList.kinds`.
        randomness: `randomness_bytes` bytes: r, low bit first, then e_1, then e_2.
        tag: tag of the key.

    Returns:
        A list with one block a ciphertext.

    Security: whoever knows the randomness knows the noise; such ciphertexts are for tests.
    """
    from mpc_core.kernels.negacyclic import negacyclic_sum  # noqa: PLC0415 kernels compile

    kinds = tuple(kind for kind, _ in values)
    dimension = parameters.compact.lwe_dimension
    assert len(randomness) == randomness_bytes(parameters, kinds)
    assert _blocks(kinds) <= dimension
    data = np.frombuffer(randomness, dtype=np.uint8)
    binary = np.unpackbits(data[: dimension // 8], bitorder="little").astype(np.uint64)
    noise = _noise(parameters, data[dimension // 8 :])
    key = np.stack(public_key)[:, None, :]
    products = negacyclic_sum(key, binary[None, :, None], 64)[:, :, 0]
    blocks = [block for kind, value in values for block in _blocks_of_value(kind, value)]
    messages = np.array(blocks, dtype=np.uint64) * np.uint64(DELTA)
    masks = products[0] + noise[:dimension]
    bodies = products[1][::-1][: len(blocks)] + noise[dimension:] + messages
    return CompactList(masks[None, :], bodies, packed=False, kinds=kinds, tag=tag)


def phase_shares(ciphertexts: CompactList, key: RingArray) -> RingArray:
    """Return shares of b_j - <a X^j, s> of every ciphertext.

    Args:
        ciphertexts: the list.
        key: shares of the key of the compact public key, shape (n, d).

    Returns:
        Shares, shape (count, d), mod 2^64.

    Security: linear, hence local. Add one fresh flood to each before opening.
    """
    bodies = ciphertexts.bodies
    shares = np.zeros((bodies.size, key.shape[1]), dtype=np.uint64)
    shares[:, 0] = bodies
    for index in range(bodies.size):
        mask = _rotated(ciphertexts.masks, index)
        shares[index] -= mask @ key
    return shares


def decode(
    ciphertexts: CompactList, phases: NDArray[np.uint64], largest_noise: int
) -> tuple[int | bool, ...]:
    """Return the values of a list from its opened, flooded phases.

    Args:
        ciphertexts: the list.
        phases: one word per ciphertext.
        largest_noise: bound on noise and flood together.

    Raises:
        CeremonyError: RF-TFHE-003 if a phase is no message within the bound: the list was made
            with another key, or computed on, or made to break the decryption.
    """
    blocks: list[int] = []
    for phase in phases.tolist():
        message = (phase + DELTA // 2) // DELTA
        distance = abs(phase - message * DELTA)
        message %= 2**64 // DELTA
        limit = MESSAGE_MODULUS**2 if ciphertexts.packed else MESSAGE_MODULUS
        if distance > largest_noise or message >= limit:
            raise _undecodable()
        blocks.append(message & _BLOCK)
        if ciphertexts.packed:
            blocks.append(message >> BLOCK_BITS)
    if any(blocks[ciphertexts.blocks :]):
        raise _undecodable()
    return _values(ciphertexts.kinds, blocks)


def _values(kinds: Sequence[int], blocks: Sequence[int]) -> tuple[int | bool, ...]:
    values: list[int | bool] = []
    at = 0
    for kind in kinds:
        own = blocks[at : at + blocks_of(kind)]
        at += len(own)
        value = sum(block << BLOCK_BITS * place for place, block in enumerate(own))
        if kind == BOOLEAN and value > 1:
            raise _undecodable()
        values.append(bool(value) if kind == BOOLEAN else value)
    return tuple(values)


def _undecodable() -> CeremonyError:
    return CeremonyError(
        "RF-TFHE-003",
        "the ciphertext list does not decrypt to values under this key",
        expected="fresh ciphertexts made with this key set's CompactPublicKey",
        found="a phase that is no message within the noise bound",
        effect="no value is shown; the flood noise of the list is spent",
        next_step="encrypt again with the CompactPublicKey of this ceremony",
        runbook="start",
    )


def _blocks(kinds: Sequence[int]) -> int:
    return sum(blocks_of(kind) for kind in kinds)


def _blocks_of_value(kind: int, value: int) -> list[int]:
    assert 0 <= value < 1 << kind
    return [value >> BLOCK_BITS * place & _BLOCK for place in range(blocks_of(kind))]


def _noise_width(parameters: Parameters) -> int:
    return -(-(parameters.compact.noise + 2) // 8)


def _noise(parameters: Parameters, data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return samples of TUniform(b): of b + 2 uniform bits v, (v >> 1) + (v & 1) - 2^b."""
    bound, width = parameters.compact.noise, _noise_width(parameters)
    wide = np.zeros((data.size // width, 8), dtype=np.uint8)
    wide[:, :width] = data.reshape(-1, width)
    kept = np.bitwise_and(wide.view(np.uint64)[:, 0], np.uint64((1 << bound + 2) - 1))
    return np.asarray(
        (kept >> np.uint64(1)) + (kept & np.uint64(1)) - np.uint64(1 << bound), dtype=np.uint64
    )


def _rotated(masks: NDArray[np.uint64], index: int) -> NDArray[np.uint64]:
    """Return the mask of ciphertext `index`, a X^j mod X^n + 1."""
    row, power = divmod(index, masks.shape[1])
    mask: NDArray[np.uint64] = np.roll(masks[row], power)
    mask[:power] = ~mask[:power] + np.uint64(1)
    return mask
