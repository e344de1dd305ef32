"""Sums over key streams times small constants: where the work of a PRSS is done.

Whoever needs such sums prepares them once for a batch and then takes words from any position on, in
any order. There are two ways to the same bytes (`kernels.backend`): streams that come from
`cryptography` are summed in memory, or kernels encipher them on the way.

Security: the keys stay in this process; nothing here depends on a stream in its time or addresses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from mpc_core.ring.galois import from_integers
from mpc_core.ring.points import pair_runs, quartet_places

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from mpc_core.ring.galois import Ring, RingArray, WordArray
    from mpc_core.sharing.prss import StreamKey

__all__ = ["FusedQuartet", "LibraryQuartet", "StreamSums", "address_of", "stream_sums"]

BLOCK_BYTES, BLOCK_BITS = 16, 128
LIBRARY_TILE_BLOCKS = 8192
"""Blocks that `cryptography` makes of a stream at a time. Its calls take the interpreter's lock,
and two threads wait for each other the longer the shorter the calls are."""

FUSED_TILE_BLOCKS = 2048
"""Blocks of every stream that a kernel enciphers and sums at a time."""

GROUP = 8
"""Streams that are made and summed together: they stay in the second cache."""

ZEROS = np.zeros(LIBRARY_TILE_BLOCKS * BLOCK_BYTES, np.uint8)
ZEROS.flags.writeable = False
"""What is enciphered, and what stands for a stream that an operator does not have."""

CACHE_LINE = 64
"""Added to the rows of a buffer, or the same places of all streams would meet in one cache set."""

TOP_BITS_16, TOP_BITS_32 = 0x8000_8000_8000_8000, 0x8000_0000_8000_0000


class StreamSums(Protocol):
    """Sums of the words of prepared streams times their constants."""

    def fill(self, out: RingArray, first: int) -> None:
        """Write the sums of the words from number `first` of the streams on.

        Args:
            out: elements, shape (count, d[, 2]), C-contiguous.
            first: number of the first word.
        """


def stream_sums(keys: Sequence[StreamKey], constants: NDArray[np.int32], ring: Ring) -> StreamSums:
    """Prepare sum_s constants_s * r_s for words r_s of Z_2^K from the stream of each key.

    Args:
        keys: stream keys.
        constants: small integer coefficients of an element per stream, shape (len(keys), d).
        ring: GR(2^K, d).
    """
    from mpc_core.kernels.backend import kernel_mode  # noqa: PLC0415 loads the compiler

    if constants.shape != (len(keys), ring.degree):
        raise ValueError("constants of another ring or other streams")
    portable = kernel_mode() == "portable"
    places = quartet_places(constants)
    if places is not None:
        kind = LibraryQuartet if portable else FusedQuartet
        return kind(keys, places, ring)
    return (_LibrarySums if portable else _FusedSums)(keys, constants, ring)


class _Stream:
    """A key stream from `cryptography`, added mod 2 to whatever the caller chooses."""

    __slots__ = ("_cipher", "_next", "_nonce")

    def __init__(self, key: StreamKey) -> None:
        self._nonce, self._next = key.nonce, 0
        counter = key.nonce + bytes(BLOCK_BYTES - len(key.nonce))
        self._cipher = Cipher(algorithms.AES(key.key), modes.CTR(counter)).encryptor()

    def add(self, block: int, data: memoryview, out: memoryview) -> None:
        """Write data plus the stream from number `block` on; whole blocks."""
        if block != self._next:
            size = BLOCK_BYTES - len(self._nonce)
            self._cipher.reset_nonce(self._nonce + block.to_bytes(size, "big"))
        self._cipher.update_into(data, out)
        self._next = block + len(data) // BLOCK_BYTES


class _LibrarySums:
    """Streams from `cryptography`, summed by portable kernels."""

    def __init__(self, keys: Sequence[StreamKey], constants: NDArray[np.int32], ring: Ring) -> None:
        from mpc_core.kernels import prss as kernels  # noqa: PLC0415 compile when imported

        self._kernels, self._words_per_block = kernels, BLOCK_BITS // ring.bits
        self._add = kernels.buffer_adder(ring.degree)
        self._settle = kernels.settler(ring.degree, ring.bits, fused=False)
        self._streams = [_Stream(key) for key in keys]
        self._factors = constants.astype(np.float64)
        self._offsets = _offsets(constants, 32, ring)
        self._offsets_at = address_of(self._offsets)
        flips = np.full(LIBRARY_TILE_BLOCKS * BLOCK_BYTES // 8, TOP_BITS_32, np.uint64)
        self._flips = flips.view(np.uint8).data
        self._buffer = np.empty((GROUP, LIBRARY_TILE_BLOCKS * BLOCK_BYTES + CACHE_LINE), np.uint8)
        self._rows = [row.data for row in self._buffer]
        groups = LIBRARY_TILE_BLOCKS // kernels.GROUP_BLOCKS
        self._sums = np.empty((groups, 4 * kernels.GROUP_BLOCKS * ring.degree))
        self._totals = np.empty(self._sums.shape, np.int64)

    def fill(self, out: RingArray, first: int) -> None:
        """Write the sums of the words from number `first` on."""
        group_blocks = self._kernels.GROUP_BLOCKS
        for tile in _tiles(out, first, self._words_per_block, LIBRARY_TILE_BLOCKS):
            groups = -(-tile.blocks // group_blocks)
            sums, totals = self._sums[:groups], self._totals[:groups]
            sums[:] = 0
            data = self._flips[: groups * group_blocks * BLOCK_BYTES]
            for at in range(0, len(self._streams), GROUP):
                streams = self._streams[at : at + GROUP]
                for stream, row in zip(streams, self._rows, strict=False):
                    stream.add(tile.block, data, row)
                self._add(sums, self._buffer, self._factors[at : at + GROUP])
            self._kernels.whole(sums, totals)
            self._settle(totals, self._offsets_at, tile.skip, tile.words, tile.address)


class _FusedSums:
    """Streams that are enciphered within the kernel that sums them."""

    def __init__(self, keys: Sequence[StreamKey], constants: NDArray[np.int32], ring: Ring) -> None:
        from mpc_core.kernels import prss as kernels  # noqa: PLC0415 compile when imported
        from mpc_core.kernels import prss_fused as fused  # noqa: PLC0415

        self._group_blocks, self._words_per_block = fused.GROUP_BLOCKS, BLOCK_BITS // ring.bits
        self._add = fused.stream_adder(ring.degree)
        self._settle = kernels.settler(ring.degree, ring.bits, fused=True)
        pairs = -(-len(keys) // 2)
        padded = np.zeros((2 * pairs, ring.degree), np.int16)
        padded[: len(keys)] = constants
        self._factors = np.ascontiguousarray(
            padded.reshape(pairs, 2, ring.degree).transpose(0, 2, 1)
        )
        self._runs = np.array(pair_runs(constants), np.int64)
        self._keys = _schedules(keys, 2 * pairs, TOP_BITS_16)
        self._offsets = _offsets(constants, 16, ring)
        self._offsets_at = address_of(self._offsets)
        groups = FUSED_TILE_BLOCKS // fused.GROUP_BLOCKS
        self._totals = np.empty((groups, 4 * fused.GROUP_BLOCKS * ring.degree), np.int64)

    def fill(self, out: RingArray, first: int) -> None:
        """Write the sums of the words from number `first` on."""
        keys, factors = address_of(self._keys), address_of(self._factors)
        for tile in _tiles(out, first, self._words_per_block, FUSED_TILE_BLOCKS):
            totals = self._totals[: -(-tile.blocks // self._group_blocks)]
            self._add(totals, np.uint64(tile.block), keys, factors, self._runs)
            self._settle(totals, self._offsets_at, tile.skip, tile.words, tile.address)


class LibraryQuartet:
    """The few streams of one of four operators, from `cryptography`.

    Attributes:
        most: words that are made at a time at most, a multiple of d.
    """

    def __init__(self, keys: Sequence[StreamKey], places: Sequence[int], ring: Ring) -> None:
        from mpc_core.kernels import quartet  # noqa: PLC0415 compile when imported

        self._words_per_block, self._word_bytes = BLOCK_BITS // ring.bits, ring.bits // 8
        self._add = quartet.quartet_adder(ring.bits)
        words = LIBRARY_TILE_BLOCKS * self._words_per_block - 1
        self.most = words // ring.degree * ring.degree
        self._streams = [_Stream(key) for key in keys]
        shape = (len(keys), LIBRARY_TILE_BLOCKS * BLOCK_BYTES + CACHE_LINE)
        self._buffers = np.empty(shape, np.uint8)
        self._rows = [row.data for row in self._buffers]
        self._addresses = np.full(quartet.STREAMS, address_of(ZEROS))
        for place, row in zip(places, self._buffers, strict=True):
            self._addresses[place] = address_of(row)

    def fill(self, out: RingArray, first: int) -> None:
        """Write the sums of the words from number `first` on."""
        start, size = address_of(out), out.strides[0]
        for done in range(0, len(out), self.most):
            words = min(len(out) - done, self.most)
            places = self.make(first + done, words)
            self._add(places, words, start + np.uint64(done * size))

    def make(self, first: int, count: int) -> NDArray[np.uint64]:
        """Write the streams to memory, from a word on, and return where each of them begins.

        Args:
            first: number of the first word.
            count: number of words, `most` of them at most.

        Returns:
            Addresses in the order of `quartet.sum_words`, good until the next call.
        """
        block, skip = divmod(first, self._words_per_block)
        blocks = -(-(skip + count) // self._words_per_block)
        zeros = ZEROS.data[: blocks * BLOCK_BYTES]
        for stream, row in zip(self._streams, self._rows, strict=True):
            stream.add(block, zeros, row)
        return self._addresses + np.uint64(skip * self._word_bytes)


class FusedQuartet:
    """The few streams of one of four operators, enciphered within the kernel that sums them.

    Attributes:
        keys: addresses of the round keys, for kernels that use the sums at once
            (`kernels.quartet_fused`); good as long as this object lives.
    """

    def __init__(self, keys: Sequence[StreamKey], places: Sequence[int], ring: Ring) -> None:
        from mpc_core.kernels import quartet, quartet_fused  # noqa: PLC0415 compile when imported

        self._add = quartet_fused.quartet_encipherer(ring.bits)
        self._schedules = _schedules(keys, len(keys), 0)
        self.keys = np.zeros(quartet.STREAMS, np.uint64)
        for place, row in zip(places, self._schedules, strict=True):
            self.keys[place] = address_of(row)

    def fill(self, out: RingArray, first: int) -> None:
        """Write the sums of the words from number `first` on."""
        self._add(self.keys, first, len(out), address_of(out))


class _Tile(NamedTuple):
    """Part of what is filled: words that go to `address`, in `blocks` blocks from `block` on."""

    block: int
    blocks: int
    skip: int
    words: int
    address: np.uint64


def _tiles(out: RingArray, first: int, words_per_block: int, most: int) -> Iterator[_Tile]:
    """Cut an array into tiles of at most so many blocks; a word may be the second of a block."""
    start, size = address_of(out), out.strides[0]
    done = 0
    while done < len(out):
        block, skip = divmod(first + done, words_per_block)
        count = min(len(out) - done, most * words_per_block - skip)
        blocks = -(-(skip + count) // words_per_block)
        yield _Tile(block, blocks, skip, count, start + np.uint64(done * size))
        done += count


def _schedules(keys: Sequence[StreamKey], count: int, added: int) -> NDArray[np.uint8]:
    """Return the round keys of streams, and those of an arbitrary one up to `count`."""
    from mpc_core.kernels import aes  # noqa: PLC0415 compile when imported

    secrets = np.zeros((count, aes.KEY_BYTES), np.uint8)
    for row, key in zip(secrets, keys, strict=False):
        row[:] = np.frombuffer(key.key + key.nonce, np.uint8)
    schedules = np.empty((count, aes.SCHEDULE_BYTES), np.uint8)
    aes.write_schedules(secrets, np.uint64(added), schedules)
    return schedules


def _offsets(constants: NDArray[np.int32], limb_bits: int, ring: Ring) -> WordArray:
    """Return what centring the limbs of all streams has taken off each coordinate."""
    centre = sum(1 << (at + limb_bits - 1) for at in range(0, ring.bits, limb_bits))
    sums = constants.sum(axis=0, dtype=np.int64).astype(object)
    return np.ascontiguousarray(from_integers(sums * centre % (1 << ring.bits), ring.bits))


def address_of(array: NDArray[Any]) -> np.uint64:
    """Return where an array begins; it has to be kept alive while the address is used."""
    return np.uint64(array.__array_interface__["data"][0])
