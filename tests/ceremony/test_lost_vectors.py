"""Share vectors that an operator posted and lost before the batch was opened."""

from activities.batches import Batches
from tests.support.simulation import Ceremony

KEY = ("N", 0)


def test_a_lost_share_vector_is_made_again_until_its_batch_is_opened():
    ceremony = Ceremony()
    for party in ceremony.parties.values():
        party.start()
    ceremony.keys()
    for party in ceremony.parties.values():
        party.steps.share(KEY)
    for loser in (ceremony.party(2), ceremony.party(3)):
        loser.stop()
        loser.lose_work()
        loser.start()
        assert loser.steps.batches.unserved() == (KEY,)
        root = loser.log.state.opening(KEY).roots[loser.index]
        assert not loser.blobs.has(root)
        loser.steps.batches.serve_again(KEY)
        assert loser.blobs.has(root)
    ceremony.batch(KEY)
    assert ceremony.party(2).steps.batches.unserved() == ()


def test_other_batches_are_tidied_while_no_batch_is_locked():
    ceremony = Ceremony()
    for party in ceremony.parties.values():
        party.start()
    ceremony.keys()
    locked = []

    class Watching(Batches):
        def tidy(self):
            locked.append(self.operator.lock(f"{KEY}")._is_owned())
            super().tidy()

    Watching(ceremony.party(1).steps.operator).share(KEY)
    assert locked == [False]
