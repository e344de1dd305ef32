import hashlib

import numpy as np
import pytest

from mpc_core.preprocessing.layout import build_layout
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.plan import Layout, TestRules
from mpc_core.ring.galois import Ring
from mpc_core.sharing.opening import decode_words
from mpc_core.tfhe.export import KeyFile, write_key_file, write_key_set
from mpc_core.tfhe.keyset import bodies_of, digest_of_files, key_set_digest
from mpc_core.tfhe.objects import public_object, public_objects
from mpc_core.tfhe.parameters import lookup

PARAMETERS = lookup("mainnet-scaled-8")
TAG, SEED = b"a tag", bytes(range(16))


@pytest.fixture(scope="module", params=[3, 4], ids=lambda degree: f"degree {degree}")
def layout(request):
    sizes = Layout(1, 1 << 20, 1 << 20, 50_000, leaf_bytes=1 << 16, batches_in_flight=4)
    return build_layout(PARAMETERS, sizes, request.param, TestRules(0, (), 0))


@pytest.fixture(scope="module")
def openings(layout):
    random = np.random.default_rng(layout.degree)
    return {
        batch.index: random.bytes(batch.opened_bytes)
        for batch in layout.assembly
        if batch.purpose == "bodies"
    }


@pytest.fixture(scope="module")
def bodies(layout, openings):
    return bodies_of(PARAMETERS, layout, openings.__getitem__)


def plain_bodies(layout, openings, number):
    """Return the bodies of an object: decode whole batches, drop the padding of rows or runs."""
    parts = []
    for batch in layout.assembly:
        if batch.purpose != "bodies":
            continue
        ring = Ring(batch.word_bits, layout.degree)
        elements = decode_words(openings[batch.index], batch.element_groups, ring)
        left = elements.reshape(-1, *ring.word_shape)
        for run in batch.segments:
            item = public_object(PARAMETERS, run.item)
            rows, length = (run.count, item.row_bodies) if item.packed_by_row else (1, run.count)
            taken = item.packed_elements(run.count, layout.degree) * layout.degree
            padded = left[:taken].reshape(rows, -1, *ring.word_shape)
            left = left[taken:]
            if run.item == number:
                bodies = length if item.packed_by_row else length * item.row_bodies
                parts.append(padded[:, :bodies].reshape(-1, *ring.word_shape))
    return np.concatenate(parts)


@pytest.mark.parametrize("number", [item.number for item in public_objects(PARAMETERS)])
def test_bodies_are_what_the_openings_say_without_the_padding(layout, openings, bodies, number):
    expected = plain_bodies(layout, openings, number)
    assert len(expected) == public_object(PARAMETERS, number).bodies
    assert np.array_equal(bodies[number], expected)
    assert np.array_equal(np.concatenate(list(bodies.pieces(number))), expected)
    assert list(bodies) == [item.number for item in public_objects(PARAMETERS)]


def test_an_object_is_read_from_its_own_batches_only(layout, openings):
    asked = []
    bodies = bodies_of(PARAMETERS, layout, lambda index: asked.append(index) or openings[index])
    assert not asked
    assert bodies[1].shape == (public_object(PARAMETERS, 1).bodies,)
    assert asked == [batch.index for batch in layout.assembly if 1 in items_of(batch)]


def items_of(batch):
    return {run.item for run in batch.segments} if batch.purpose == "bodies" else set()


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0"])
def test_an_opening_of_another_length_is_refused(layout, openings, change):
    bodies = bodies_of(PARAMETERS, layout, lambda index: change(openings[index]))
    with pytest.raises(CeremonyError, match="RF-BATCH-002"):
        bodies[1]


def written(file, bodies):
    pieces = []
    write_key_file(file, PARAMETERS, SEED, TAG, bodies, write=pieces.append)
    return pieces


@pytest.mark.parametrize("file", KeyFile)
def test_opened_bodies_and_arrays_give_the_same_file_in_small_pieces(bodies, file):
    pieces = written(file, bodies)
    assert b"".join(pieces) == b"".join(written(file, dict(bodies.items())))
    assert max(map(len, pieces)) <= 1 << 20


def test_a_key_set_is_its_three_files_written_at_once(bodies):
    pieces = {file: [] for file in KeyFile}
    write_key_set(PARAMETERS, SEED, TAG, bodies, {file: pieces[file].append for file in KeyFile})
    assert {file: b"".join(found) for file, found in pieces.items()} == {
        file: b"".join(written(file, bodies)) for file in KeyFile
    }


def test_the_digest_of_a_key_set_is_that_of_its_files(bodies):
    digests = {
        file.value: hashlib.sha256(b"".join(written(file, bodies))).digest() for file in KeyFile
    }
    assert key_set_digest(PARAMETERS, SEED, TAG, bodies) == digest_of_files(digests)
