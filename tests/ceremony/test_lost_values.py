"""An opened value that nobody has any more is opened anew, from the vectors of its decoder."""

import pytest

from activities.arithmetic import Question
from mpc_core.tfhe.parameters import DRILL_SET
from tests.ceremony.test_liars import LIAR, start_lying
from tests.support.simulation import Ceremony


@pytest.fixture(scope="module")
def expected():
    """The key set of a ceremony in which nothing is lost."""
    return Ceremony(parameters=DRILL_SET).run()


def lose(ceremony, key):
    """Remove the opened value of a batch wherever it is, and every share vector of it."""
    opening = ceremony.log.state.opening(key)
    root = opening.held_root
    everybody = [ceremony, *ceremony.parties.values()]
    assert all(party.blobs.has(root) for party in everybody)
    for party in everybody:
        party.blobs.remove(root)
        for vector in opening.roots.values():
            party.blobs.remove(vector)


@pytest.mark.parametrize(
    ("milestone", "key"),
    [("N-1", ("N", 0)), ("seal", ("S", 0)), ("rebuild", ("O", 1))],
)
def test_a_value_that_everybody_lost_is_opened_anew_when_it_is_needed(expected, milestone, key):
    ceremony = Ceremony(parameters=DRILL_SET)
    ceremony.at[milestone] = lambda: lose(ceremony, key)
    assert ceremony.run() == expected


def test_whoever_needs_a_lost_value_gets_it_and_serves_it_again(expected):
    ceremony = Ceremony(parameters=DRILL_SET)

    def rob():
        lose(ceremony, ("S", 0))
        ceremony.lose(2)
        ceremony.restart(2)
        root = ceremony.log.state.opening(("S", 0)).held_root
        assert not ceremony.party(2).blobs.has(root)
        for _ in range(2):  # who dropped its vector hears the first time that it is asked for
            ceremony._let_presence_work()
        assert ceremony.party(2).blobs.has(root)

    ceremony.at["M-0"] = rob
    assert ceremony.run() == expected
    assert not ceremony.at


def test_a_value_is_opened_anew_from_other_vectors_while_one_of_its_decoder_is_away(expected):
    ceremony = Ceremony(parameters=DRILL_SET)
    found = []

    def rob():
        lose(ceremony, ("N", 0))
        opening = ceremony.log.state.opening(("N", 0))
        points = [index for index, _ in opening.rounds[opening.held].decoded.points]
        (unused,) = opening.roots.keys() - set(points)
        ceremony.stop(points[0])
        ceremony.lose(unused)
        ceremony.restart(unused)
        for _ in range(2):
            ceremony._let_presence_work()
        found.append(ceremony.party(unused).steps.stock.lacks())
        ceremony.restart(points[0])

    ceremony.at["M-0"] = rob
    assert ceremony.run() == expected
    assert found == [()]


def test_nobody_seals_before_it_has_its_shares_and_who_lost_them_makes_them_again(expected):
    """Found by a drill of processes: they were made when needed, and by then nobody had v."""
    ceremony = Ceremony(parameters=DRILL_SET)
    found = []

    def rob():
        ceremony.lose(2)
        party = ceremony.party(2)
        party.start()
        for act in (party.steps.hold_openings, party.come_back):
            act()
            stock = party.steps.stock
            found.append((bool(stock.lacks()), stock.objection()))

    ceremony.at["seal"] = rob
    assert ceremony.run() == expected
    (lacked, objection), after = found
    assert lacked
    assert "are not in its stores" in objection
    assert after == (False, "")


def test_values_of_disputed_batches_are_served_when_all_is_over():
    """Whoever comes back below the seal goes without the others, as their signers found them."""
    ceremony = Ceremony(parameters=DRILL_SET)
    ceremony.at["N-1"] = lambda: start_lying(ceremony, LIAR)
    ceremony.at["conclude"] = lambda: ceremony.stop(3, LIAR)
    ceremony.run()
    assert ceremony.log.state.disputed == {("N", 1)}
    assert all(ceremony.party(index).steps.destruction.is_concluded() for index in (1, 4))
    party = ceremony.party(3)
    party.lose_work()
    ceremony.restart(3)
    assert party.steps.destruction.is_concluded()
    state, known = party.log.state, party.steps.operator.known
    asked = {
        each.rule.key: known.is_granted(Question.of(each.context, each.rounds[each.held]))
        for each in state.ever_opened
        if each.held is not None and not each.dead
    }
    assert {key for key, granted in asked.items() if not granted and key[0] in "NSM"} == {("N", 1)}
    assert party.blobs.has(state.opening(("N", 1)).held_root)


def test_a_member_that_asks_for_a_settled_vector_is_served_the_same_bytes_again():
    ceremony = Ceremony(parameters=DRILL_SET)
    found = []

    def ask():
        party = ceremony.party(3)
        root = ceremony.log.state.opening(("N", 0)).roots[3]
        assert not party.blobs.has(root)
        party.blobs.missed[root] = None
        party.come_back()
        assert party.blobs.has(root)
        party.come_back()
        found.append(party.blobs.has(root))
        assert party.blobs.wanted() == ()

    ceremony.at["M-0"] = ask
    ceremony.run()
    assert found == [True]


def test_what_is_no_vector_or_value_of_a_batch_is_not_brought_back():
    ceremony = Ceremony(parameters=DRILL_SET)

    def ask():
        party = ceremony.party(3)
        party.blobs.missed[bytes(32)] = None
        before = dict(party.blobs.kept)
        party.come_back()
        assert party.blobs.wanted() == ()
        assert party.blobs.kept == before

    ceremony.at["seal"] = ask
    ceremony.run()
    assert not ceremony.at
