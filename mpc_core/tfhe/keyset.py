"""The key set as a function of the plan and the public openings of the assembly.

Whoever holds the openings can rebuild the three files byte for byte: the operators before they
sign the digest, the coordinator that publishes them, and anybody who verifies (PROTOCOL.md,
"Assembly").
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mpc_core.tfhe.bodies import OpenedBodies
from mpc_core.tfhe.export import KeyFile, write_key_set

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.sharing.opening import Buffer
    from mpc_core.tfhe.parameters import Parameters

__all__ = ["bodies_of", "digest_of_files", "key_set_digest", "seed_of"]

_SEED_BYTES = 16


def seed_of(opening: bytes | memoryview) -> bytes:
    """Return the public seed: the first word of the opening of assembly batch 0."""
    return bytes(opening[:_SEED_BYTES])


def bodies_of(
    parameters: Parameters, layout: CeremonyLayout, opening: Callable[[int], Buffer]
) -> OpenedBodies:
    """Return all bodies by object number, to be read from the openings when they are needed.

    Args:
        parameters: the parameter set.
        layout: the ceremony's layout.
        opening: returns the canonical opening of an assembly batch, by its index.
    """
    return OpenedBodies(parameters, layout, opening)


def key_set_digest(
    parameters: Parameters, seed: bytes, tag: bytes, bodies: Mapping[int, NDArray[np.uint64]]
) -> bytes:
    """Return the digest by which the log names a key set; no file is kept, bodies are read once."""
    digests = {file: hashlib.sha256() for file in KeyFile}
    writes = {file: digest.update for file, digest in digests.items()}
    write_key_set(parameters, seed, tag, bodies, writes)
    return digest_of_files({file.value: digest.digest() for file, digest in digests.items()})


def digest_of_files(digests: Mapping[str, bytes]) -> bytes:
    """Return the digest of a key set from the SHA-256 of its three files, by file name."""
    combined = hashlib.sha256(b"ringforge/key-set/v1")
    for file in KeyFile:
        combined.update(digests[file.value])
    return combined.digest()
