"""Writing off, the seal and what comes after it (PROTOCOL.md, "Stages and sealing")."""

from __future__ import annotations

import dataclasses

import pytest

from mpc_core.protocol.batch import BatchState
from mpc_core.protocol.entries import (
    Address,
    Announcement,
    Confirmation,
    DecryptionRequest,
    Evidence,
    KeySet,
    Return,
    Seal,
    Summons,
    WriteOff,
)
from mpc_core.protocol.state import CeremonyState
from mpc_core.protocol.statements import due_statement
from tests.support.ledger import RULES, Ledger, digest, make_plan

N0, N1, S0, M0, O0, O1 = (rule.key for rule in RULES)


@pytest.fixture
def ledger():
    return Ledger().set_up()


@pytest.fixture
def sealed(ledger):
    ledger.preprocess()
    assert ledger.seal() is None
    return ledger


def lose(ledger, operator=4):
    """Run everything without one operator, which misses a deadline."""
    others = tuple(i for i in ledger.quorum.everyone if i != operator)
    ledger.share(N0, others)
    assert ledger.close(ledger.slot("roots", N0)) is None
    ledger.decode(N0)
    ledger.vouch(N0, others)
    ledger.reply(N0, others)
    for key in (N1, S0, M0):
        ledger.open(key, others)
    return others


def summons(ledger, operator=4, serial=0):
    missing = tuple(o.slot for o in ledger.state.owed(operator) if o.summonable)
    return Summons(operator, serial, missing)


def test_the_seal_needs_every_batch_complete(ledger):
    for key in (N0, N1, S0):
        ledger.open(key)
    assert ledger.seal() == "a batch is not complete"
    ledger.open(M0, (1, 2, 3, 4))
    assert ledger.seal() is None
    assert ledger.state.sealed is ledger.entries[-1]


def test_the_seal_names_the_prefix_it_directly_follows(ledger):
    ledger.preprocess()
    stale = ledger.seal_entry()
    assert ledger.post(1, Address(0, "127.0.0.1", 4000)) is None
    assert ledger.state_by(stale) == "it names another prefix than the one it follows"
    forged = Seal(len(ledger.entries), digest("another history"))
    assert ledger.state_by(forged) is not None
    assert ledger.post((1, 2), ledger.seal_entry()) is not None
    assert ledger.seal() is None


def test_nothing_of_assembly_is_valid_before_the_seal(ledger):
    twin = Ledger().set_up()
    twin.preprocess()
    twin.seal()
    root = twin.share_root(O0, 1)
    ledger.preprocess()
    assert ledger.status(O0).state is BatchState.WAITING
    assert ledger.post(1, root) == "the context is not current"
    ledger.seal()
    assert ledger.post(1, root) is None


def test_an_answer_after_the_seal_reveals_nothing_and_stops_nothing():
    ledger = Ledger().set_up()
    lose(ledger)
    ledger.state_by(summons(ledger), without=(4,))
    ledger.state_by(WriteOff(4, len(ledger.entries) - 1), without=(4,))
    late = ledger.answer(N0, 4, lie=1)
    assert ledger.seal() is None
    assert ledger.post(4, late) == "the stage is sealed"
    assert ledger.status(N0).state is BatchState.COMPLETE
    assert ledger.state.contradictions == ()
    ledger.open(O0, (1, 2, 3))
    assert ledger.status(O0).state is BatchState.COMPLETE


def test_an_absent_operator_that_is_not_written_off_holds_up_the_seal(ledger):
    lose(ledger)
    assert ledger.seal() == "a batch is not complete"
    assert {o.kind for o in ledger.state.owed(4)} == {"root", "have", "answer"}
    assert 4 not in ledger.state.waiting_for()


def test_three_of_four_go_on_after_a_write_off(ledger):
    lose(ledger)
    assert ledger.state_by(summons(ledger), without=(4,)) is None
    assert ledger.state_by(WriteOff(4, len(ledger.entries) - 1), without=(4,)) is None
    assert ledger.seal() is None
    assert ledger.state.health == "Healthy"


def test_nothing_is_sealed_while_more_than_t_are_lost():
    """Then lies of those who are left could be invisible, although every batch looks complete."""
    ledger = Ledger(5, 1).set_up()
    lose(ledger, 5)
    ledger.state_by(summons(ledger, 5))
    assert ledger.state_by(WriteOff(5, len(ledger.entries) - 1)) is None
    opening = ledger.state.opening(N1)
    accused, about = opening.rounds[0].decoder, (*ledger.context(N1), 0)
    first, second, *_ = sorted({1, 2, 3, 4} - {accused})
    assert ledger.post(first, Evidence(accused, "decoder", *about, digest("leaves"), 8)) is None
    for author in (first, second):
        assert ledger.post(author, Confirmation(accused, "decoder", *about)) is None
    assert all(ledger.status(key).state is BatchState.COMPLETE for key in (N0, N1, S0, M0))
    assert ledger.seal() == "too many operators are lost"
    for key in (N0, N1, S0, M0):
        assert ledger.post(5, ledger.answer(key, 5)) is None
    assert ledger.seal() is None


def test_nobody_is_written_off_without_a_summons(ledger):
    lose(ledger)
    assert ledger.state_by(WriteOff(4, 3)) is not None
    assert ledger.state_by(WriteOff(4, 99_999, 1)) is not None
    ledger.state_by(summons(ledger))
    assert ledger.state_by(WriteOff(3, len(ledger.entries) - 1)) is not None
    assert ledger.state.members.written_off == set()


def test_a_summons_lists_only_answers_and_acknowledgements_that_are_owed(ledger):
    lose(ledger)
    good = summons(ledger)
    assert ledger.state_by(dataclasses.replace(good, missing=())) == "the summons lists nothing"
    reason = "the operator does not owe what the summons lists"
    for number, slot in enumerate(
        ("kem-key", f"root/{ledger.status(N0).context}", "answer/00/0"), start=1
    ):
        assert ledger.state_by(Summons(4, number, (*good.missing, slot))) == reason
    assert ledger.state_by(Summons(3, 0, good.missing)) == reason
    assert ledger.state_by(good) == "another summons is the next one"
    assert ledger.state_by(dataclasses.replace(good, serial=4)) is None


def test_who_was_summoned_or_written_off_in_vain_can_be_so_again(ledger):
    lose(ledger)
    good = summons(ledger)
    assert ledger.state_by(dataclasses.replace(good, missing=())) is not None
    again = due_statement(ledger.state, "summons", "4")
    assert (again.entry.operator, again.entry.serial) == (4, 1)
    assert ledger.state_by(again.entry) is None
    assert ledger.state_by(WriteOff(4, 3)) is not None
    due = due_statement(ledger.state, "write-off", "4")
    assert due.entry.serial == 1
    assert ledger.state_by(due.entry) is None


def test_who_posts_one_summoned_entry_is_not_written_off(ledger):
    lose(ledger)
    ledger.state_by(summons(ledger))
    position = len(ledger.entries) - 1
    ledger.reply(N0, (4,))
    assert ledger.state_by(WriteOff(4, position)) is not None


def test_at_most_t_operators_are_written_off():
    ledger = Ledger().set_up()
    lose(ledger)
    ledger.state_by(summons(ledger))
    ledger.state_by(WriteOff(4, len(ledger.entries) - 1))
    ledger.seal()
    ledger.share(O0, (1, 2, 3))
    ledger.decode(O0)
    assert ledger.state_by(summons(ledger, operator=3)) is None
    reason = ledger.state_by(WriteOff(3, len(ledger.entries) - 1))
    assert reason == "t operators are excluded or written off already"
    assert ledger.state.members.written_off == {4}


def test_a_write_off_ends_when_every_answer_due_is_posted(ledger):
    lose(ledger)
    ledger.state_by(summons(ledger))
    ledger.state_by(WriteOff(4, len(ledger.entries) - 1))
    for key in (N0, N1, S0):
        ledger.reply(key, (4,))
    assert ledger.state.members.written_off == {4}
    ledger.reply(M0, (4,))
    assert ledger.state.members.written_off == set()
    assert ledger.state.members.absent == {4}
    assert ledger.post(4, Return(0)) is None
    assert ledger.seal() is None


def test_a_lie_of_a_written_off_operator_still_stops_the_seal(ledger):
    lose(ledger)
    ledger.state_by(summons(ledger))
    ledger.state_by(WriteOff(4, len(ledger.entries) - 1))
    ledger.post(4, ledger.answer(N0, 4, lie=1))
    assert ledger.seal() == "a batch is not complete"
    assert ledger.state.contradictions


def test_the_latest_address_counts(ledger):
    ledger.post(1, Address(7, "127.0.0.1", 4000))
    assert ledger.post(1, Address(7, "127.0.0.1", 5000)) is not None
    assert ledger.post(1, Address(6, "127.0.0.1", 5000)) is not None
    assert ledger.post(1, Address(8, "127.0.0.1", 6000)) is None
    assert ledger.state.addresses[1].port == 6000


def test_one_key_set_is_named_after_the_seal_and_only_it_is_announced(sealed):
    unsealed = Ledger().set_up()
    assert unsealed.state_by(KeySet(digest("keys"))) == "nothing is sealed"
    assert sealed.state_by(Announcement(digest("keys"))) == "no key set is named"
    assert sealed.state_by(KeySet(digest("keys"))) is None
    assert sealed.state_by(KeySet(digest("repaired"))) == "the key set is named"
    assert sealed.state_by(Announcement(digest("repaired"))) == "it is another key set"
    assert sealed.state_by(Announcement(digest("keys"))) is None
    assert sealed.state_by(Announcement(digest("keys"))) is not None


def announced(plan=None):
    ledger = Ledger(plan=plan)
    ledger.state = CeremonyState(ledger.plan, ledger.rules, ledger.arithmetic, acceptance_floods=3)
    ledger.set_up()
    ledger.preprocess()
    ledger.seal()
    ledger.state_by(KeySet(digest("keys")))
    return ledger


def test_a_test_decryption_takes_the_next_floods_within_the_budget():
    ledger = announced()
    first = DecryptionRequest(0, digest("list 1"), 99, 4, 3)
    assert ledger.state_by(first) == "the key set is not announced"
    ledger.state_by(Announcement(digest("keys")))
    assert ledger.state_by(dataclasses.replace(first, first_flood=2)) is not None
    assert ledger.state_by(dataclasses.replace(first, openings=0)) == "nothing is to be opened"
    assert ledger.state_by(first) is None
    second = DecryptionRequest(1, digest("list 2"), 99, 2, 7)
    assert ledger.state_by(dataclasses.replace(second, serial=0)) is not None
    again = dataclasses.replace(second, ciphertext=digest("list 1"))
    assert ledger.state_by(again) == "this ciphertext was opened before"
    too_many = dataclasses.replace(second, openings=3)
    assert ledger.state_by(too_many) == "the plan grants no more test openings"
    assert ledger.state_by(second) is None


def test_outside_a_sandbox_nothing_is_decrypted():
    ledger = announced(make_plan(sandbox=False))
    ledger.state_by(Announcement(digest("keys")))
    assert (
        ledger.state_by(DecryptionRequest(0, digest("list"), 99, 1, 3)) == "this plan is no sandbox"
    )


def test_progress_counts_the_batches_of_a_stage(ledger):
    ledger.open(N0)
    ledger.share(N1)
    assert ledger.state.progress("N")[BatchState.COMPLETE] == 1
    assert ledger.state.progress("N")[BatchState.OPEN] == 1
    assert ledger.state.progress("M")[BatchState.WAITING] == 1
