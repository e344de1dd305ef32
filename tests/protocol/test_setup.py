"""Contributions, complaints, references of the key setup (PROTOCOL.md, "PRSS keys")."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc_core.protocol.entries import (
    Close,
    Complaint,
    Examined,
    KemKey,
    SetupSeal,
    Summons,
    WriteOff,
)
from mpc_core.protocol.key_setup import SetupPhase
from mpc_core.protocol.quorum import Quorum, access_sets
from mpc_core.protocol.setup import (
    SetupFacts,
    contributors,
    differing_operators,
    effective_complaints,
    key_sources,
    reference_table,
    references_digest,
    sets_contributed_by,
    sets_of,
    sets_to_replace,
)
from mpc_core.protocol.statements import Done, Due, NotYet, due_statement
from tests.support.ledger import Ledger, digest

SIZES = [Quorum(4, 1), Quorum(7, 2), Quorum(10, 3), Quorum(13, 4)]
SMALL = SIZES[:2]


def facts_of(quorum, *, missing=(), complaints=(), rekeyed=()):
    return SetupFacts(
        posted=frozenset((i, 0) for i in quorum.everyone if i not in missing),
        asked=(access_sets(quorum),),
        closed=1,
        complaints=frozenset(complaints),
        rekeyed=frozenset(rekeyed),
    )


def references(quorum, operator, salt=""):
    return tuple(
        digest(salt, members, stage) for members in sets_of(operator, quorum) for stage in "NSMO"
    )


@st.composite
def disputes(draw):
    quorum = draw(st.sampled_from(SMALL))
    operators = st.sampled_from(quorum.everyone)
    return quorum, facts_of(
        quorum,
        missing=draw(st.sets(operators, max_size=quorum.count)),
        complaints=draw(st.sets(st.tuples(operators, operators), max_size=12)),
        rekeyed=draw(st.sets(operators, max_size=2)),
    )


@pytest.mark.parametrize("quorum", SIZES)
def test_every_set_has_t_plus_1_members_as_contributors(quorum):
    for members in access_sets(quorum):
        chosen = contributors(members, quorum)
        assert len(set(chosen)) == quorum.threshold + 1
        assert set(chosen) <= set(members)


@pytest.mark.parametrize("quorum", SIZES)
def test_contributing_is_shared_evenly(quorum):
    counts = [len(sets_contributed_by(i, quorum)) for i in quorum.everyone]
    mean = sum(counts) / quorum.count
    assert max(counts) <= 1.6 * mean
    assert min(counts) >= 1


@pytest.mark.parametrize("quorum", SIZES)
def test_rounds_of_replacement_reach_every_member(quorum):
    members = access_sets(quorum)[3]
    asked = [i for number in range(4) for i in contributors(members, quorum, number)]
    assert set(asked[: len(members)]) == set(members)


@given(disputes())
def test_a_complaint_zeroes_only_strings_of_sets_that_contain_both(dispute):
    quorum, facts = dispute
    effective = effective_complaints(facts.complaints, facts.rekeyed, quorum)
    for members in access_sets(quorum):
        for source in key_sources(members, facts, quorum):
            accusers = {j for j, i in effective if i == source.operator}
            assert source.zeroed == bool(accusers & set(members))


@given(disputes())
def test_liars_that_complain_cannot_zero_a_set_they_do_not_belong_to(dispute):
    quorum, facts = dispute
    liars = set(quorum.everyone[: quorum.threshold])
    lies = frozenset(pair for pair in facts.complaints if pair[0] in liars)
    facts = dataclasses.replace(facts, complaints=lies)
    for members in access_sets(quorum):
        if liars.isdisjoint(members):
            assert not any(source.zeroed for source in key_sources(members, facts, quorum))


@given(disputes())
def test_who_complains_about_more_than_t_contributors_has_a_broken_key(dispute):
    quorum, facts = dispute
    broken = quorum.everyone[0]
    against = {(broken, i) for i in quorum.everyone[1 : quorum.threshold + 2]}
    with_broken = effective_complaints(facts.complaints | against, facts.rekeyed, quorum)
    others = frozenset(pair for pair in facts.complaints if pair[0] != broken)
    assert with_broken == effective_complaints(others, facts.rekeyed, quorum)


def test_up_to_t_complaints_of_one_operator_count():
    quorum = Quorum(7, 2)
    assert effective_complaints({(1, 2), (1, 3)}, frozenset(), quorum) == {(1, 2), (1, 3)}
    assert effective_complaints({(1, 2), (1, 3), (1, 4)}, frozenset(), quorum) == frozenset()


def test_complaints_of_an_operator_that_changed_its_kem_key_are_void():
    quorum = Quorum(7, 2)
    assert effective_complaints({(1, 2), (3, 2)}, frozenset({1}), quorum) == {(3, 2)}


@given(disputes())
def test_a_set_is_paused_only_if_nothing_survived_and_something_was_merely_missing(dispute):
    quorum, facts = dispute
    paused = set(sets_to_replace(facts, quorum))
    for members in access_sets(quorum):
        sources = key_sources(members, facts, quorum)
        survives = any(not source.zeroed for source in sources)
        missing = len(sources) < quorum.threshold + 1
        assert (members in paused) == (not survives and missing)


def test_t_missing_contributors_pause_nothing():
    for quorum in SIZES:
        facts = facts_of(quorum, missing=quorum.everyone[: quorum.threshold])
        assert sets_to_replace(facts, quorum) == ()


def test_a_set_whose_strings_were_all_complained_about_is_not_paused():
    quorum = Quorum(4, 1)
    members = access_sets(quorum)[0]
    first, second = contributors(members, quorum)
    facts = facts_of(quorum, complaints={(first, second), (second, first)})
    assert all(source.zeroed for source in key_sources(members, facts, quorum))
    assert sets_to_replace(facts, quorum) == ()


@pytest.mark.parametrize("quorum", SMALL)
def test_a_reference_needs_more_than_t_supporters(quorum):
    acknowledged = {i: references(quorum, i) for i in quorum.everyone}
    table = reference_table(acknowledged, quorum)
    assert table is not None
    liars = quorum.everyone[: quorum.threshold]
    lied = acknowledged | {i: references(quorum, i, "lie") for i in liars}
    assert reference_table(lied, quorum) == table
    assert differing_operators(lied, table, quorum) == liars
    few = {i: acknowledged[i] for i in quorum.everyone[: 2 * quorum.threshold]}
    assert reference_table(few, quorum) is None


def test_two_values_with_more_than_t_supporters_are_no_reference():
    quorum = Quorum(5, 1)
    split = {i: references(quorum, i, "one" if i <= 2 else "two") for i in quorum.everyone}
    assert reference_table(split, quorum) is None
    assert reference_table(split | {2: references(quorum, 2, "two")}, quorum) is not None


def test_the_digest_of_the_references_depends_on_every_value():
    quorum = Quorum(4, 1)
    table = reference_table({i: references(quorum, i) for i in quorum.everyone}, quorum)
    digests = {references_digest(table)} | {
        references_digest(table | {place: digest("changed")}) for place in table
    }
    assert len(digests) == len(table) + 1


# -- along the log --------------------------------------------------------------------------------


def started(n=4, t=1):
    ledger = Ledger(n, t)
    ledger.kem_keys()
    return ledger


def test_contributions_begin_when_every_kem_key_is_there():
    ledger = Ledger()
    for i in (1, 2, 3):
        ledger.post(i, KemKey(digest("kem", i)))
    assert ledger.state.setup.phase is SetupPhase.KEM_KEYS
    assert ledger.post(1, KemKey(digest("again"))) == "the author has posted a KEM key"
    ledger.post(4, KemKey(digest("kem", 4)))
    assert ledger.state.setup.phase is SetupPhase.CONTRIBUTIONS


def test_who_has_no_kem_key_when_time_is_over_does_not_hold_up_the_others():
    ledger = Ledger()
    for i in (1, 2):
        ledger.post(i, KemKey(digest("kem", i)))
    assert ledger.close("kem-keys") == "fewer than n-t KEM keys are here"
    ledger.post(3, KemKey(digest("kem", 3)))
    assert ledger.close("kem-keys") is None
    assert ledger.close("kem-keys") is not None
    assert ledger.state.members.absent == {4}
    assert ledger.state.setup.phase is SetupPhase.CONTRIBUTIONS
    assert [peer for peer, _ in ledger.contribution(1).ciphertexts] == [2, 3]
    assert [peer for peer, _ in ledger.contribution(4).ciphertexts] == [1, 2, 3]
    ledger.contribute()
    assert ledger.close("contributions/0") is None


def test_to_who_comes_after_the_kem_keys_are_closed_nothing_is_sealed():
    ledger = Ledger()
    for i in (1, 2, 3):
        ledger.post(i, KemKey(digest("kem", i)))
    ledger.close("kem-keys")
    assert ledger.post(4, KemKey(digest("kem", 4))) is None
    assert ledger.post(4, KemKey(digest("kem", 4))) == "the KEM key is not new"
    assert not ledger.state.setup.can_open(4)
    ledger.contribute()
    ledger.close("contributions/0")
    assert ledger.post(4, Complaint(1)) is None
    members = next(a for a in access_sets(ledger.quorum) if 4 in a and 1 in a)
    assert not any(source.zeroed for source in ledger.state.setup.sources(members))


def test_complaints_are_not_closed_before_n_minus_t_operators_hold_their_strings():
    ledger = started()
    ledger.contribute()
    ledger.close("contributions/0")
    ledger.examine(without=(3, 4))
    reason = "fewer than n-t operators have examined the contributions"
    assert ledger.close("complaints") == reason
    assert due_statement(ledger.state, "close", "complaints") == NotYet(reason)
    ledger.examine(without=(4,))
    assert isinstance(due_statement(ledger.state, "close", "complaints"), Due)
    assert ledger.close("complaints") is None


@pytest.mark.parametrize("how", ["new key", "one complaint too many"])
def test_all_examine_again_when_a_complaint_becomes_void(how):
    ledger = started(7, 2)
    ledger.contribute()
    ledger.close("contributions/0")
    for contributor in (2, 3):
        ledger.post(1, Complaint(contributor))
    ledger.examine(without=(7,))
    another = KemKey(digest("new")) if how == "new key" else Complaint(4)
    assert ledger.post(1, another) is None
    assert ledger.state.setup.examined == set()
    assert all(map(ledger.state.setup.must_examine_again, range(1, 8)))
    assert ledger.post(2, Examined(0)) == "what counts has changed since"
    assert ledger.close("complaints") is not None
    ledger.examine()
    assert not any(map(ledger.state.setup.must_examine_again, range(1, 8)))
    assert ledger.post(1, KemKey(digest("newer"))) is None
    assert ledger.post(7, Complaint(2)) is None
    assert len(ledger.state.setup.examined) == 7
    assert ledger.close("complaints") is None


def test_kem_keys_are_waited_for_as_long_as_a_call_takes():
    ledger = Ledger()
    for i in (1, 2):
        ledger.post(i, KemKey(digest("kem", i)))
    assert isinstance(due_statement(ledger.state, "close", "kem-keys"), NotYet)
    ledger.post(3, KemKey(digest("kem", 3)))
    due = due_statement(ledger.state, "close", "kem-keys")
    assert due.since == 2
    assert due.seconds(ledger.plan.deadlines) == ledger.plan.deadlines.waiting_seconds
    ledger.post(3, KemKey(digest("kem", "again")))
    assert due_statement(ledger.state, "close", "kem-keys") == due
    ledger.state_by(due.entry)
    assert due_statement(ledger.state, "close", "kem-keys") == Done()
    assert due_statement(ledger.state, "close", "contributions/0").since == 4


@pytest.mark.parametrize("broken", ["commitments", "ciphertexts", "round"])
def test_an_incomplete_contribution_is_no_contribution(broken):
    ledger = started()
    entry = ledger.contribution(1)
    wrong = {
        "commitments": dataclasses.replace(entry, commitments=entry.commitments[1:]),
        "ciphertexts": dataclasses.replace(entry, ciphertexts=entry.ciphertexts[1:]),
        "round": dataclasses.replace(entry, round=1),
    }[broken]
    assert ledger.post(1, wrong) is not None
    assert ledger.state.setup.owes_contribution(1)
    assert ledger.post(1, entry) is None
    assert ledger.post(1, entry) == "the author has contributed"


def test_a_missing_contributor_is_absent_and_the_setup_goes_on():
    ledger = started()
    ledger.contribute(without=(2,))
    assert ledger.close("contributions/0") is None
    assert ledger.state.members.absent == {2}
    assert ledger.state.setup.phase is SetupPhase.COMPLAINTS
    assert ledger.post(2, ledger.contribution(2)) is not None


def test_a_set_without_contributors_asks_the_next_members_before_complaints_close():
    ledger = started()
    members = access_sets(ledger.quorum)[0]
    gone = contributors(members, ledger.quorum)
    ledger.contribute(without=gone)
    assert ledger.close("contributions/0") is None
    assert ledger.state.setup.phase is SetupPhase.CONTRIBUTIONS
    assert members in ledger.state.setup.asked[1]
    assert ledger.close("complaints") == "contributions are not complete"
    ledger.contribute(without=gone)
    assert ledger.close("contributions/1") is None
    ledger.examine()
    assert ledger.close("complaints") is None
    sources = ledger.state.setup.sources(members)
    assert [source.round for source in sources] == [1] * len(sources)
    assert any(source.operator not in gone for source in sources)


def test_a_complaint_that_leaves_a_set_with_nothing_asks_again():
    ledger = started()
    members = access_sets(ledger.quorum)[0]
    gone, present = contributors(members, ledger.quorum)
    ledger.contribute(without=(gone,))
    ledger.close("contributions/0")
    accuser = next(i for i in members if i not in (gone, present))
    assert ledger.post(accuser, Complaint(present)) is None
    assert ledger.state.setup.phase is SetupPhase.CONTRIBUTIONS
    assert ledger.close("complaints") == "contributions are not complete"


def test_who_waits_for_the_close_of_the_complaints_looks_again_when_strings_are_asked_for():
    ledger = started()
    members = access_sets(ledger.quorum)[0]
    gone, present = contributors(members, ledger.quorum)
    assert isinstance(due_statement(ledger.state, "close", "complaints"), NotYet)
    ledger.contribute(without=(gone,))
    ledger.close("contributions/0")
    assert isinstance(due_statement(ledger.state, "close", "complaints"), NotYet)
    ledger.post(next(i for i in members if i not in (gone, present)), Complaint(present))
    assert due_statement(ledger.state, "close", "complaints") == Done()
    ledger.contribute(without=(gone,))
    ledger.close("contributions/1")
    ledger.examine()
    assert isinstance(due_statement(ledger.state, "close", "complaints"), Due)


def test_who_examined_the_contributions_examines_replacements_again():
    ledger = started()
    members = access_sets(ledger.quorum)[0]
    gone, present = contributors(members, ledger.quorum)
    ledger.contribute(without=(gone,))
    assert ledger.post(1, Examined(0)) == "contributions are not complete"
    ledger.close("contributions/0")
    assert ledger.post(1, Examined(0)) is None
    assert ledger.state.setup.examined == {1}
    ledger.post(next(i for i in members if i not in (gone, present)), Complaint(present))
    assert ledger.state.setup.examined == set()


def test_complaints_need_something_that_was_sent():
    ledger = started()
    assert ledger.post(1, Complaint(2)) == "the contributor has sent the author nothing"
    ledger.contribute()
    assert ledger.post(1, Complaint(1)) == "nobody complains about itself"
    assert ledger.post(1, Complaint(2)) is None
    assert ledger.post(1, Complaint(2)) == "the complaint is known"
    ledger.close("contributions/0")
    ledger.examine()
    ledger.close("complaints")
    assert ledger.post(3, Complaint(2)) == "complaints are closed"


def test_a_changed_kem_key_voids_the_complaints_of_its_owner():
    ledger = started()
    ledger.contribute()
    members = access_sets(ledger.quorum)[0]
    contributor = contributors(members, ledger.quorum)[0]
    accuser = next(i for i in members if i != contributor)
    ledger.post(accuser, Complaint(contributor))
    assert any(source.zeroed for source in ledger.state.setup.sources(members))
    assert ledger.post(accuser, KemKey(digest("new"))) is None
    assert not any(source.zeroed for source in ledger.state.setup.sources(members))
    assert ledger.state.setup.kem_keys[accuser] == digest("kem", accuser)


def acknowledging(n=4, t=1):
    ledger = started(n, t)
    ledger.contribute()
    ledger.close("contributions/0")
    ledger.examine()
    ledger.close("complaints")
    return ledger


def test_the_setup_seal_needs_everybody_and_names_the_references():
    ledger = acknowledging()
    for i in (1, 2, 3):
        ledger.post(i, ledger.acknowledgement(i))
    assert ledger.state_by(ledger.setup_seal()) == "an acknowledgement is missing"
    ledger.post(4, ledger.acknowledgement(4))
    assert ledger.state_by(SetupSeal(digest("other"))) == "the seal names other references"
    assert ledger.state_by(ledger.setup_seal()) is None
    assert ledger.state.setup.phase is SetupPhase.SEALED
    assert ledger.post(1, ledger.acknowledgement(1, "late")) is not None


def test_each_phase_of_the_setup_says_what_is_owed():
    ledger = Ledger()
    phases = [[owed.slot for owed in ledger.state.owed(4)]]
    for act in (
        ledger.kem_keys,
        lambda: (ledger.contribute(), ledger.close("contributions/0")),
        lambda: (ledger.examine(), ledger.close("complaints")),
        lambda: [ledger.post(i, ledger.acknowledgement(i)) for i in ledger.quorum.everyone],
    ):
        act()
        phases.append([owed.slot for owed in ledger.state.owed(4)])
    assert phases == [["kem-key"], ["contribution/0"], ["examined"], ["acknowledgement"], []]


def test_an_acknowledgement_may_be_replaced_until_the_seal():
    ledger = acknowledging()
    for i in ledger.quorum.everyone:
        ledger.post(i, ledger.acknowledgement(i, "wrong" if i == 3 else ""))
    assert ledger.state.setup.differing == (3,)
    assert ledger.post(3, ledger.acknowledgement(3)) is None
    assert ledger.state.setup.differing == ()


def test_an_acknowledgement_names_the_complaint_close_and_every_set():
    ledger = acknowledging()
    entry = ledger.acknowledgement(1)
    early = dataclasses.replace(entry, complaint_close=entry.complaint_close - 1)
    assert ledger.post(1, early) is not None
    short = dataclasses.replace(entry, references=entry.references[1:])
    assert ledger.post(1, short) is not None


def test_the_setup_is_sealed_without_an_operator_that_was_written_off():
    ledger = acknowledging()
    for i in (1, 2, 3):
        ledger.post(i, ledger.acknowledgement(i))
    assert ledger.state_by(Summons(4, 0, ("acknowledgement",)), without=(4,)) is None
    assert ledger.state_by(WriteOff(4, len(ledger.entries) - 1), without=(4,)) is None
    assert ledger.state_by(ledger.setup_seal(), without=(4,)) is None


@given(st.permutations(range(1, 5)), st.permutations(range(1, 5)))
def test_the_order_of_contributions_does_not_change_the_keys(first, second):
    keys = []
    for order in (first, second):
        ledger = started()
        for i in order:
            ledger.post(i, ledger.contribution(i))
        ledger.state_by(Close("contributions/0"))
        keys.append([ledger.state.setup.sources(a) for a in access_sets(ledger.quorum)])
    assert keys[0] == keys[1]
