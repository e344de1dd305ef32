"""The TFHE parameter sets whose keys a ceremony can make, as tfhe-rs 1.7 defines them.

Noise is always TUniform; a bound b below stands for TUniform(b) on [-2^b, 2^b]. Moduli are native
(2^64; 2^128 for noise squashing), the encryption key is the big one, and the atomic pattern is key
switch, then bootstrap. A missing `Drift` means centred-mean noise reduction, which needs no key.

A *scaled* set, such as `mainnet-scaled-16`, has every object, ring width, noise bound and gadget of
the set it comes from and a fraction of its dimensions: for rehearsals of what the real set does to
machines and networks. It protects nothing, and no tfhe-rs set has its dimensions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DRILL_SET",
    "PARAMETER_SETS",
    "CompactEncryption",
    "Compression",
    "Compute",
    "Decomposition",
    "Drift",
    "NoiseSquashing",
    "NoiseSquashingCompression",
    "Parameters",
    "lookup",
    "scaled_name",
]

DRILL_SET = "insecure-micro"
"""Name of the set of drills: an exhaustive search for its keys takes no time."""

MESSAGE_MODULUS = 4
CARRY_MODULUS = 4
MAX_NOISE_LEVEL = 5
MAX_DEGREE = MESSAGE_MODULUS * CARRY_MODULUS - CARRY_MODULUS
"""Degree bound that tfhe-rs demands of a radix server key, (m c - 1) - (c - 1)."""

LEAST_POLYNOMIAL = 4
"""Smallest polynomial size of a scaled set."""

SCALED_NAME = re.compile("(?P<origin>.+)-scaled-(?P<scale>[1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Decomposition:
    """A gadget decomposition: `levels` digits of `base_log` bits."""

    base_log: int
    levels: int


@dataclass(frozen=True, slots=True)
class Drift:
    """Modulus switch by drift: encryptions of zero and constants that tfhe-rs compares exactly."""

    zeros: int
    bound: float
    r_sigma: float
    variance: float


@dataclass(frozen=True, slots=True)
class Compute:
    """The keys that compute: key switch to the small LWE key, then bootstrap."""

    lwe_dimension: int
    glwe_dimension: int
    polynomial_size: int
    lwe_noise: int
    glwe_noise: int
    bootstrap: Decomposition
    keyswitch: Decomposition
    log2_p_fail: float
    drift: Drift | None

    @property
    def big_dimension(self) -> int:
        """Bits of the GLWE key read as an LWE key."""
        return self.glwe_dimension * self.polynomial_size


@dataclass(frozen=True, slots=True)
class CompactEncryption:
    """The dedicated compact public key and the key switch from it to the small LWE key."""

    lwe_dimension: int
    noise: int
    keyswitch: Decomposition


@dataclass(frozen=True, slots=True)
class Compression:
    """Packing of ciphertexts into GLWEs, and the blind rotation that unpacks them."""

    packing: Decomposition
    glwe_dimension: int
    polynomial_size: int
    lwe_per_glwe: int
    storage_log_modulus: int
    noise: int
    decompression: Decomposition


@dataclass(frozen=True, slots=True)
class NoiseSquashing:
    """The bootstrap to 2^128."""

    glwe_dimension: int
    polynomial_size: int
    noise: int
    bootstrap: Decomposition
    drift: Drift | None


@dataclass(frozen=True, slots=True)
class NoiseSquashingCompression:
    """Packing of noise-squashed ciphertexts."""

    packing: Decomposition
    glwe_dimension: int
    polynomial_size: int
    lwe_per_glwe: int
    noise: int


@dataclass(frozen=True, slots=True)
class Parameters:
    """One parameter set.

    Attributes:
        name: how a plan names it.
        insecure: whether it protects nothing; shown wherever the set is.
        tfhe_name: what tfhe-rs calls it.
        rerandomization: key switch from the compact key to the big key of sets that re-randomise
            with one, or `None` for a compact public key derived under the big key.
        oprf: whether random values have an LWE key and a bootstrap key of their own.
    """

    name: str
    insecure: bool
    tfhe_name: str
    compute: Compute
    compact: CompactEncryption
    compression: Compression
    squashing: NoiseSquashing
    squashing_compression: NoiseSquashingCompression
    rerandomization: Decomposition | None
    oprf: bool

    @property
    def scaled(self) -> bool:
        """Whether its dimensions are a fraction of those of another set."""
        return SCALED_NAME.fullmatch(self.name) is not None


_TEST = Parameters(
    name="test",
    insecure=True,
    tfhe_name="(no name: tiny values of every kind)",
    compute=Compute(
        lwe_dimension=1,
        glwe_dimension=1,
        polynomial_size=256,
        lwe_noise=0,
        glwe_noise=0,
        bootstrap=Decomposition(24, 1),
        keyswitch=Decomposition(37, 1),
        log2_p_fail=-64.0,
        drift=Drift(10, 288230376151711744.0, 9.75539320076416, 1.92631390716519e-10),
    ),
    compact=CompactEncryption(lwe_dimension=512, noise=0, keyswitch=Decomposition(37, 1)),
    compression=Compression(
        packing=Decomposition(27, 1),
        glwe_dimension=1,
        polynomial_size=256,
        lwe_per_glwe=256,
        storage_log_modulus=9,
        noise=0,
        decompression=Decomposition(24, 1),
    ),
    squashing=NoiseSquashing(
        glwe_dimension=1,
        polynomial_size=256,
        noise=0,
        bootstrap=Decomposition(33, 2),
        drift=Drift(8, 288230376151711744.0, 9.2, 2.182718682903484e-224),
    ),
    squashing_compression=NoiseSquashingCompression(
        packing=Decomposition(61, 1),
        glwe_dimension=1,
        polynomial_size=256,
        lwe_per_glwe=128,
        noise=3,
    ),
    rerandomization=None,
    oprf=True,
)


_MICRO = replace(
    _TEST,
    name=DRILL_SET,
    tfhe_name="(no name: as few bits as every kind of object takes)",
    compute=replace(
        _TEST.compute, polynomial_size=4, drift=Drift(2, 288230376151711744.0, 9.7, 1.9e-10)
    ),
    compact=replace(_TEST.compact, lwe_dimension=8),
    compression=replace(_TEST.compression, polynomial_size=4, lwe_per_glwe=4),
    squashing=replace(
        _TEST.squashing, polynomial_size=4, drift=Drift(2, 288230376151711744.0, 9.2, 2.2e-224)
    ),
    squashing_compression=replace(
        _TEST.squashing_compression, polynomial_size=4, lwe_per_glwe=2, noise=1
    ),
)


def _mainnet(
    name: str,
    tfhe_name: str,
    squashing_packing: Decomposition,
    rerandomization: Decomposition | None,
    *,
    oprf: bool,
) -> Parameters:
    """Return a 2_2 set with failure probability 2^-128 (the two differ in three places only)."""
    return Parameters(
        name=name,
        insecure=False,
        tfhe_name=tfhe_name,
        compute=Compute(
            lwe_dimension=918,
            glwe_dimension=1,
            polynomial_size=2048,
            lwe_noise=45,
            glwe_noise=17,
            bootstrap=Decomposition(23, 1),
            keyswitch=Decomposition(4, 4),
            log2_p_fail=-129.581,
            drift=None,
        ),
        compact=CompactEncryption(lwe_dimension=2048, noise=17, keyswitch=Decomposition(4, 4)),
        compression=Compression(
            packing=Decomposition(4, 3),
            glwe_dimension=4,
            polynomial_size=256,
            lwe_per_glwe=256,
            storage_log_modulus=12,
            noise=43,
            decompression=Decomposition(23, 1),
        ),
        squashing=NoiseSquashing(
            glwe_dimension=2,
            polynomial_size=2048,
            noise=30,
            bootstrap=Decomposition(24, 3),
            drift=None,
        ),
        squashing_compression=NoiseSquashingCompression(
            packing=squashing_packing,
            glwe_dimension=6,
            polynomial_size=1024,
            lwe_per_glwe=128,
            noise=3,
        ),
        rerandomization=rerandomization,
        oprf=oprf,
    )


PARAMETER_SETS: Mapping[str, Parameters] = MappingProxyType(
    {
        "test": _TEST,
        "mainnet": _mainnet(
            "mainnet",
            "V1_7_META_PARAM_CPU_2_2_KS_PBS_PKE_TO_SMALL_ZKV2_TUNIFORM_2M128",
            Decomposition(41, 2),
            None,
            oprf=True,
        ),
        "mainnet-2025": _mainnet(
            "mainnet-2025",
            "V1_5_META_PARAM_CPU_2_2_KS_PBS_PKE_TO_SMALL_ZKV2_TUNIFORM_2M128",
            Decomposition(61, 1),
            Decomposition(24, 1),
            oprf=False,
        ),
    }
)


def lookup(name: str) -> Parameters:
    """Return the parameter set of that name, or scale the one that a scaled name comes from.

    The set of drills has a name and is in no list of sets: a plan has to ask for it twice.

    Raises:
        CeremonyError: RF-PLAN-001 if there is none, RF-PLAN-016 if it cannot be scaled so far.
    """
    if name == DRILL_SET:
        return _MICRO
    match = SCALED_NAME.fullmatch(name)
    if match and match["origin"] in PARAMETER_SETS:
        return _scaled(match["origin"], int(match["scale"]))
    try:
        return PARAMETER_SETS[name]
    except KeyError:
        raise CeremonyError(
            "RF-PLAN-001",
            "the plan names a parameter set that does not exist",
            expected="one of " + ", ".join(PARAMETER_SETS),
            found=repr(name[:64]),
            effect="nothing was started",
            next_step="choose one of the sets with --parameters",
            runbook="start",
        ) from None


def scaled_name(origin: str, scale: int) -> str:
    """Return the name of a set whose dimensions are those of `origin` divided by `scale`."""
    return f"{origin}-scaled-{scale}"


@cache
def _scaled(origin: str, scale: int) -> Parameters:
    """Divide the dimensions of a set; what rounds down to nothing stays 1.

    GLWE dimensions stay, so that every object keeps its number of polynomials; polynomial sizes
    and the dimension of the compact key stay powers of two.
    """
    whole = PARAMETER_SETS[origin]
    compute, squashing = whole.compute, whole.squashing
    compression, packing = whole.compression, whole.squashing_compression
    _check_scale(whole, scale)
    return replace(
        whole,
        name=scaled_name(origin, scale),
        insecure=True,
        tfhe_name=f"(no name: {whole.tfhe_name} with dimensions divided by {scale})",
        compute=replace(
            compute,
            lwe_dimension=max(1, compute.lwe_dimension // scale),
            polynomial_size=compute.polynomial_size // scale,
        ),
        compact=replace(whole.compact, lwe_dimension=whole.compact.lwe_dimension // scale),
        compression=replace(
            compression,
            polynomial_size=compression.polynomial_size // scale,
            lwe_per_glwe=max(1, compression.lwe_per_glwe // scale),
        ),
        squashing=replace(squashing, polynomial_size=squashing.polynomial_size // scale),
        squashing_compression=replace(
            packing,
            polynomial_size=packing.polynomial_size // scale,
            lwe_per_glwe=max(1, packing.lwe_per_glwe // scale),
        ),
    )


def _check_scale(whole: Parameters, scale: int) -> None:
    blocks = (whole.compute, whole.compression, whole.squashing, whole.squashing_compression)
    most = min(block.polynomial_size for block in blocks) // LEAST_POLYNOMIAL
    if scale.bit_count() != 1 or not 1 < scale <= most:
        raise CeremonyError(
            "RF-PLAN-016",
            f"the parameter set {whole.name} cannot be scaled like this",
            expected=f"a power of two from 2 to {most}",
            found=str(scale),
            effect="nothing was started",
            next_step="choose another --scale, or leave it out for the whole set",
            runbook="network-shaped-runs",
        )
