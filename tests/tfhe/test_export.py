import numpy as np
import pytest

from mpc_core.protocol.errors import CeremonyError
from mpc_core.tfhe.export import KeyFile, read_key_file
from mpc_core.tfhe.parameters import lookup
from mpc_core.tfhe.xof import mask_rows, mask_stream

TAG = bytes(range(16))


@pytest.fixture(scope="module", params=list(KeyFile), ids=lambda file: file.value)
def written(request, reference):
    return request.param, reference.file(request.param, TAG)


def test_reading_gives_back_what_was_written(written, reference):
    file, data = written
    contents = read_key_file(file, reference.parameters, data)
    assert contents.tag == TAG
    expected = {
        KeyFile.COMPACT_PUBLIC_KEY: {1},
        KeyFile.COMPRESSED_SERVER_KEY: set(range(2, 13)),
        KeyFile.COMPRESSED_XOF_KEY_SET: set(range(1, 13)),
    }[file]
    assert set(contents.bodies) == expected
    for number, bodies in contents.bodies.items():
        assert np.array_equal(bodies, reference.bodies[number])
    assert contents.seed == (None if file is KeyFile.COMPACT_PUBLIC_KEY else reference.seed)


def test_the_public_key_spells_out_the_masks_of_the_seed(reference):
    data = reference.file(KeyFile.COMPACT_PUBLIC_KEY, TAG)
    contents = read_key_file(KeyFile.COMPACT_PUBLIC_KEY, reference.parameters, data)
    from mpc_core.tfhe.objects import public_object

    masks = mask_rows(mask_stream(reference.seed), public_object(reference.parameters, 1), 0, 1)
    assert np.array_equal(contents.masks[1], masks[0])


def read_or_code(file, parameters, data):
    try:
        return read_key_file(file, parameters, data)
    except CeremonyError as error:
        return error.code


def test_no_changed_byte_goes_unnoticed(written, reference):
    file, data = written
    original = read_key_file(file, reference.parameters, data)
    random = np.random.default_rng(3)
    tail = len(data) - np.arange(1, 200)
    for position in {*range(400), *tail.tolist(), *random.integers(0, len(data), 50).tolist()}:
        changed = bytearray(data)
        changed[position] ^= 1 << int(random.integers(8))
        found = read_or_code(file, reference.parameters, bytes(changed))
        if found == "RF-TFHE-001":
            continue
        same = found.tag == original.tag and found.seed == original.seed
        for mine, theirs in ((found.bodies, original.bodies), (found.masks, original.masks)):
            same = same and all(np.array_equal(mine[key], theirs[key]) for key in mine)
        assert not same, position


@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_a_truncated_file_is_refused(written, reference, length):
    file, data = written
    with pytest.raises(CeremonyError, match="RF-TFHE-001"):
        read_key_file(file, reference.parameters, data[:length])


def test_a_trailing_byte_is_refused(written, reference):
    file, data = written
    with pytest.raises(CeremonyError, match="RF-TFHE-001"):
        read_key_file(file, reference.parameters, data + b"\0")


def test_a_file_of_another_parameter_set_is_refused(written):
    file, data = written
    with pytest.raises(CeremonyError, match="mainnet"):
        read_key_file(file, lookup("mainnet"), data)


def test_a_huge_tag_is_refused_before_it_is_read(reference):
    data = bytearray(reference.file(KeyFile.COMPACT_PUBLIC_KEY, b""))
    data[-8:] = (1 << 60).to_bytes(8, "little")
    with pytest.raises(CeremonyError, match="RF-TFHE-001"):
        read_key_file(KeyFile.COMPACT_PUBLIC_KEY, reference.parameters, bytes(data))
