"""The keys that tfhe-rs's `CompressedXofKeySet::generate` makes of a private seed.

The private stream gives the public seed, then the secret keys, then all noise; the bodies come from
the same assembly as a ceremony's, run on trivial sharings (one operator, d = 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mpc_core.ring.galois import Ring
from mpc_core.tfhe import words
from mpc_core.tfhe.assembly import packed_body_shares
from mpc_core.tfhe.export import KeyFile, write_key_file
from mpc_core.tfhe.objects import public_objects, secret_keys
from mpc_core.tfhe.xof import SEED_BYTES, XofStream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mpc_core.tfhe.objects import ProductSpec, PublicObject
    from mpc_core.tfhe.parameters import Parameters


@dataclass(frozen=True, slots=True)
class ReferenceKeys:
    """A whole key set with its secrets: bits by key name, noise and bodies by object number."""

    parameters: Parameters
    seed: bytes
    secrets: dict[str, NDArray[np.uint64]]
    noise: dict[int, NDArray[np.int64]]
    bodies: dict[int, NDArray[np.uint64]]

    def file(self, file: KeyFile, tag: bytes) -> bytes:
        pieces: list[bytes] = []
        write_key_file(file, self.parameters, self.seed, tag, self.bodies, write=pieces.append)
        return b"".join(pieces)


def trivial(values: NDArray[np.uint64], word_bits: int) -> NDArray[np.uint64]:
    """Return small unsigned values as shares of the ring with d = 1."""
    if word_bits == 64:
        return values[:, None]
    return np.stack((values, np.zeros_like(values)), axis=-1)[:, None]


def signed(values: NDArray[np.int64], word_bits: int) -> NDArray[np.uint64]:
    """Return signed values as shares of the ring with d = 1."""
    shares = trivial(values.view(np.uint64), word_bits)
    if word_bits == 128:
        shares[:, 0, 1] = (values >> 63).view(np.uint64)
    return shares


def tuniform(data: NDArray[np.uint8], bound_log2: int) -> NDArray[np.int64]:
    """Return the samples of TUniform that tfhe-rs makes of these bytes."""
    width = -(-(bound_log2 + 2) // 8)
    wide = np.zeros((data.size // width, 8), dtype=np.uint8)
    wide[:, :width] = data.reshape(-1, width)
    kept = wide.view("<u8").ravel() & np.uint64((1 << bound_log2 + 2) - 1)
    halved = (kept >> np.uint64(1)) + (kept & np.uint64(1))
    return halved.astype(np.int64) - (1 << bound_log2)


def products(product: ProductSpec, secrets: dict[str, NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Return s_i S_j, row by row, as shares of the ring with d = 1."""
    values = np.multiply.outer(secrets[product.input_key], secrets[product.target_key])
    return trivial(values.ravel(), product.word_bits)


def assemble(
    parameters: Parameters,
    item: PublicObject,
    seed: bytes,
    secrets: dict[str, NDArray[np.uint64]],
    noise: NDArray[np.int64],
) -> NDArray[np.uint64]:
    """Return the bodies of an object for known secrets."""
    keys = {key.name: trivial(secrets[key.name], key.word_bits) for key in secret_keys(parameters)}
    shares = packed_body_shares(
        parameters,
        item,
        seed,
        keys,
        signed(noise, item.word_bits),
        products=products(item.product, secrets) if item.product else None,
        start_row=0,
        rows=item.rows,
        ring=Ring(item.word_bits, 1),
    )
    return shares[:, 0]


def residues(
    parameters: Parameters,
    item: PublicObject,
    seed: bytes,
    secrets: dict[str, NDArray[np.uint64]],
    bodies: NDArray[np.uint64],
) -> NDArray[np.int64]:
    """Return the noise of an object's bodies: what is left after <a, s> and the messages.

    A body that is wrong leaves a residue of the size of its ring; one that does not fit into 64
    bits is an error of the test.
    """
    silent = assemble(parameters, item, seed, secrets, np.zeros(item.bodies, dtype=np.int64))
    left = words.subtract(bodies, silent, item.word_bits)
    if item.word_bits == 64:
        return left.view(np.int64)
    low = left[:, 0].view(np.int64)
    assert np.array_equal(left[:, 1].view(np.int64), low >> 63), item.name
    return low


def generate(parameters: Parameters, private_seed: bytes) -> ReferenceKeys:
    """Return the key set of a private seed."""
    stream = XofStream(b"TFHEKGen", private_seed)
    position = SEED_BYTES
    seed = stream.read(0, SEED_BYTES).tobytes()
    secrets = {}
    for key in secret_keys(parameters):
        count = -(-key.bits // 8)
        bits = np.unpackbits(stream.read(position, count), bitorder="little")[: key.bits]
        secrets[key.name] = bits.astype(np.uint64)
        position += count
    noise, bodies = {}, {}
    for item in public_objects(parameters):
        count = item.bodies * -(-(item.noise_bound_log2 + 2) // 8)
        noise[item.number] = tuniform(stream.read(position, count), item.noise_bound_log2)
        bodies[item.number] = assemble(parameters, item, seed, secrets, noise[item.number])
        position += count
    return ReferenceKeys(parameters, seed, secrets, noise, bodies)
