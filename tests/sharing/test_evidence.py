"""Evidence convinces everybody of a lie, and of nothing else."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import chunk_root
from mpc_core.ring.exact import degree_for
from mpc_core.ring.galois import Ring
from mpc_core.sharing.challenge import answer_for, challenge
from mpc_core.sharing.evidence import (
    DecoderClaim,
    Encoding,
    contradicts_answer,
    decoder_evidence,
    first_misfit,
    largest_decoder_evidence,
    parse_decoder_evidence,
    refutes_decoder,
)
from mpc_core.sharing.opening import open_double
from tests.sharing.test_open_pieces import shared

DRAWN = challenge(b"p" * 32, b"c" * 32, 0, b"r" * 32)
GROUPS = ((0, 7), (3, 5), (9, 1))


def opening(n=4, t=1, *, single=False, bits=64, leaf_bytes=40, groups=GROUPS, seed=1):
    """Return an honest opening: claim, vectors of the listed operators, v, encoding."""
    encoding = Encoding(groups, Ring(bits, degree_for(n)), leaf_bytes)
    degree = t if single else 2 * t
    v, vectors = shared(n, degree, groups, encoding.ring, seed)
    count = n - t if single else 2 * t + 1
    listed = sorted(random.Random(seed).sample(range(1, n + 1), count))
    vectors = {i: vectors[i] for i in listed}
    return claimed(vectors, v, degree, encoding), vectors, v, encoding


def claimed(vectors, v, degree, encoding):
    def root(data):
        return chunk_root(data, encoding.leaf_bytes)

    return DecoderClaim(tuple((i, root(data)) for i, data in vectors.items()), root(v), degree)


def flipped(data, at, by=1):
    altered = bytearray(data)
    altered[at] ^= by
    return bytes(altered)


def elements(encoding):
    return range(sum(count for _, count in encoding.groups))


# -- a decoder's v --------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    committee=st.sampled_from([(4, 1, False), (4, 1, True), (7, 2, False), (13, 4, True)]),
    bits=st.sampled_from([64, 128]),
    leaf_bytes=st.sampled_from([5, 40, 64, 4096]),
    place=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, 1000),
)
def test_a_wrong_byte_of_v_anywhere_is_proven(committee, bits, leaf_bytes, place, seed):
    n, t, single = committee
    claim, vectors, v, encoding = opening(
        n, t, single=single, bits=bits, leaf_bytes=leaf_bytes, seed=seed
    )
    at = int(place * len(v))
    wrong = flipped(v, at)
    claim = claimed(vectors, wrong, claim.degree, encoding)
    element = first_misfit(claim, vectors, wrong, encoding)
    _, start, stop = encoding.place(element)
    assert start <= at < stop
    evidence = decoder_evidence(element, claim, vectors, wrong, encoding)
    assert refutes_decoder(evidence, claim, encoding)
    assert len(evidence) <= largest_decoder_evidence(claim, encoding)


@pytest.mark.parametrize("single", [False, True])
def test_an_honest_decoder_cannot_be_refuted_at_any_element(single):
    claim, vectors, v, encoding = opening(7, 2, single=single)
    assert first_misfit(claim, vectors, v, encoding) is None
    for element in elements(encoding):
        evidence = decoder_evidence(element, claim, vectors, v, encoding)
        assert not refutes_decoder(evidence, claim, encoding)


def test_an_honest_decoder_that_opened_a_liars_vector_cannot_be_refuted():
    """It interpolated what the liar had committed to: v is wrong, and follows from the list."""
    claim, vectors, v, encoding = opening()
    liar = claim.points[0][0]
    vectors[liar] = flipped(vectors[liar], 0)
    opened = b"".join(map(bytes, open_double(vectors, 1, encoding.groups, encoding.ring)))
    assert opened != v
    claim = claimed(vectors, opened, claim.degree, encoding)
    assert first_misfit(claim, vectors, opened, encoding) is None


def test_evidence_with_any_other_byte_proves_nothing():
    claim, vectors, v, encoding = opening(leaf_bytes=16)
    wrong = flipped(v, 30)
    claim = claimed(vectors, wrong, claim.degree, encoding)
    element = first_misfit(claim, vectors, wrong, encoding)
    evidence = decoder_evidence(element, claim, vectors, wrong, encoding)
    assert refutes_decoder(evidence, claim, encoding)
    for at in range(len(evidence)):
        assert not refutes_decoder(flipped(evidence, at), claim, encoding), at
    for length in (0, 1, 37, len(evidence) - 1):
        assert not refutes_decoder(evidence[:length], claim, encoding)
    assert not refutes_decoder(evidence + b"\0", claim, encoding)


def test_a_listed_vector_that_is_not_canonical_refutes_the_decoder_that_used_it():
    claim, vectors, v, encoding = opening()
    element = 12
    _, start, stop = encoding.place(element)
    liar = claim.points[-1][0]
    vectors[liar] = flipped(vectors[liar], stop - 1, 0x80)
    claim = claimed(vectors, v, claim.degree, encoding)
    assert first_misfit(claim, vectors, v, encoding) == element
    evidence = decoder_evidence(element, claim, vectors, v, encoding)
    assert refutes_decoder(evidence, claim, encoding)
    assert (stop - start) // encoding.ring.degree == 7


def test_in_the_assembly_a_listed_vector_off_the_polynomial_refutes_the_decoder():
    claim, vectors, v, encoding = opening(single=True)
    last = claim.points[-1][0]
    vectors[last] = flipped(vectors[last], 3)
    claim = claimed(vectors, v, claim.degree, encoding)
    element = first_misfit(claim, vectors, v, encoding)
    assert element == 0
    assert refutes_decoder(decoder_evidence(element, claim, vectors, v, encoding), claim, encoding)


def test_evidence_of_another_round_proves_nothing():
    claim, vectors, v, encoding = opening()
    wrong = flipped(v, 0)
    false = claimed(vectors, wrong, claim.degree, encoding)
    evidence = decoder_evidence(0, false, vectors, wrong, encoding)
    assert refutes_decoder(evidence, false, encoding)
    assert not refutes_decoder(evidence, claim, encoding)
    assert not refutes_decoder(evidence, replace(false, points=false.points[::-1]), encoding)


def test_a_number_beyond_the_batch_is_refused_before_anything_is_read():
    claim, vectors, v, encoding = opening()
    evidence = decoder_evidence(0, claim, vectors, v, encoding)
    head = evidence.index(b"\0") + 1
    beyond = evidence[:head] + (2**64 - 1).to_bytes(8, "big") + evidence[head + 8 :]
    with pytest.raises(CeremonyError, match="RF-EVIDENCE-001") as caught:
        parse_decoder_evidence(beyond, claim, encoding)
    assert caught.value.expected == "an element of the batch"


# -- a vector under its own root ------------------------------------------------------------------


def answered(vector, encoding):
    return answer_for(DRAWN, vector, encoding.groups, encoding.ring)


def test_a_vector_proves_that_the_answer_does_not_follow_from_it():
    _, vectors, _, encoding = opening()
    vector = next(iter(vectors.values()))
    root, answer = chunk_root(vector, encoding.leaf_bytes), answered(vector, encoding)
    assert not contradicts_answer(vector, root, answer, DRAWN, encoding)
    assert contradicts_answer(vector, root, flipped(answer, 5), DRAWN, encoding)
    other = challenge(b"p" * 32, b"c" * 32, 1, b"r" * 32)
    assert contradicts_answer(vector, root, answer, other, encoding)


def test_bytes_that_are_not_under_the_root_prove_nothing():
    _, vectors, _, encoding = opening()
    vector = next(iter(vectors.values()))
    root, answer = chunk_root(vector, encoding.leaf_bytes), answered(vector, encoding)
    for other in (flipped(vector, 9), vector[:-1], b""):
        assert not contradicts_answer(other, root, flipped(answer, 0), DRAWN, encoding)


def test_a_vector_that_is_not_canonical_contradicts_every_answer():
    _, vectors, _, encoding = opening()
    vector = next(iter(vectors.values()))
    for wide in (flipped(vector, len(vector) - 1, 0x80), vector + b"\0"):
        root = chunk_root(wide, encoding.leaf_bytes)
        assert contradicts_answer(wide, root, answered(vector, encoding), DRAWN, encoding)
