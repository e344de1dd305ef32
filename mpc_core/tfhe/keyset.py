"""The key set as a function of the plan and the public openings of the assembly.

Whoever holds the openings can rebuild the three files byte for byte: the operators before they
sign the digest, the coordinator that publishes them, and anybody who verifies (PROTOCOL.md,
"Assembly").
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from mpc_core.ring.galois import Ring
from mpc_core.sharing.opening import decode_words
from mpc_core.sharing.packing import unpack
from mpc_core.tfhe.export import KeyFile, write_key_file
from mpc_core.tfhe.objects import public_object, public_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.ring.galois import RingArray
    from mpc_core.tfhe.objects import PublicObject
    from mpc_core.tfhe.parameters import Parameters

__all__ = ["bodies_of", "digest_of_files", "file_digest", "key_set_digest", "seed_of"]

_SEED_BYTES = 16


def seed_of(opening: bytes | memoryview) -> bytes:
    """Return the public seed: the first word of the opening of assembly batch 0."""
    return bytes(opening[:_SEED_BYTES])


def bodies_of(
    parameters: Parameters, layout: CeremonyLayout, opening: Callable[[int], bytes | memoryview]
) -> dict[int, NDArray[np.uint64]]:
    """Return all bodies by object number, from the openings of the assembly batches.

    Args:
        parameters: the parameter set.
        layout: the ceremony's layout.
        opening: returns the canonical opening of an assembly batch, by its index.

    Raises:
        CeremonyError: RF-BATCH-002 or -003, when an opening is not canonical.
    """
    parts: dict[int, list[NDArray[np.uint64]]] = {
        item.number: [] for item in public_objects(parameters)
    }
    for batch in layout.assembly:
        if batch.purpose != "bodies":
            continue
        ring = Ring(batch.word_bits, layout.degree)
        elements = decode_words(opening(batch.index), batch.element_groups, ring)
        start = 0
        for segment in batch.segments:
            item = public_object(parameters, segment.item)
            count = item.packed_elements(segment.count, layout.degree)
            rows = _unpack_rows(item, elements[start : start + count], segment.count)
            parts[segment.item].append(rows)
            start += count
    return {number: np.concatenate(found) for number, found in parts.items()}


def _unpack_rows(item: PublicObject, elements: RingArray, rows: int) -> NDArray[np.uint64]:
    """Undo `assembly.pack_rows` on public values: rows of polynomials were padded one by one."""
    if not item.packed_by_row:
        return unpack(elements, rows * item.row_bodies)
    by_row = elements.reshape(rows, -1, *elements.shape[2:])
    return by_row[:, : item.row_bodies].reshape(-1, *elements.shape[2:])


def file_digest(
    file: KeyFile,
    parameters: Parameters,
    seed: bytes,
    tag: bytes,
    bodies: Mapping[int, NDArray[np.uint64]],
) -> bytes:
    """Return the SHA-256 of a key file without keeping its bytes."""
    digest = hashlib.sha256()
    write_key_file(file, parameters, seed, tag, bodies, write=digest.update)
    return digest.digest()


def key_set_digest(
    parameters: Parameters, seed: bytes, tag: bytes, bodies: Mapping[int, NDArray[np.uint64]]
) -> bytes:
    """Return the digest by which the log names a key set."""
    return digest_of_files(
        {file.value: file_digest(file, parameters, seed, tag, bodies) for file in KeyFile}
    )


def digest_of_files(digests: Mapping[str, bytes]) -> bytes:
    """Return the digest of a key set from the SHA-256 of its three files, by file name."""
    combined = hashlib.sha256(b"ringforge/key-set/v1")
    for file in KeyFile:
        combined.update(digests[file.value])
    return combined.digest()
