"""Bytes are counted as the protocol sends them: compared with real entries and a real run."""

import os
from collections import Counter

import pytest

from infra.board import wire
from infra.estimate.log import COORDINATOR, log_entries
from infra.estimate.traffic import ceremony_traffic
from infra.plan.keys import create_identity
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.entries import Answer, Contribution, Decoded, Have, KemKey, Root
from mpc_core.protocol.quorum import Quorum
from mpc_core.protocol.setup import sets_contributed_by
from mpc_core.sharing.sealing import KEM_SEED_BYTES, kem_public_key
from mpc_core.sharing.setup import contribute
from tests.estimate.conftest import made


def _signed(entry, plan, signer):
    return len(wire.sign_entry(entry, plan, signer, create_identity()))


@pytest.mark.parametrize(("n", "t"), [(4, 1), (7, 2)])
def test_entries_of_the_setup_are_as_long_as_real_ones(n, t):
    plan, layout = made("test", n, t)
    quorum = Quorum(n, t)
    public = {at: kem_public_key(os.urandom(KEM_SEED_BYTES)) for at in quorum.everyone}
    posted = [entry for entry in log_entries(layout, quorum) if entry.stage == "keys"]
    for author in quorum.everyone:
        strings = {members: os.urandom(32) for members in sets_contributed_by(author, quorum)}
        sealed = contribute(plan.hash, author, strings, public)
        contribution = Contribution(0, sealed.commitments, sealed.ciphertexts)
        sizes = [entry.size for entry in posted if entry.author == author]
        assert len(sizes) == 5
        assert _signed(contribution, plan, author) in sizes
        assert _signed(KemKey(public[author]), plan, author) in sizes


def test_entries_of_an_opening_are_as_long_as_real_ones(small):
    plan, layout = small
    batch, digest = layout.noise[3], os.urandom(32)
    name = BatchName("N", 3)
    values = os.urandom(43 * 3 * batch.word_bits // 8)
    each = (
        Root(name, digest, digest),
        Have(name, digest, digest),
        Answer(name, digest, 0, digest, values),
    )
    decoded = Decoded(name, digest, 0, tuple((index, digest) for index in (1, 2, 3)), digest)
    posted = list(log_entries(layout, Quorum(4, 1)))
    sizes = [entry.size for entry in posted if entry.stage == "N" and entry.author == 2]
    assert sum(_signed(entry, plan, 2) for entry in each) in sizes
    decoder = batch.index % 4 + 1
    of_decoder = [entry.size for entry in posted if (entry.stage, entry.author) == ("N", decoder)]
    assert _signed(decoded, plan, decoder) in of_decoder


def test_every_byte_that_is_received_was_sent(small):
    _, layout = small
    accounts = ceremony_traffic(layout, Quorum(4, 1))
    for stage in "NSMO":
        parties = [traffic for (_, name), traffic in accounts.items() if name == stage]
        assert sum(each.sent for each in parties) == sum(each.received for each in parties) > 0


def test_an_operator_receives_what_a_real_run_of_the_set_test_received(small):
    _, layout = small
    accounts = ceremony_traffic(layout, Quorum(4, 1))
    received = Counter()
    for (party, _), traffic in accounts.items():
        received[party] += traffic.received
    assert received[1] == 14_142_918
    assert received[2] == 15_691_500
    assert received[COORDINATOR] == 11_717_574


def test_a_coordinator_on_the_same_machine_fetches_nothing(small):
    _, layout = small
    apart, together = (
        ceremony_traffic(layout, Quorum(4, 1), one_machine=here) for here in (False, True)
    )
    assert not any(traffic.received for (party, _), traffic in together.items() if not party)
    for index in range(1, 5):
        for stage in "NSMO":
            assert together[index, stage].received == apart[index, stage].received


def test_nobody_serves_much_more_than_others(large):
    _, layout = large
    accounts = ceremony_traffic(layout, Quorum(4, 1))
    sent = Counter()
    for (party, _), traffic in accounts.items():
        sent[party] += traffic.sent
    del sent[COORDINATOR]
    assert max(sent.values()) < 1.02 * min(sent.values())
