"""Orders name a decoder round: an operator whose copy of the log is behind waits for that round."""

from activities.batches import Batches
from mpc_core.protocol.entries import Close, Root
from tests.support.simulation import Ceremony

KEY = ("N", 0)


def set_up(ceremony):
    for party in ceremony.parties.values():
        party.start()
        party.come_back()
    ceremony.keys()


def falls_behind(party, starts):
    """Withhold the log from an operator from some entry on, until it waits for more."""
    log, withheld, waits = party.log, [], []
    take = log.take

    def taken(entry):
        if withheld or starts(entry.entry):
            if entry not in withheld:
                withheld.append(entry)
        else:
            take(entry)

    def wait_for(question):
        while (answer := question(log.state)) is None:
            assert withheld, "it would wait for what is not on the log"
            waits.append(question)
            take(withheld.pop(0))
        return answer

    log.take, log.wait_for = taken, wait_for
    return waits


def test_a_decoder_that_has_not_seen_its_round_open_waits_and_decodes():
    ceremony = Ceremony()
    set_up(ceremony)
    take = ceremony.log.take

    def taken(entry):
        take(entry)
        if isinstance(entry.entry, Root) and len(ceremony.log.state.opening(KEY).roots) == 4:
            ceremony.stop(1)

    ceremony.log.take = taken
    waits = falls_behind(ceremony.party(2), lambda entry: isinstance(entry, Close))
    ceremony.batch(KEY)
    rounds = ceremony.log.state.opening(KEY).rounds
    assert [turn.decoder for turn in rounds] == [1, 2]
    assert rounds[1].decoded is not None
    assert waits


class WrongDecoder(Batches):
    """Opens batches to something else."""

    def _open(self, key, work):
        points, opening = super()._open(key, work)
        return points, opening.altered(2)


def test_an_operator_that_has_seen_only_an_earlier_round_waits_and_answers_the_later_one():
    ceremony = Ceremony()
    wrong = ceremony.party(1)
    wrong.alter = lambda steps: steps.with_batches(WrongDecoder(steps.operator))
    set_up(ceremony)
    waits = falls_behind(ceremony.party(3), lambda entry: isinstance(entry, Close))
    ceremony.batch(KEY)
    opening = ceremony.log.state.opening(KEY)
    assert opening.held == 1
    assert 3 in opening.rounds[1].answers
    assert waits
    assert not ceremony.log.state.members.absent
