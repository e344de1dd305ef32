"""An operator that is asked for an answer before it has posted its root."""

from tests.support.simulation import Ceremony

KEY = ("N", 0)


def test_who_was_away_when_roots_were_due_posts_its_root_with_its_answer():
    ceremony = Ceremony()
    for party in ceremony.parties.values():
        party.start()
        party.come_back()
    ceremony.keys()
    ceremony.stop(4)
    ceremony.batch(KEY)
    late = ceremony.party(4)
    late.start()
    assert late.index not in late.log.state.opening(KEY).roots
    late.steps.answer(KEY, 0)
    opening = late.log.state.opening(KEY)
    assert late.index in opening.roots
    assert late.index in opening.rounds[0].answers
