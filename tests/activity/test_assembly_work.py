"""What the assembly reads of the stored shares."""

from collections import Counter
from dataclasses import replace
from typing import ClassVar

from activities.batches import Batches
from tests.support.simulation import Ceremony

BODIES = ("O", 1)


class Counting(Batches):
    """Counts how often the shares of each batch are read."""

    read: ClassVar[Counter] = Counter()

    def shares(self, key):
        self.read[key] += 1
        return super().shares(key)


def test_stored_shares_are_read_once_for_all_rows_of_a_batch():
    ceremony = Ceremony()
    for party in ceremony.parties.values():
        party.start()
        party.come_back()
    ceremony.keys()
    for stage in "NSM":
        ceremony.stage(stage)
    ceremony.seal()
    ceremony.everyone("secure")
    ceremony.batch(("O", 0))
    party = ceremony.party(1)
    party.steps = replace(party.steps, batches=Counting(party.steps.operator))
    party.steps.share(BODIES)
    assert Counting.read
    assert set(Counting.read.values()) == {1}
