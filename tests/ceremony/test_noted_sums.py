"""Operators note sums of streams, forget them in time, and lose nothing with them."""

import pytest

from mpc_core.protocol.context import BatchContext, BatchName
from mpc_core.protocol.errors import CeremonyError
from mpc_core.sharing import cached
from tests.support.key_check import key_of, same_key
from tests.support.simulation import Ceremony, with_keys

KEY = ("N", 0)


@pytest.fixture(autouse=True)
def _always_worth_it(monkeypatch):
    monkeypatch.setattr(cached, "LEAST_STREAMS", 1)


def context_of(ceremony, key=KEY, **redone):
    return BatchContext(BatchName(*key, **redone)).identifier(ceremony.plan.hash)


def contexts_of_bits(ceremony):
    return {
        opening.context
        for opening in ceremony.log.state.ever_opened
        if opening.rule.stage in {"N", "S"}
    }


def test_the_key_set_is_the_same_and_nothing_stays_noted_after_the_seal(undisturbed):
    ceremony = Ceremony()
    assert ceremony.run() == undisturbed.digest()
    for party in ceremony.parties.values():
        assert party.sums.read == contexts_of_bits(ceremony)
        assert party.sums.noted() == set()


def test_seven_operators_read_what_they_noted_but_for_those_that_start_again():
    ceremony, read = Ceremony(7, 2), {}

    def start_again():
        read[3] = ceremony.party(3).sums.read
        ceremony.stop(3)
        ceremony.restart(3)

    ceremony.at["N-4"] = start_again
    digest = ceremony.run()
    contexts = contexts_of_bits(ceremony)
    for index, party in ceremony.parties.items():
        assert party.steps.acceptance.digest() == digest
        assert party.sums.read | read.get(index, set()) == contexts
    assert same_key(key_of(ceremony, (1, 3, 5)), key_of(ceremony, (2, 4, 6)))


def test_who_ends_between_vector_and_opening_expands_its_streams_again(undisturbed):
    ceremony = Ceremony()

    def stop_after_share():
        ceremony.party(2).steps.share(KEY)
        assert ceremony.party(2).sums.noted() == {context_of(ceremony)}
        ceremony.stop(2)
        ceremony.restart(2)

    ceremony.at["N-0"] = stop_after_share
    assert ceremony.run() == undisturbed.digest()
    assert context_of(ceremony) not in ceremony.party(2).sums.read
    assert context_of(ceremony) in ceremony.party(1).sums.read


def test_a_vector_that_is_not_the_promised_one_leaves_no_notes():
    ceremony = with_keys()
    party = ceremony.party(2)
    party.log.post = lambda _: None  # its root gets lost, its note of it stays
    party.steps.share(KEY)
    party.blobs.kept.clear()
    kept = party.vault.read("stage-keys/N")
    party.vault.write("stage-keys/N", bytes([kept[0] ^ 1]) + kept[1:])
    with pytest.raises(CeremonyError, match="RF-BATCH-011"):
        party.steps.share(KEY)
    assert party.sums.noted() == set()


def test_notes_of_a_burnt_batch_are_forgotten_and_never_read():
    ceremony = with_keys()
    for party in ceremony.parties.values():
        party.steps.share(KEY)
    party = ceremony.party(2)
    party.blobs.kept.clear()
    kept = party.vault.read("stage-keys/N")
    party.vault.write("stage-keys/N", bytes([kept[0] ^ 1]) + kept[1:])
    with pytest.raises(CeremonyError, match="RF-BATCH-011"):
        party.steps.share(KEY)  # a correction has the batch drawn anew
    party.vault.write("stage-keys/N", kept)
    ceremony.batch(KEY)
    dead, redone = context_of(ceremony), context_of(ceremony, attempt=1)
    for party in ceremony.parties.values():
        assert party.sums.read == {redone}
        party.steps.batches.tidy()
        assert not party.sums.noted() & {dead, redone}


def test_who_makes_its_vector_again_does_not_note_it(monkeypatch):
    ceremony = with_keys()
    for party in ceremony.parties.values():
        party.steps.share(KEY)
    party = ceremony.party(2)
    party.blobs.kept.clear()
    monkeypatch.setattr(party.sums, "begin", None)
    party.steps.share(KEY)
    assert party.blobs.kept
