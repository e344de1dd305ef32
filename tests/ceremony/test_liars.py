"""Who answers wrongly is excluded, what it spoiled is drawn anew, and the ceremony ends."""

from dataclasses import replace

import pytest

from mpc_core.protocol.entries import Answer, Correction
from mpc_core.protocol.errors import CeremonyError
from tests.support.key_check import key_of, same_key
from tests.support.simulation import Ceremony

LIAR = 2


def lying(entry):
    """Return an answer with one wrong bit, and everything else as it is; admit nothing."""
    if isinstance(entry, Correction):
        raise CeremonyError("RF-TEST-001", "a liar corrects nothing")
    if not isinstance(entry, Answer):
        return entry
    return replace(entry, values=bytes([entry.values[0] ^ 1]) + entry.values[1:])


class NobodyHoldsVectors:
    """In place of who shows vectors that contradict answers: only recomputing tells who lied."""

    def is_needed(self, state):
        return False

    def act(self):
        """Nothing to show."""


def without_evidence(ceremony):
    for party in ceremony.parties.values():
        party.alter = lambda steps: replace(steps, prosecutor=NobodyHoldsVectors())
    return ceremony


def start_lying(ceremony, index):
    ceremony.party(index).log.tamper = lying


@pytest.mark.parametrize("batch", [("N", 5), ("S", 0), ("M", 1)])
def test_a_false_answer_burns_the_batch_and_excludes_the_liar(batch):
    ceremony = without_evidence(Ceremony())
    ceremony.at[f"{batch[0]}-{batch[1]}"] = lambda: start_lying(ceremony, LIAR)
    ceremony.run()
    state = ceremony.log.state
    assert state.members.excluded == {LIAR}
    assert [burn.opening.rule.key for burn in state.justice.burns] == [batch]
    assert not state.members.written_off
    name = state.status(batch).name
    assert (name.generation, name.attempt) == ((0, 1) if batch[0] == "N" else (1, 0))
    assert same_key(key_of(ceremony, (1, 3)), key_of(ceremony, (3, 4)))


def test_who_has_not_posted_its_keys_of_a_burnt_batch_keeps_them_after_the_seal():
    ceremony, found = without_evidence(Ceremony()), []
    ceremony.at["N-5"] = lambda: start_lying(ceremony, LIAR)

    def look():
        party = ceremony.party(4)
        (burn,) = party.log.state.justice.burns
        keys = burn.revealed[0].posted.pop(4)
        found.append(len(party.steps.judge._to_reveal(party.log.state)))
        burn.revealed[0].posted[4] = keys

    ceremony.at["seal"] = look
    ceremony.at["secure"] = look
    ceremony.run()
    assert found == [1, 0]


@pytest.mark.parametrize("batch", [("N", 5), ("S", 0), ("M", 1)])
def test_who_corrects_its_false_answer_is_not_excluded(batch):
    ceremony = Ceremony()
    party = ceremony.party(LIAR)
    wrong = []

    def wrong_once(entry):
        if wrong or not isinstance(entry, Answer):
            return entry
        wrong.append(entry)
        return lying(entry)

    def start():
        party.log.tamper = wrong_once

    ceremony.at[f"{batch[0]}-{batch[1]}"] = start
    ceremony.run()
    state = ceremony.log.state
    assert state.members.excluded == set()
    assert not state.justice.burns
    assert state.justice.corrections == {LIAR: 1}
    name = state.status(batch).name
    assert (name.generation, name.attempt) == ((0, 1) if batch[0] == "N" else (1, 0))
    assert same_key(key_of(ceremony, (1, 2)), key_of(ceremony, (3, 4)))


def test_a_false_answer_against_a_vector_that_somebody_holds_burns_nothing():
    ceremony = Ceremony()
    ceremony.at["S-0"] = lambda: start_lying(ceremony, LIAR)
    ceremony.run()
    assert ceremony.log.state.members.excluded == {LIAR}
    assert not ceremony.log.state.justice.burns


def test_a_replay_of_a_log_with_a_burn_ends_in_the_same_state():
    ceremony = without_evidence(Ceremony())
    ceremony.at["M-1"] = lambda: start_lying(ceremony, LIAR)
    ceremony.at["secure"] = lambda: (ceremony.lose(3), ceremony.restart(3))
    digest = ceremony.run()
    assert ceremony.party(3).log.state.members.excluded == {LIAR}
    assert ceremony.party(3).steps.acceptance.digest() == digest


def lying_together(n, t):
    """Run a ceremony in which t operators answer wrongly, each in a batch of its own."""
    ceremony = Ceremony(n, t)
    batches = [("N", 3), ("M", 1), ("S", 0), ("N", 6)][:t]
    liars = {batch: LIAR + place for place, batch in enumerate(batches)}
    for batch, liar in liars.items():
        ceremony.at[f"{batch[0]}-{batch[1]}"] = lambda liar=liar: start_lying(ceremony, liar)
    ceremony.run()
    return ceremony, set(liars.values())


def check_lying_together(n, t):
    ceremony, liars = lying_together(n, t)
    state = ceremony.log.state
    assert state.members.excluded == liars
    assert len(state.justice.burns) <= t
    assert not state.members.written_off
    honest = sorted(set(range(1, n + 1)) - liars)
    assert same_key(
        key_of(ceremony, tuple(honest[: t + 1])), key_of(ceremony, tuple(honest[-t - 1 :]))
    )


def test_two_of_seven_may_lie():
    check_lying_together(7, 2)


@pytest.mark.long
def test_four_of_thirteen_may_lie():
    check_lying_together(13, 4)
