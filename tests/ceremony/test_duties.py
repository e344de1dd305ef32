"""What an operator does by itself when the order for it went by while it was down."""

import pytest

from activities.seal import KEY_SHARE
from tests.support.key_check import key_of, same_key
from tests.support.simulation import Ceremony

LATE = 2


def unheard(step):
    """Return a ceremony in which an operator is down when a step is ordered, and not absent."""
    ceremony = Ceremony()
    ceremony.at[step] = lambda: ceremony.stop(LATE)
    return ceremony


def comes_back(ceremony):
    """Start the operator again; no order is repeated."""
    ceremony._queued[LATE].clear()
    ceremony.restart(LATE)
    assert LATE in ceremony.log.state.members.awaited


def test_who_was_down_when_keys_were_to_be_destroyed_destroys_them_when_it_is_back(undisturbed):
    ceremony = unheard("secure")
    left = []

    def back():
        left.append(ceremony.party(LATE).vault.names("stage-keys"))
        comes_back(ceremony)
        left.append(ceremony.party(LATE).vault.names("stage-keys"))

    ceremony.at["O-0"] = back
    assert ceremony.run() == undisturbed.digest()
    assert left == [tuple(f"stage-keys/{stage}" for stage in "MNOS"), ("stage-keys/O",)]


def test_the_key_of_the_seed_is_destroyed_once_the_seed_is_opened(undisturbed):
    ceremony = Ceremony()
    left = {}

    def look(milestone):
        left[milestone] = [party.vault.names("stage-keys") for party in ceremony.running]

    ceremony.at["O-0"] = lambda: look("O-0")
    ceremony.at["O-2"] = lambda: look("O-2")
    assert ceremony.run() == undisturbed.digest()
    assert left == {"O-0": [("stage-keys/O",)] * 4, "O-2": [()] * 4}


def test_who_has_not_answered_for_the_seed_keeps_its_key_and_answers_later(undisturbed):
    ceremony = Ceremony()
    left = []
    ceremony.at["O-0"] = lambda: ceremony.stop(LATE)

    def back():
        left.append(ceremony.party(LATE).vault.names("stage-keys"))
        ceremony.party(LATE).lose_work()
        ceremony.restart(LATE)
        left.append(ceremony.party(LATE).vault.names("stage-keys"))

    ceremony.at["O-3"] = back
    assert ceremony.run() == undisturbed.digest()
    assert left == [("stage-keys/O",), ()]
    assert LATE in ceremony.log.state.opening(("O", 0)).rounds[0].answers


def test_a_late_order_for_the_seed_does_nothing_when_its_key_is_gone(undisturbed):
    ceremony = Ceremony()

    def late():
        ceremony.lose(LATE)
        ceremony.restart(LATE)
        ceremony.party(LATE).steps.share(("O", 0))
        ceremony.party(LATE).steps.answer(("O", 0), 0)

    ceremony.at["O-3"] = late
    assert ceremony.run() == undisturbed.digest()
    assert ceremony.refusals == []


def test_who_was_down_when_the_key_set_was_to_be_rebuilt_rebuilds_it_when_it_is_back(undisturbed):
    ceremony = unheard("rebuild")
    ceremony.at["key-set"] = lambda: comes_back(ceremony)
    assert ceremony.run() == undisturbed.digest()
    assert ceremony.party(LATE).steps.acceptance.digest() == undisturbed.digest()


def test_who_was_down_at_the_end_keeps_only_its_share_when_it_is_back(undisturbed):
    ceremony = unheard("conclude")
    assert ceremony.run() == undisturbed.digest()
    assert ceremony.party(LATE).vault.read(KEY_SHARE) is None
    comes_back(ceremony)
    assert ceremony.party(LATE).vault.kept.keys() == undisturbed.party(LATE).vault.kept.keys()
    assert same_key(key_of(ceremony, (1, LATE)), key_of(undisturbed, (1, 2)))


@pytest.mark.parametrize("back", ["secure", "O-0", "conclude"])
def test_what_keys_were_made_of_is_destroyed_also_by_who_never_used_its_keys(undisturbed, back):
    ceremony = Ceremony()
    ceremony.at["acknowledge"] = lambda: ceremony.stop(LATE)
    ceremony.at[back] = lambda: ceremony.restart(LATE)
    assert ceremony.run() == undisturbed.digest()
    assert not ceremony.party(LATE).vault.names("setup")
    assert ceremony.party(LATE).vault.kept.keys() == undisturbed.party(LATE).vault.kept.keys()
    assert same_key(key_of(ceremony, (1, LATE)), key_of(undisturbed, (1, 2)))


def test_who_loses_its_work_after_the_others_concluded_concludes_too(undisturbed):
    ceremony = Ceremony()
    ceremony.at["conclude"] = lambda: ceremony.lose(3)
    assert ceremony.run() == undisturbed.digest()
    assert ceremony.party(3).vault.names("passing-shares")
    ceremony.restart(3)
    assert ceremony.party(3).vault.kept.keys() == undisturbed.party(3).vault.kept.keys()
