"""The operators of a finished ceremony decrypt lists that were made with its public key."""

import secrets
from dataclasses import replace

import numpy as np
import pytest

from infra.decrypt.record import Record
from mpc_core.preprocessing.batches import FLOOD
from mpc_core.protocol.entries import DecryptionRequest
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.statements import NotYet, due_statement
from mpc_core.ring.galois import Ring
from mpc_core.sharing.opening import decode_words
from mpc_core.sharing.packing import unpack
from mpc_core.tfhe.ciphertexts import BOOLEAN, LIST_LIMIT, serialize_compact_list
from mpc_core.tfhe.encryption import encrypt, noise_bound, phase_shares, randomness_bytes
from mpc_core.tfhe.objects import public_object
from mpc_core.tfhe.parameters import lookup
from mpc_core.tfhe.xof import mask_rows, mask_stream
from tests.support.key_check import key_of

TEST = lookup("test")
VALUES = ((8, 201), (BOOLEAN, 1), (16, 51_966), (BOOLEAN, 0))
READ = (201, True, 51_966, False)
KIND = "decryption-request"


@pytest.fixture
def ceremony(undisturbed):
    return undisturbed.twin()


def public_key(ceremony):
    item = public_object(TEST, 1)
    mask = mask_rows(mask_stream(ceremony.seed()), item, 0, 1).reshape(-1)
    return mask, ceremony.bodies()[1]


def made(ceremony, values=VALUES, key=None, tag=None):
    """Return a fresh list, made with the ceremony's key if nothing else is asked for."""
    randomness = secrets.token_bytes(randomness_bytes(TEST, [kind for kind, _ in values]))
    own_tag = bytes.fromhex(ceremony.plan.ceremony_id)
    return encrypt(TEST, key or public_key(ceremony), values, randomness, tag or own_tag)


def subject_of(ceremony, ciphertexts):
    """Offer a list to the operators, as the coordinator does; return what is asked of them."""
    data = serialize_compact_list(TEST, ciphertexts)
    return f"{ceremony.blobs.publish(data, 'O').hex()}/{len(data)}/{ciphertexts.count}"


def root_of(ceremony, ciphertexts):
    return bytes.fromhex(subject_of(ceremony, ciphertexts).split("/")[0])


def record_of(ceremony):
    return Record(ceremony.plan, ceremony.layout, ceremony.log.state, ceremony.blobs.read_if_here)


def values_of(ceremony, ciphertexts):
    return record_of(ceremony).values(root_of(ceremony, ciphertexts), ciphertexts)


def key_in(ceremony, serial):
    return ("O", len(ceremony.layout.assembly) + int(serial))


def decrypt(ceremony, ciphertexts):
    """Do what the workflow does; return the values from the log."""
    ceremony.batch(key_in(ceremony, ceremony.state(KIND, subject_of(ceremony, ciphertexts))))
    return values_of(ceremony, ciphertexts)


def requests(ceremony):
    return ceremony.log.state.release.requests


def request_for(ceremony, ciphertexts, **changes):
    root, size, openings = subject_of(ceremony, ciphertexts).split("/")
    release = ceremony.log.state.release
    request = DecryptionRequest(
        serial=len(release.requests),
        ciphertext=bytes.fromhex(root),
        size=int(size),
        openings=int(openings),
        first_flood=release.first_flood + release.openings_used,
    )
    return replace(request, **changes)


# -- values ---------------------------------------------------------------------------------------


def test_a_list_decrypts_to_the_values_that_were_encrypted(ceremony):
    assert decrypt(ceremony, made(ceremony)) == READ
    assert record_of(ceremony).openings_left == 64 - 14
    assert ceremony.clock.now == 0.0


@pytest.mark.parametrize("away", [1, 2, 3, 4])
def test_any_three_of_four_decrypt(ceremony, away):
    ceremony.stop(away)
    assert decrypt(ceremony, made(ceremony)) == READ


def test_who_has_lost_its_shares_is_not_needed(ceremony):
    for name in ceremony.party(2).vault.names("shares"):
        ceremony.party(2).vault.remove(name)
    assert decrypt(ceremony, made(ceremony)) == READ
    assert {refusal.code for refusal in ceremony.refusals} == {"RF-RECOVER-012"}


def test_an_operator_that_was_away_pays_what_it_owes_and_takes_part_in_the_next_one(ceremony):
    ceremony.stop(4)
    decrypt(ceremony, made(ceremony))
    ceremony.restart(4)
    ceremony.stop(1)
    assert decrypt(ceremony, made(ceremony)) == READ


def test_decryptions_change_nothing_that_was_announced(ceremony, undisturbed):
    decrypt(ceremony, made(ceremony))
    before = len(undisturbed.board.entries)
    assert ceremony.board.entries[:before] == undisturbed.board.entries
    assert ceremony.digest() == undisturbed.digest()


# -- floods ---------------------------------------------------------------------------------------


def test_every_opening_is_under_a_flood_of_its_own(ceremony):
    lists = [made(ceremony) for _ in range(3)]
    for ciphertexts in lists:
        decrypt(ceremony, ciphertexts)
    key = key_of(ceremony, (1, 2))["compact-lwe"][:, None]
    floods = []
    for request, ciphertexts in zip(requests(ceremony), lists, strict=True):
        opened = _phases(ceremony, request)
        floods += (opened - phase_shares(ciphertexts, key)[:, 0]).view(np.int64).tolist()
    assert len(floods) == len(set(floods)) == 42
    assert max(map(abs, floods)) <= 1 << 50
    assert max(map(abs, floods)) > noise_bound(TEST)


def test_requests_take_floods_that_nobody_else_takes(ceremony):
    for _ in range(4):
        decrypt(ceremony, made(ceremony))
    taken = [
        flood
        for request in requests(ceremony)
        for flood in range(request.first_flood, request.first_flood + request.openings)
    ]
    of_the_acceptance = [
        flood
        for batch in ceremony.layout.assembly
        for segment in batch.segments
        if segment.item == FLOOD
        for flood in range(segment.start, segment.start + segment.count)
    ]
    assert len(of_the_acceptance) == len(ceremony.plan.tests.plaintexts)
    assert len({*taken, *of_the_acceptance}) == len(taken) + len(of_the_acceptance)


def _phases(ceremony, request):
    layout = ceremony.layout
    batch = layout.decryption(request.serial, request.first_flood, request.openings)
    opening = ceremony.openings.read(("O", batch.index))
    elements = decode_words(opening, batch.element_groups, Ring(64, layout.degree))
    return unpack(elements, request.openings)


def test_an_interrupted_decryption_goes_on_with_the_same_floods(ceremony):
    ciphertexts = made(ceremony)
    key = key_in(ceremony, ceremony.state(KIND, subject_of(ceremony, ciphertexts)))
    for index in (1, 2):
        ceremony.party(index).steps.share(key)
    vectors = dict(ceremony.log.state.opening(key).roots)
    again = ceremony.twin()
    decrypt(again, made(again))
    assert decrypt(again, ciphertexts) == READ
    first, second = requests(again)
    assert first == requests(ceremony)[0]
    assert second.first_flood == first.first_flood + first.openings
    assert vectors.items() <= again.log.state.opening(key).roots.items()


def test_the_same_list_is_shown_again_from_the_log_and_opens_nothing(ceremony):
    ciphertexts = made(ceremony)
    decrypt(ceremony, ciphertexts)
    again = ceremony.twin()
    assert values_of(again, ciphertexts) == READ
    assert decrypt(again, ciphertexts) == READ
    assert again.board.entries == ceremony.board.entries


def test_what_is_not_opened_yet_has_no_values(ceremony):
    ciphertexts = made(ceremony)
    assert values_of(ceremony, ciphertexts) is None
    ceremony.state(KIND, subject_of(ceremony, ciphertexts))
    assert values_of(ceremony, ciphertexts) is None


# -- refusals -------------------------------------------------------------------------------------


def test_the_plan_limits_how_many_ciphertexts_are_opened(ceremony):
    decrypt(ceremony, made(ceremony, [(64, 5 << 60), (BOOLEAN, 1)]))
    decrypt(ceremony, made(ceremony, [(8, 5)] * 7))
    assert record_of(ceremony).openings_left == 3
    small, large = made(ceremony, [(BOOLEAN, 1)] * 3), made(ceremony, [(8, 5)])
    with pytest.raises(CeremonyError, match="RF-RUN-031"):
        record_of(ceremony).check_grants(root_of(ceremony, large), large.count)
    asked = due_statement(ceremony.log.state, KIND, subject_of(ceremony, large))
    assert isinstance(asked, NotYet)
    for party in ceremony.running:
        assert party.steps.objection(request_for(ceremony, large))
    record_of(ceremony).check_grants(root_of(ceremony, small), small.count)
    assert decrypt(ceremony, small) == (True,) * 3
    assert record_of(ceremony).openings_left == 0


def test_what_was_granted_needs_no_second_grant(ceremony):
    ciphertexts = made(ceremony, [(64, 5)] * 2)
    ceremony.state(KIND, subject_of(ceremony, ciphertexts))
    assert record_of(ceremony).openings_left == 0
    record_of(ceremony).check_grants(root_of(ceremony, ciphertexts), ciphertexts.count)


def test_a_list_under_another_key_spends_its_floods_and_shows_no_value(ceremony):
    mask, body = public_key(ceremony)
    foreign = made(ceremony, key=(mask, body[::-1].copy()))
    for _ in range(2):
        with pytest.raises(CeremonyError, match="RF-TFHE-003"):
            decrypt(ceremony, foreign)
        assert record_of(ceremony).openings_left == 64 - 14
    assert len(requests(ceremony)) == 1


def test_no_operator_grants_a_flood_to_a_list_of_another_ceremony(ceremony):
    foreign = made(ceremony, tag=b"another ceremony")
    for party in ceremony.running:
        assert "RF-TFHE-005" in party.steps.objection(request_for(ceremony, foreign))


@pytest.mark.parametrize("changes", [{"openings": 13}, {"openings": 15}, {"size": LIST_LIMIT + 1}])
def test_no_operator_grants_a_request_that_describes_its_list_wrongly(ceremony, changes):
    request = request_for(ceremony, made(ceremony), **changes)
    for party in ceremony.running:
        assert "RF-BATCH-030" in party.steps.objection(request)


def test_no_operator_grants_a_flood_to_what_is_no_list(ceremony):
    made_of = made(ceremony)
    data = serialize_compact_list(TEST, made_of)
    size = len(data)
    words = data.index(made_of.masks.tobytes())
    end = words + 8 * (made_of.masks.size + made_of.count)
    draw = np.random.default_rng(1)
    for at in draw.choice([*range(words), *range(end, size)], 40, replace=False):
        broken = bytearray(data)
        broken[at] ^= 1 << int(draw.integers(8))
        root = ceremony.blobs.publish(bytes(broken), "O")
        request = request_for(ceremony, made_of, ciphertext=root)
        objection = ceremony.party(1).steps.objection(request)
        assert any(code in objection for code in ("RF-TFHE", "RF-BATCH-030")), int(at)


def test_a_request_waits_for_a_coordinator_that_serves_the_list(ceremony):
    request = request_for(ceremony, made(ceremony))
    data = ceremony.blobs.kept.pop(request.ciphertext)
    assert "RF-PEER-091" in ceremony.party(1).steps.objection(request)
    ceremony.blobs.publish(data, "O")
    assert ceremony.party(1).steps.objection(request) == ""
