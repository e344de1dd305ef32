"""Files of tfhe-rs, vectors, answers, and what the key setup sends."""

from __future__ import annotations

from functools import cache

import numpy as np

from mpc_core.ring.exact import ExactRing
from mpc_core.ring.galois import Ring
from mpc_core.sharing.answers import encode_answer, parse_answer
from mpc_core.sharing.opening import decode_words, encode_words
from mpc_core.sharing.sealing import kem_public_key
from mpc_core.sharing.setup import SealedContribution, contribute, open_contribution
from mpc_core.tfhe.ciphertexts import CompactList, parse_compact_list, serialize_compact_list
from mpc_core.tfhe.export import KeyFile, read_key_file, write_key_file
from mpc_core.tfhe.objects import public_objects
from mpc_core.tfhe.parameters import DRILL_SET, lookup
from tests.fuzz.registry import chosen, one_of, target

PARAMETERS = lookup(DRILL_SET)
FILES = tuple(KeyFile)
TAG = bytes(16)


@cache
def _bodies():
    return {
        item.number: np.zeros((item.bodies, *Ring(item.word_bits, 1).word_shape), np.uint64)
        for item in public_objects(PARAMETERS)
    }


def _file(file, seed, tag, bodies):
    pieces = []
    write_key_file(file, PARAMETERS, seed, tag, bodies, write=pieces.append)
    return b"".join(pieces)


def _key_files():
    for number, file in enumerate(FILES):
        yield bytes([number]) + _file(file, bytes(16), TAG, _bodies())


@target(seeds=_key_files)
def key_file(data):
    """The three files of a key set; the first byte chooses which one."""
    file = FILES[data[0] % len(FILES)] if data else FILES[0]
    found = read_key_file(file, PARAMETERS, data[1:])
    if found.seed is not None:
        assert _file(file, found.seed, found.tag, found.bodies) == data[1:]


def _list(kinds, count, *, packed):
    dimension = PARAMETERS.compact.lwe_dimension
    masks = np.zeros((-(-count // dimension), dimension), np.uint64)
    bodies = np.zeros(count, np.uint64)
    return serialize_compact_list(PARAMETERS, CompactList(masks, bodies, packed, kinds, TAG))


@target(seeds=lambda: [_list((8, 1), 5, packed=False), _list((16,), 4, packed=True)])
def ciphertext_list(data):
    found = parse_compact_list(PARAMETERS, data)
    assert serialize_compact_list(PARAMETERS, found) == data


GROUPS = ((0, 2), (3, 3), (60, 1))
VECTOR_RING = Ring(64, 3)


def _vectors():
    values = np.zeros(VECTOR_RING.shape(6), np.uint64)
    yield encode_words(values, GROUPS, VECTOR_RING)
    yield encode_words(values + np.uint64(1), GROUPS, VECTOR_RING)


def _vector(data):
    assert encode_words(decode_words(data, GROUPS, VECTOR_RING), GROUPS, VECTOR_RING) == data


ANSWER_RING = ExactRing(64, 3)


def _answer(data):
    assert encode_answer(parse_answer(data, ANSWER_RING), ANSWER_RING) == data


@target(seeds=chosen(_vectors, lambda: [bytes(43 * 3 * 8)]))
def vector(data):
    """Share vectors, openings and answers to challenges."""
    one_of(data, _vector, _answer)


SETS = ((1, 2, 3), (1, 2, 4))
KEM_SEED = bytes(range(96))


def _contributions():
    strings = {members: bytes([members[-1]]) * 32 for members in SETS}
    keys = {at: kem_public_key(KEM_SEED) for at in (1, 2, 3, 4)}
    sealed = contribute(bytes(32), 1, strings, keys)
    yield b"".join(sealed.commitments) + dict(sealed.ciphertexts)[2]


def _contribution(data):
    """Two commitments and the ciphertext for its receiver: whatever it is, it is judged."""
    commitments = (data[:32], data[32:64])
    sealed = SealedContribution(commitments, ((2, data[64:]),))
    open_contribution(bytes(32), 1, 2, sets=SETS, sealed=sealed, seed=KEM_SEED)


def _kem_key(data):
    """A peer's public key, under which strings are sealed to it."""
    strings = {SETS[0]: bytes(32)}
    keys = {at: kem_public_key(KEM_SEED) for at in (1, 3)}
    contribute(bytes(32), 1, strings, {**keys, 2: data})


@target(seeds=chosen(_contributions, lambda: [kem_public_key(KEM_SEED)]), refusals=())
def key_setup(data):
    one_of(data, _contribution, _kem_key)
