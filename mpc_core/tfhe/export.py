"""The three key files, field by field, as tfhe-rs 1.7 serialises them.

`write_key_file` and `read_key_file` walk over the same description. Masks do not stand in the
compressed files: each list names the seed and its position in the mask stream, so it can be
expanded alone as well as with the whole set.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from mpc_core.tfhe.codec import (
    Reader,
    Writer,
    header,
    item_of,
    modulus,
    noise,
    number,
    real,
    size,
    some,
    versions,
)
from mpc_core.tfhe.objects import OPRF, Kind, secret_keys
from mpc_core.tfhe.parameters import CARRY_MODULUS, MAX_DEGREE, MAX_NOISE_LEVEL, MESSAGE_MODULUS
from mpc_core.tfhe.xof import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from mpc_core.tfhe.codec import Sink
    from mpc_core.tfhe.objects import PublicObject
    from mpc_core.tfhe.parameters import Drift, Parameters

__all__ = ["KeyFile", "KeyFileContents", "read_key_file", "write_key_file", "write_key_set"]


class KeyFile(Enum):
    """The files of a key set; the value is file name and tfhe-rs type."""

    COMPACT_PUBLIC_KEY = "CompactPublicKey"
    COMPRESSED_SERVER_KEY = "CompressedServerKey"
    COMPRESSED_XOF_KEY_SET = "CompressedXofKeySet"


@dataclass(frozen=True, slots=True)
class KeyFileContents:
    """What a key file says beyond its parameter set.

    Attributes:
        seed: the public seed; `None` in `CompactPublicKey`, which carries its masks instead.
        tag: tag of the key set.
        bodies: by object number, shape (bodies,), or (bodies, 2) for 128-bit objects.
        masks: masks that the file spells out, by object number.
    """

    seed: bytes | None
    tag: bytes
    bodies: Mapping[int, NDArray[np.uint64]]
    masks: Mapping[int, NDArray[np.uint64]]


def write_key_file(
    file: KeyFile,
    parameters: Parameters,
    seed: bytes,
    tag: bytes,
    bodies: Mapping[int, NDArray[np.uint64]],
    *,
    write: Callable[[bytes], object],
) -> None:
    """Pass the bytes of a key file to `write`, piece by piece.

    Args:
        file: which one.
        parameters: the parameter set.
        seed: public seed, 16 bytes.
        tag: tag of the key set, at most `TAG_LIMIT` bytes.
        bodies: by object number, shape (bodies,), or (bodies, 2) for 128-bit objects; those of
            `OpenedBodies` are never all in memory.
        write: for instance the `write` of a file or the `update` of a hash.
    """
    _walk(file, Writer(parameters, seed, tag, bodies, write=write))


def write_key_set(
    parameters: Parameters,
    seed: bytes,
    tag: bytes,
    bodies: Mapping[int, NDArray[np.uint64]],
    writes: Mapping[KeyFile, Callable[[bytes], object]],
) -> None:
    """Pass the bytes of all key files to a function each, and read the bodies only once.

    Args:
        parameters: the parameter set.
        seed: public seed, 16 bytes.
        tag: tag of the key set, at most `TAG_LIMIT` bytes.
        bodies: by object number, as for `write_key_file`.
        writes: for every file what takes it, piece by piece.
    """

    def sink(*files: KeyFile) -> Writer:
        def write(piece: bytes) -> None:
            for file in files:
                writes[file](piece)

        return Writer(parameters, seed, tag, bodies, write=write)

    for file in KeyFile:
        _front(file, sink(file))
    _server_key(sink(*filter(_has_server_key, KeyFile)))


def read_key_file(
    file: KeyFile, parameters: Parameters, data: bytes | memoryview
) -> KeyFileContents:
    """Return what a key file holds, having checked every other byte of it.

    Raises:
        CeremonyError: RF-TFHE-001 for any byte that `write_key_file` would not write.
    """
    reader = Reader(parameters, data, file.value)
    _walk(file, reader)
    reader.finish()
    tag = reader.tag_bytes
    assert tag is not None
    return KeyFileContents(reader.seed_bytes, tag, reader.bodies, reader.mask_words)


def _walk(file: KeyFile, sink: Sink) -> None:
    _front(file, sink)
    if _has_server_key(file):
        _server_key(sink)


def _has_server_key(file: KeyFile) -> bool:
    """Tell whether a file ends with the server key, which is then all but some kilobytes of it."""
    return file is not KeyFile.COMPACT_PUBLIC_KEY


def _front(file: KeyFile, sink: Sink) -> None:
    """Pass what a file has besides the server key."""
    header(sink, file.value)
    if file is KeyFile.COMPACT_PUBLIC_KEY:
        _compact_public_key(sink)
    elif file is KeyFile.COMPRESSED_XOF_KEY_SET:
        versions(sink, 1, 0, 0, 0)
        sink.seed()
        versions(sink, 1, 0)
        _seeded_compact_key(sink, item_of(sink, 1), derived=False)
        sink.tag()


def _compact_public_key(sink: Sink) -> None:
    key = item_of(sink, 1)
    versions(sink, 1, 0, 0, 1, 0, 0)
    size(sink, 2 * key.bodies)
    sink.masks(key)
    sink.words(key)
    number(sink, key.bodies)
    modulus(sink, key.word_bits)
    _compact_parameters(sink, key, derived=False)
    sink.tag()


def _seeded_compact_key(sink: Sink, key: PublicObject, *, derived: bool) -> None:
    versions(sink, 0, 1, 0, 0)
    size(sink, key.bodies)
    sink.words(key)
    number(sink, 2)
    _position(sink, key)
    modulus(sink, key.word_bits)
    _compact_parameters(sink, key, derived=derived)


def _compact_parameters(sink: Sink, key: PublicObject, *, derived: bool) -> None:
    versions(sink, 1)
    number(sink, key.bodies)
    noise(sink, key.noise_bound_log2)
    number(sink, MESSAGE_MODULUS, CARRY_MODULUS)
    modulus(sink, key.word_bits)
    if derived:  # expands without casting, key switch before bootstrap; no proofs
        versions(sink, 1, 1, 0, 0, 0, 0)
        versions(sink, 0, 0)
    else:  # needs casting; proofs of the second scheme
        versions(sink, 1, 0)
        versions(sink, 0, 2)


def _position(sink: Sink, item: PublicObject) -> None:
    """Pass the seed and where in its stream the masks of a list begin."""
    versions(sink, 1, 0, 0, 1, 0)
    sink.seed()
    block, byte = divmod(item.mask_offset, BLOCK)
    versions(sink, 0, 0)
    sink.constant(block.to_bytes(16, "little"))
    versions(sink, 0)
    size(sink, byte)


def _keyswitch(sink: Sink, item: PublicObject) -> None:
    versions(sink, 2)
    size(sink, item.bodies)
    sink.words(item)
    number(sink, item.base_log, item.levels, item.mask_polynomials + 1)
    _position(sink, item)
    modulus(sink, item.word_bits)


def _packing_keyswitch(sink: Sink, item: PublicObject) -> None:
    versions(sink, 2)
    size(sink, item.bodies)
    sink.words(item)
    number(sink, item.base_log, item.levels, item.mask_polynomials + 1, item.row_bodies)
    _position(sink, item)
    modulus(sink, item.word_bits)


def _bootstrap(sink: Sink, item: PublicObject) -> None:
    versions(sink, 1, 1)
    size(sink, item.bodies)
    sink.words(item)
    number(sink, item.mask_polynomials + 1, item.row_bodies, item.base_log, item.levels)
    _position(sink, item)
    modulus(sink, item.word_bits)


def _modulus_switch(sink: Sink, drift: Drift | None, number_of_zeros: int) -> None:
    if drift is None:
        versions(sink, 0, 2)
        return
    zeros = item_of(sink, number_of_zeros)
    versions(sink, 0, 1, 1, 0)
    size(sink, zeros.bodies)
    sink.words(zeros)
    number(sink, zeros.mask_polynomials + 1)
    _position(sink, zeros)
    modulus(sink, zeros.word_bits)
    real(sink, drift.bound, drift.r_sigma, drift.variance)


def _casting_keyswitch(sink: Sink, item: PublicObject, *, to_small: bool) -> None:
    versions(sink, 2, 2)
    _keyswitch(sink, item)
    sink.constant(b"\0")  # no right shift of the messages
    versions(sink, 0, int(to_small))
    versions(sink, 0, 0)


def _server_key(sink: Sink) -> None:
    parameters = sink.parameters
    versions(sink, 2, 7)
    _compute(sink)
    some(sink, present=True)
    _casting_keyswitch(sink, item_of(sink, 9), to_small=True)
    _compression(sink)
    _squashing(sink)
    some(sink, present=True)
    rerandomization = item_of(sink, 10)
    if rerandomization.kind is Kind.COMPACT_KEY:
        versions(sink, 0, 1)
        _seeded_compact_key(sink, rerandomization, derived=True)
    else:
        versions(sink, 0, 0, 0, 1)
        _casting_keyswitch(sink, rerandomization, to_small=False)
    oprf = any(key.name == OPRF for key in secret_keys(parameters))
    some(sink, present=oprf)
    if oprf:
        versions(sink, 0, 0, 0, 0)
        _bootstrap(sink, item_of(sink, 12))
    sink.tag()


def _compute(sink: Sink) -> None:
    versions(sink, 2, 3)
    versions(sink, 0, 0, 0)
    _keyswitch(sink, item_of(sink, 4))
    versions(sink, 3, 0)
    _bootstrap(sink, item_of(sink, 5))
    _modulus_switch(sink, sink.parameters.compute.drift, 6)
    versions(sink, 0, 0)
    number(sink, MESSAGE_MODULUS, CARRY_MODULUS, MAX_DEGREE, MAX_NOISE_LEVEL)


def _compression(sink: Sink) -> None:
    compression = sink.parameters.compression
    some(sink, present=True)
    versions(sink, 2, 2)
    _packing_keyswitch(sink, item_of(sink, 2))
    number(sink, compression.lwe_per_glwe, compression.storage_log_modulus)
    some(sink, present=True)
    versions(sink, 1, 2)
    versions(sink, 3, 0)
    _bootstrap(sink, item_of(sink, 3))
    versions(sink, 0, 0)
    number(sink, compression.lwe_per_glwe)


def _squashing(sink: Sink) -> None:
    some(sink, present=True)
    versions(sink, 0, 3)
    versions(sink, 0, 0, 0)
    versions(sink, 1, 0)
    _bootstrap(sink, item_of(sink, 7))
    _modulus_switch(sink, sink.parameters.squashing.drift, 8)
    number(sink, MESSAGE_MODULUS, CARRY_MODULUS)
    modulus(sink, 128)
    some(sink, present=True)
    versions(sink, 0, 0)
    _packing_keyswitch(sink, item_of(sink, 11))
    number(sink, sink.parameters.squashing_compression.lwe_per_glwe)
