"""The TFHE parameter sets whose keys a ceremony can make, as tfhe-rs 1.7 defines them.

Noise is always TUniform; a bound b below stands for TUniform(b) on [-2^b, 2^b]. Moduli are native
(2^64; 2^128 for noise squashing), the encryption key is the big one, and the atomic pattern is key
switch, then bootstrap. A missing `Drift` means centred-mean noise reduction, which needs no key.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
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
]

MESSAGE_MODULUS = 4
CARRY_MODULUS = 4
MAX_NOISE_LEVEL = 5
MAX_DEGREE = MESSAGE_MODULUS * CARRY_MODULUS - CARRY_MODULUS
"""Degree bound that tfhe-rs demands of a radix server key, (m c - 1) - (c - 1)."""


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
    """Return the parameter set of that name.

    Raises:
        CeremonyError: RF-PLAN-001 if there is none.
    """
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
