"""What a key set consists of: the secret keys, the twelve public objects, and where masks lie.

Everything here is arithmetic on a parameter set. A *row* is what one encryption gives: one body
for an LWE ciphertext, `row_bodies` of them for a polynomial. Public objects stand in the order of
the mask stream, which is consumed without gaps; an object of which a set has no body is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpc_core.tfhe.parameters import Decomposition, Drift, Parameters

__all__ = [
    "Kind",
    "ProductSpec",
    "PublicObject",
    "SecretKeySpec",
    "public_object",
    "public_objects",
    "random_bits",
    "secret_key",
    "secret_keys",
]

COMPACT, SMALL, BIG, COMPRESSION = "compact-lwe", "small-lwe", "glwe", "compression-glwe"
SQUASHING, SQUASHING_COMPRESSION, OPRF = "squashing-glwe", "squashing-compression-glwe", "oprf-lwe"


class Kind(Enum):
    """How the bodies of an object are made (the formulas stand in `assembly`)."""

    COMPACT_KEY = "compact public key"
    KEYSWITCH = "key switch"
    PACKING_KEYSWITCH = "packing key switch"
    BOOTSTRAP = "bootstrap"
    ZEROS = "encryptions of zero"


@dataclass(frozen=True, slots=True)
class SecretKeySpec:
    """One binary secret key.

    Attributes:
        name: how objects refer to it.
        bits: number of key bits.
        word_bits: 128 if any use is mod 2^128, else 64.
        polynomial_size: N of a GLWE key, 1 for an LWE key.
    """

    name: str
    bits: int
    word_bits: int
    polynomial_size: int


@dataclass(frozen=True, slots=True)
class ProductSpec:
    """The products s_i S_j that a bootstrap key needs.

    Attributes:
        input_key: name of the key whose bits are s_i.
        target_key: name of the key whose polynomials are S_r.
        word_bits: ring of the products.
        rows: one for each (i, r), i outermost.
        row_length: coefficients of a row, the polynomial size of the target key.
    """

    input_key: str
    target_key: str
    word_bits: int
    rows: int
    row_length: int


@dataclass(frozen=True, slots=True)
class PublicObject:
    """One public object of the key set.

    Attributes:
        number: its place in the mask stream, 1..12.
        name: for people.
        kind: which formula makes its bodies.
        word_bits: ring in which it is formed and opened, 64 or 128.
        rows: number of encryptions.
        row_bodies: bodies of one row.
        mask_polynomials: mask polynomials of one row; the LWE dimension for LWE ciphertexts.
        noise_bound_log2: b of TUniform(b).
        input_key: key whose bits are the messages, or "".
        target_key: key under which it encrypts.
        base_log: bits of a gadget digit, 0 if there is no message.
        levels: gadget digits, 0 if there is no message.
        product: the products its bodies contain, or `None`.
        mask_offset: byte of the mask stream at which its masks start.
    """

    number: int
    name: str
    kind: Kind
    word_bits: int
    rows: int
    row_bodies: int
    mask_polynomials: int
    noise_bound_log2: int
    input_key: str
    target_key: str
    base_log: int = 0
    levels: int = 0
    product: ProductSpec | None = None
    mask_offset: int = 0

    @property
    def bodies(self) -> int:
        """Number of bodies."""
        return self.rows * self.row_bodies

    @property
    def packed_by_row(self) -> bool:
        """Whether each row is packed by itself: yes for rows of GLWE and GGSW ciphertexts."""
        return self.kind in {Kind.PACKING_KEYSWITCH, Kind.BOOTSTRAP}

    @property
    def packing_row(self) -> int:
        """Coefficients that are packed together: a row, or the run of all bodies."""
        return self.row_bodies if self.packed_by_row else self.bodies

    def packed_elements(self, rows: int, degree: int) -> int:
        """Return how many packed elements open a segment of `rows` rows, d bodies an element."""
        if self.packed_by_row:
            return rows * -(-self.row_bodies // degree)
        return -(-rows * self.row_bodies // degree)

    @property
    def row_mask_words(self) -> int:
        """Mask words of one row."""
        return self.mask_polynomials * self.row_bodies

    @property
    def mask_bytes(self) -> int:
        """Bytes of the mask stream that the object consumes."""
        return self.rows * self.row_mask_words * self.word_bits // 8

    @property
    def rows_per_input_bit(self) -> int:
        """Rows that belong to one input bit."""
        if self.kind is Kind.BOOTSTRAP:
            return self.levels * (self.mask_polynomials + 1)
        return self.levels


def _wide(name: str) -> int:
    return 128 if name in {SMALL, SQUASHING, SQUASHING_COMPRESSION} else 64


@cache
def secret_keys(parameters: Parameters) -> tuple[SecretKeySpec, ...]:
    """Return the secret keys in generation order."""
    compute, compression = parameters.compute, parameters.compression
    squashing, packing = parameters.squashing, parameters.squashing_compression
    glwe = ((BIG, compute), (COMPRESSION, compression), (SQUASHING, squashing))
    keys = [(COMPACT, parameters.compact.lwe_dimension, 1), (SMALL, compute.lwe_dimension, 1)]
    keys += [
        (name, block.glwe_dimension * block.polynomial_size, block.polynomial_size)
        for name, block in (*glwe, (SQUASHING_COMPRESSION, packing))
    ]
    if parameters.oprf:
        keys.append((OPRF, compute.lwe_dimension, 1))
    return tuple(SecretKeySpec(name, bits, _wide(name), size) for name, bits, size in keys)


def secret_key(parameters: Parameters, name: str) -> SecretKeySpec:
    """Return the secret key of that name."""
    return next(key for key in secret_keys(parameters) if key.name == name)


def _compact(number: int, name: str, key: SecretKeySpec, noise: int) -> PublicObject:
    return PublicObject(number, name, Kind.COMPACT_KEY, 64, 1, key.bits, 1, noise, "", key.name)


def _keyswitch(
    number: int,
    name: str,
    keys: tuple[SecretKeySpec, SecretKeySpec],
    gadget: Decomposition,
    noise: int,
) -> PublicObject:
    source, target = keys
    return PublicObject(
        number,
        name,
        Kind.KEYSWITCH,
        64,
        source.bits * gadget.levels,
        1,
        target.bits,
        noise,
        source.name,
        target.name,
        gadget.base_log,
        gadget.levels,
    )


def _packing(
    number: int,
    name: str,
    keys: tuple[SecretKeySpec, SecretKeySpec],
    gadget: Decomposition,
    noise: int,
    *,
    word_bits: int,
) -> PublicObject:
    source, target = keys
    return PublicObject(
        number,
        name,
        Kind.PACKING_KEYSWITCH,
        word_bits,
        source.bits * gadget.levels,
        target.polynomial_size,
        target.bits // target.polynomial_size,
        noise,
        source.name,
        target.name,
        gadget.base_log,
        gadget.levels,
    )


def _bootstrap(
    number: int,
    name: str,
    keys: tuple[SecretKeySpec, SecretKeySpec],
    gadget: Decomposition,
    noise: int,
    *,
    word_bits: int,
) -> PublicObject:
    source, target = keys
    size = target.polynomial_size
    polynomials = target.bits // size
    return PublicObject(
        number,
        name,
        Kind.BOOTSTRAP,
        word_bits,
        source.bits * gadget.levels * (polynomials + 1),
        size,
        polynomials,
        noise,
        source.name,
        target.name,
        gadget.base_log,
        gadget.levels,
        ProductSpec(source.name, target.name, word_bits, source.bits * polynomials, size),
    )


def _zeros(
    number: int, name: str, drift: Drift | None, key: SecretKeySpec, noise: int
) -> PublicObject:
    rows = drift.zeros if drift else 0
    return PublicObject(number, name, Kind.ZEROS, 64, rows, 1, key.bits, noise, "", key.name)


def _rerandomization(
    parameters: Parameters, compact: SecretKeySpec, big: SecretKeySpec
) -> PublicObject:
    noise = parameters.compute.glwe_noise
    gadget = parameters.rerandomization
    if gadget is None:
        return _compact(10, "re-randomization compact public key", big, noise)
    return _keyswitch(10, "re-randomization key switch", (compact, big), gadget, noise)


@cache
def public_objects(parameters: Parameters) -> tuple[PublicObject, ...]:
    """Return the public objects that have bodies, in stream order, with their mask offsets."""
    keys = {key.name: key for key in secret_keys(parameters)}
    compact, small, big = keys[COMPACT], keys[SMALL], keys[BIG]
    compute, compression = parameters.compute, parameters.compression
    squashing, packing = parameters.squashing, parameters.squashing_compression
    encryption = parameters.compact
    lwe, glwe = compute.lwe_noise, compute.glwe_noise
    found = [
        _compact(1, "compact public key", compact, encryption.noise),
        _packing(
            2,
            "compression packing key switch",
            (big, keys[COMPRESSION]),
            compression.packing,
            compression.noise,
            word_bits=64,
        ),
        _bootstrap(
            3,
            "decompression bootstrap key",
            (keys[COMPRESSION], big),
            compression.decompression,
            glwe,
            word_bits=64,
        ),
        _keyswitch(4, "key switch", (big, small), compute.keyswitch, lwe),
        _bootstrap(5, "bootstrap key", (small, big), compute.bootstrap, glwe, word_bits=64),
        _zeros(6, "modulus switch zeros", compute.drift, small, lwe),
        _bootstrap(
            7,
            "noise squashing bootstrap key",
            (small, keys[SQUASHING]),
            squashing.bootstrap,
            squashing.noise,
            word_bits=128,
        ),
        _zeros(8, "noise squashing modulus switch zeros", squashing.drift, small, lwe),
        _keyswitch(9, "compact key switch", (compact, small), encryption.keyswitch, lwe),
        _rerandomization(parameters, compact, big),
        _packing(
            11,
            "noise squashing compression packing key switch",
            (keys[SQUASHING], keys[SQUASHING_COMPRESSION]),
            packing.packing,
            packing.noise,
            word_bits=128,
        ),
    ]
    if parameters.oprf:
        found.append(
            _bootstrap(
                12, "oprf bootstrap key", (keys[OPRF], big), compute.bootstrap, glwe, word_bits=64
            )
        )
    offsets = accumulate((item.mask_bytes for item in found), initial=0)
    placed = zip(found, offsets, strict=False)
    return tuple(replace(item, mask_offset=offset) for item, offset in placed if item.bodies)


def public_object(parameters: Parameters, number: int) -> PublicObject:
    """Return the public object of that number; the set must have it."""
    return next(item for item in public_objects(parameters) if item.number == number)


def random_bits(parameters: Parameters) -> int:
    """Return how many shared random bits the key set takes: key bits and noise."""
    noise = sum(item.bodies * (item.noise_bound_log2 + 2) for item in public_objects(parameters))
    return noise + sum(key.bits for key in secret_keys(parameters))
