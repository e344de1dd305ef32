"""Writes the tfhe-rs `ClientKey` that belongs to secret bits.

A ceremony never has these bits in one place; tests have them from `reference_keys` or by putting
the shares of an insecure ceremony together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mpc_core.tfhe.codec import header, modulus, noise, number, real, size, some, versions
from mpc_core.tfhe.objects import (
    BIG,
    COMPACT,
    COMPRESSION,
    OPRF,
    SMALL,
    SQUASHING,
    SQUASHING_COMPRESSION,
)
from mpc_core.tfhe.parameters import CARRY_MODULUS, MAX_NOISE_LEVEL, MESSAGE_MODULUS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from mpc_core.tfhe.parameters import Drift, Parameters


class _Bytes:
    """The part of a `codec.Sink` that needs no key set."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def constant(self, data: bytes) -> None:
        self.pieces.append(data)


class _ClientKey(_Bytes):
    def __init__(self, parameters: Parameters, secrets: Mapping[str, NDArray[np.uint64]]) -> None:
        super().__init__()
        self.parameters = parameters
        self._secrets = secrets

    def write(self, tag: bytes) -> bytes:
        header(self, "ClientKey")
        versions(self, 1, 8)
        self._compute()
        self._compact()
        self._compression()
        self._squashing()
        self._squashing_compression()
        self._rerandomization()
        self._oprf()
        versions(self, 0)
        size(self, len(tag))
        self.constant(tag)
        return b"".join(self.pieces)

    def _lwe(self, name: str) -> None:
        versions(self, 0)
        size(self, self._secrets[name].size)
        self.constant(self._secrets[name].astype("<u8").tobytes())

    def _glwe(self, name: str, polynomial_size: int, *, wide: bool = False) -> None:
        versions(self, 0)
        bits = self._secrets[name].astype("<u8")
        size(self, bits.size)
        self.constant((np.stack((bits, 0 * bits), axis=-1) if wide else bits).tobytes())
        number(self, polynomial_size)

    def _modulus_switch(self, drift: Drift | None) -> None:
        if drift is None:
            versions(self, 0, 2)
            return
        versions(self, 0, 1, 0)
        number(self, drift.zeros)
        real(self, drift.bound, drift.r_sigma, drift.variance)

    def _compute(self) -> None:
        compute = self.parameters.compute
        versions(self, 0, 1, 0, 0, 0)
        self._glwe(BIG, compute.polynomial_size)
        self._lwe(SMALL)
        versions(self, 0, 0, 2)
        number(self, compute.lwe_dimension, compute.glwe_dimension, compute.polynomial_size)
        noise(self, compute.lwe_noise)
        noise(self, compute.glwe_noise)
        for gadget in (compute.bootstrap, compute.keyswitch):
            number(self, gadget.base_log, gadget.levels)
        number(self, MESSAGE_MODULUS, CARRY_MODULUS, MAX_NOISE_LEVEL)
        self.constant(np.float64(compute.log2_p_fail).tobytes())
        modulus(self, 64)
        versions(self, 0, 0)
        self._modulus_switch(compute.drift)
        some(self, present=False)

    def _compact(self) -> None:
        compact = self.parameters.compact
        some(self, present=True)
        versions(self, 0, 0)
        self._lwe(COMPACT)
        versions(self, 1)
        number(self, compact.lwe_dimension)
        noise(self, compact.noise)
        number(self, MESSAGE_MODULUS, CARRY_MODULUS)
        modulus(self, 64)
        versions(self, 1, 0)
        versions(self, 0, 2)
        versions(self, 0)
        number(self, compact.keyswitch.base_log, compact.keyswitch.levels)
        versions(self, 0, 1)

    def _compression(self) -> None:
        compression = self.parameters.compression
        some(self, present=True)
        versions(self, 0, 0)
        self._glwe(COMPRESSION, compression.polynomial_size)
        versions(self, 1, 0, 0)
        number(self, compression.decompression.levels, compression.decompression.base_log)
        number(self, compression.packing.levels, compression.packing.base_log)
        number(self, compression.polynomial_size, compression.glwe_dimension)
        number(self, compression.lwe_per_glwe, compression.storage_log_modulus)
        noise(self, compression.noise)

    def _squashing(self) -> None:
        squashing = self.parameters.squashing
        some(self, present=True)
        versions(self, 0, 0)
        self._glwe(SQUASHING, squashing.polynomial_size, wide=True)
        versions(self, 2, 0, 0)
        number(self, squashing.glwe_dimension, squashing.polynomial_size)
        noise(self, squashing.noise)
        number(self, squashing.bootstrap.base_log, squashing.bootstrap.levels)
        self._modulus_switch(squashing.drift)
        number(self, MESSAGE_MODULUS, CARRY_MODULUS)
        modulus(self, 128)

    def _squashing_compression(self) -> None:
        packing = self.parameters.squashing_compression
        some(self, present=True)
        versions(self, 0, 0)
        self._glwe(SQUASHING_COMPRESSION, packing.polynomial_size, wide=True)
        versions(self, 0)
        number(self, packing.packing.levels, packing.packing.base_log)
        number(self, packing.polynomial_size, packing.glwe_dimension, packing.lwe_per_glwe)
        noise(self, packing.noise)
        number(self, MESSAGE_MODULUS, CARRY_MODULUS)
        modulus(self, 128)

    def _rerandomization(self) -> None:
        gadget = self.parameters.rerandomization
        some(self, present=True)
        if gadget is None:
            versions(self, 0, 1)
            return
        versions(self, 0, 0, 0)
        number(self, gadget.base_log, gadget.levels)
        versions(self, 0, 0)

    def _oprf(self) -> None:
        some(self, present=self.parameters.oprf)
        if self.parameters.oprf:
            versions(self, 0, 0, 0, 0)
            self._lwe(OPRF)


def write_client_key(
    parameters: Parameters, secrets: Mapping[str, NDArray[np.uint64]], tag: bytes
) -> bytes:
    """Return the bytes of a `ClientKey` for secret bits by key name."""
    return _ClientKey(parameters, secrets).write(tag)
