import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from mpc_core.tfhe.objects import public_object
from mpc_core.tfhe.parameters import lookup
from mpc_core.tfhe.xof import BLOCK, PIECE, XofStream, mask_rows, mask_stream

SEED = bytes(range(16))


@pytest.mark.parametrize(("start", "count"), [(0, 1), (5, 40), (16, 16), (31, 2), (4080, 33)])
def test_any_range_is_a_piece_of_the_stream(start, count):
    stream = mask_stream(SEED)
    whole = stream.read(0, start + count + 7)
    assert np.array_equal(stream.read(start, count), whole[start : start + count])


def test_the_counter_carries_into_its_high_word():
    stream = mask_stream(SEED)
    carrying = XofStream(b"TFHE_GEN", SEED)
    carrying._counter = (1 << 64) - 1
    plain = XofStream(b"TFHE_GEN", SEED)
    plain._counter = 1 << 64
    assert np.array_equal(carrying.read(16, 16), plain.read(0, 16))
    assert not np.array_equal(carrying.read(16, 16), stream.read(0, 16))


def test_the_counter_wraps_at_128_bits():
    last = XofStream(b"TFHE_GEN", SEED)
    last._counter = (1 << 128) - 1
    zero = XofStream(b"TFHE_GEN", SEED)
    zero._counter = 0
    assert np.array_equal(last.read(16, 16), zero.read(0, 16))


@pytest.mark.parametrize("first", [0, (1 << 64) - PIECE - 3, (1 << 128) - 2 * PIECE + 1])
def test_long_reads_are_the_encrypted_counters_one_after_the_other(first):
    stream = mask_stream(SEED)
    stream._counter = first
    blocks = 2 * PIECE + 5
    counters = b"".join(
        (at % (1 << 128)).to_bytes(16, "little") for at in range(first, first + blocks)
    )
    cipher = Cipher(algorithms.AES(stream._key), modes.ECB())
    expected = cipher.encryptor().update(counters)
    assert stream.read(0, blocks * BLOCK).tobytes() == expected
    assert stream.read(7, BLOCK * PIECE).tobytes() == expected[7 : 7 + BLOCK * PIECE]


def test_words_from_any_byte_on_are_aligned_in_memory():
    words = mask_stream(SEED).words(3, 9, 64)
    assert words.flags.aligned
    assert words.astype("<u8").tobytes() == mask_stream(SEED).read(3, 72).tobytes()


def test_wide_words_are_little_endian_pairs():
    stream = mask_stream(SEED)
    wide, narrow = stream.words(16, 2, 128), stream.words(16, 4, 64)
    assert wide.ravel().tolist() == narrow.tolist()
    assert int(narrow[0]) == int.from_bytes(stream.read(16, 8).tobytes(), "little")


def test_rows_of_an_object_are_one_run_of_the_stream():
    item = public_object(lookup("test"), 7)
    stream = mask_stream(SEED)
    whole = mask_rows(stream, item, 0, item.rows)
    assert whole.shape == (item.rows, item.row_mask_words, 2)
    assert np.array_equal(mask_rows(stream, item, 1, 2), whole[1:3])
    run = stream.read(item.mask_offset, item.mask_bytes)
    assert whole.astype("<u8").tobytes() == run.tobytes()
