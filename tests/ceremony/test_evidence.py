"""Who contradicts itself before witnesses is excluded, and nothing has to be burnt for that."""

from dataclasses import replace

import pytest

from activities.batches import Batches
from mpc_core.protocol.batch import BatchState
from mpc_core.protocol.entries import (
    Answer,
    Confirmation,
    Correction,
    Decoded,
    Evidence,
    Served,
    Unserved,
)
from mpc_core.protocol.errors import CeremonyError
from tests.ceremony.test_liars import lying
from tests.support.simulation import with_keys

KEY = ("N", 0)
DECODER = 1
"""Of round 0 of the batch; the vectors that it takes are its own and the next two."""
NEXT = 2


@pytest.fixture
def ceremony():
    return with_keys()


def opens_another_value(party):
    def tampered(entry):
        if not isinstance(entry, Decoded):
            return entry
        data = bytearray(party.blobs.read(entry.root))
        data[0] ^= 2
        return replace(entry, root=party.blobs.publish(bytes(data), "N"))

    party.log.tamper = tampered


def posted(ceremony, kind):
    return [log for log in ceremony.log.state.log if isinstance(log.entry, kind)]


def settle(ceremony):
    for party in ceremony.running:
        party.come_back()


def test_a_wrong_answer_whose_vector_a_decoder_holds_excludes_and_burns_nothing(ceremony):
    liar = next(iter(listed(ceremony) - {DECODER}))
    ceremony.party(liar).log.tamper = lying
    ceremony.batch(KEY)
    state = ceremony.log.state
    assert state.members.excluded == {liar}
    assert not state.justice.burns
    assert state.status(KEY).name.attempt == 0
    assert state.status(KEY).state is BatchState.COMPLETE
    assert {(e.entry.accused, e.entry.ground) for e in posted(ceremony, Evidence)} == {
        (liar, "vector")
    }


def listed(ceremony):
    """Return whose vectors round 0 is opened from, found out in a copy of the ceremony."""
    twin = ceremony.twin()
    twin.batch(KEY)
    return {operator for operator, _ in twin.log.state.opening(KEY).rounds[0].decoded.points}


def test_a_v_that_does_not_follow_from_its_list_excludes_the_decoder(ceremony):
    opens_another_value(ceremony.party(DECODER))
    ceremony.batch(KEY)
    settle(ceremony)
    state = ceremony.log.state
    assert state.members.excluded == {DECODER}
    (shown,) = {log.entry for log in posted(ceremony, Evidence)}
    assert (shown.accused, shown.ground, shown.round) == (DECODER, "decoder", 0)
    assert shown.size < ceremony.layout.batch(*KEY).opened_bytes
    assert state.opening(KEY).held == 1
    assert not state.justice.burns


def test_a_decoder_that_lost_the_refuted_value_asks_for_it_and_accuses(ceremony):
    opens_another_value(ceremony.party(DECODER))
    ceremony.batch(KEY)
    refuted = ceremony.log.state.opening(KEY).rounds[0].decoded.root
    assert not posted(ceremony, Evidence)
    ceremony.party(NEXT).blobs.remove(refuted)
    settle(ceremony)
    assert ceremony.log.state.members.excluded == {DECODER}


class Spoiling(Batches):
    """Serves a share vector with one wrong element, and posts the root of just that."""

    def _work(self, key, context):
        work = super()._work(key, context)
        compute = work.share_pieces

        def share_pieces():
            vector = bytearray(b"".join(map(bytes, compute())))
            vector[0] ^= 2
            return iter([vector])

        work.share_pieces = share_pieces
        return work


def test_a_decoder_that_a_bad_vector_misled_is_not_accused(ceremony):
    """A liar's vector spoils v, its answer does not come: the round fails, and nobody is named."""
    liar = next(iter(listed(ceremony) - {DECODER, NEXT}))
    party = ceremony.party(liar)
    party.steps = replace(party.steps, batches=Spoiling(party.steps.operator))
    party.log.post = lambda entry, post=party.log.post: (
        None if isinstance(entry, Answer | Correction) else post(entry)
    )
    ceremony.batch(KEY)
    settle(ceremony)
    opening = ceremony.log.state.opening(KEY)
    assert opening.held == 1
    assert liar in dict(opening.rounds[0].decoded.points)
    assert not posted(ceremony, Evidence)
    assert not ceremony.log.state.members.excluded


def fetches(ceremony):
    """Count what operators fetch from now on, by (who, from whom, root)."""
    calls = []
    for party in ceremony.parties.values():
        peers = party.steps.operator.peers

        def fetch(operator, root, size, label, *, shared=False, peers=peers, index=party.index):
            calls.append((index, operator, root))
            return type(peers).fetch(peers, operator, root, size, label, shared=shared)

        peers.fetch = fetch
    return calls


def test_evidence_that_proves_nothing_is_fetched_once_and_confirmed_by_nobody(ceremony):
    ceremony.batch(KEY)
    opening = ceremony.log.state.opening(KEY)
    author = ceremony.party(4)
    data = bytes(1000)
    root = author.blobs.publish(data, "N")
    entry = Evidence(DECODER, "decoder", opening.name, opening.context, 0, root, len(data))
    calls = fetches(ceremony)
    author.log.post(entry)
    for _ in range(3):
        settle(ceremony)
    assert sorted(calls) == sorted((index, 4, root) for index in (2, 3))
    assert not posted(ceremony, Confirmation)
    assert not ceremony.log.state.members.excluded


@pytest.mark.parametrize("ground", ["vector", "decoder"])
def test_evidence_of_an_impossible_size_is_not_even_fetched(ceremony, ground):
    ceremony.batch(KEY)
    opening = ceremony.log.state.opening(KEY)
    root = opening.roots[DECODER] if ground == "vector" else bytes(32)
    entry = Evidence(DECODER, ground, opening.name, opening.context, 0, root, 1 << 40)
    calls = fetches(ceremony)
    ceremony.party(4).log.post(entry)
    settle(ceremony)
    assert not calls
    assert not posted(ceremony, Confirmation)


def test_an_author_that_does_not_serve_its_evidence_is_asked_a_few_times_only(ceremony):
    ceremony.batch(KEY)
    opening = ceremony.log.state.opening(KEY)
    entry = Evidence(DECODER, "decoder", opening.name, opening.context, 0, bytes(32), 1000)
    calls = fetches(ceremony)
    ceremony.party(4).log.post(entry)
    for _ in range(10):
        for party in ceremony.running:
            ceremony._try(party, type(party).come_back)
    assert len(calls) == 3 * 2
    assert {refusal.code for refusal in ceremony.refusals} == {"RF-PEER-091"}


def test_a_true_vector_of_an_honest_operator_proves_nothing(ceremony):
    for party in ceremony.parties.values():
        party.steps.share(KEY)
    ceremony.party(DECODER).steps.decode(KEY, 0)
    for party in ceremony.parties.values():
        party.steps.answer(KEY, 0)
    opening = ceremony.log.state.opening(KEY)
    vector = ceremony.party(3).blobs.read(opening.roots[3])
    entry = Evidence(3, "vector", opening.name, opening.context, 0, opening.roots[3], len(vector))
    ceremony.party(4).blobs.publish(bytes(vector), "N")
    ceremony.party(4).log.post(entry)
    settle(ceremony)
    assert not posted(ceremony, Confirmation)


def test_what_is_shown_stays_served_until_the_batch_no_longer_counts(ceremony):
    opens_another_value(ceremony.party(DECODER))
    ceremony.batch(KEY)
    settle(ceremony)
    (shown,) = {log.entry for log in posted(ceremony, Evidence)}
    (author,) = {log.author for log in posted(ceremony, Evidence)}
    for party in ceremony.running:
        party.steps.batches.tidy()
    assert ceremony.party(author).blobs.has(shown.root)


def test_a_vector_that_is_not_served_is_used_by_nobody_until_it_is_served(ceremony):
    """Every decoder that asks in vain says so once; it says so too when it gets the vector."""
    for party in ceremony.parties.values():
        party.steps.share(KEY)
    opening = ceremony.log.state.opening(KEY)
    for silent in (3, 4):
        vector = ceremony.party(silent).blobs.kept.pop(opening.roots[silent])
    for decoder in (1, 1, 2):
        with pytest.raises(CeremonyError, match="RF-BATCH-010"):
            ceremony.party(decoder).steps.batches._open(KEY, work(ceremony, decoder))
    said = [(log.author, log.entry.operator) for log in posted(ceremony, Unserved)]
    assert sorted(said) == [(1, 3), (1, 4), (2, 3), (2, 4)]
    assert opening.services.unserving == {3, 4}
    ceremony.party(4).blobs.kept[opening.roots[4]] = vector
    with pytest.raises(CeremonyError, match="RF-BATCH-010"):
        ceremony.party(1).steps.batches._open(KEY, work(ceremony, 1))
    assert opening.services.unserving == {3}
    points, _ = ceremony.party(2).steps.batches._open(KEY, work(ceremony, 2))
    assert points.keys() == {1, 2, 4}
    said = [(log.author, log.entry.operator) for log in posted(ceremony, Served)]
    assert said == [(1, 4), (2, 4)]


def work(ceremony, index):
    batches = ceremony.party(index).steps.batches
    return batches._work(KEY, batches._context(KEY))
