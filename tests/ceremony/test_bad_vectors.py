"""One bad share vector does not keep a batch from being opened, whatever is wrong with it."""

from dataclasses import replace

import pytest

from activities.batches import Batches
from mpc_core.protocol.errors import CeremonyError
from tests.support.simulation import Ceremony

BAD = 2


class Spoiling(Batches):
    """Serves a share vector with one wrong element, and posts the root of just that."""

    def _work(self, key, context):
        work = super()._work(key, context)
        compute = work.share_pieces

        def share_pieces():
            vector = bytearray(b"".join(compute()))
            vector[0] ^= 1
            return iter([vector])

        work.share_pieces = share_pieces
        return work


class Wide(Batches):
    """Serves a share vector that no honest operator would encode, and posts its root."""

    def _work(self, key, context):
        work = super()._work(key, context)
        compute = work.share_pieces
        work.share_pieces = lambda: iter([b"\xff" * sum(map(len, compute()))])
        return work


def until(ceremony, key):
    """Run the agenda up to a batch of stage N, or through the seal to one of stage O."""
    for party in ceremony.parties.values():
        party.start()
        party.come_back()
    ceremony.keys()
    if key[0] == "O":
        for stage in "NSM":
            ceremony.stage(stage)
        ceremony.seal()
        ceremony.everyone("secure")


def spoil(ceremony, kind):
    party = ceremony.party(BAD)
    party.steps = replace(party.steps, batches=kind(party.steps.operator))


@pytest.mark.parametrize(("key", "decoder"), [(("N", 0), 1), (("O", 0), 1)])
@pytest.mark.parametrize("kind", [Spoiling, Wide])
def test_a_decoder_passes_over_a_vector_that_spoils_the_opening(key, decoder, kind):
    ceremony = Ceremony()
    until(ceremony, key)
    spoil(ceremony, kind)
    for party in ceremony.parties.values():
        party.steps.share(key)
    assert len(ceremony.log.state.opening(key).roots) == 4
    ceremony.party(decoder).steps.decode(key, 0)
    turn = ceremony.log.state.opening(key).rounds[0]
    assert turn.decoded is not None
    assert BAD not in dict(turn.decoded.points)


def test_a_batch_with_a_bad_vector_in_the_assembly_is_opened_without_a_second_round(undisturbed):
    ceremony = Ceremony()
    ceremony.at["O-0"] = lambda: spoil(ceremony, Spoiling)
    assert ceremony.run() == undisturbed.digest()
    opening = ceremony.log.state.opening(("O", 0))
    assert opening.held == 0
    assert ceremony.log.state.status(("O", 0)).erasures == (BAD,)


def test_two_operators_with_bad_vectors_are_more_than_one_opening_can_do_without():
    ceremony = Ceremony()
    until(ceremony, ("O", 0))
    spoil(ceremony, Wide)
    ceremony.party(3).steps = replace(
        ceremony.party(3).steps, batches=Wide(ceremony.party(3).steps.operator)
    )
    for party in ceremony.parties.values():
        party.steps.share(("O", 0))
    with pytest.raises(CeremonyError, match="RF-BATCH-010"):
        ceremony.party(1).steps.decode(("O", 0), 0)
