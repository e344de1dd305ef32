"""Batches along the log: rounds, verdicts, deadlines (PROTOCOL.md, "Opening a batch")."""

from __future__ import annotations

import dataclasses
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc_core.protocol.batch import BatchState, next_step
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.entries import Blame, Close, Correction, LogEntry, Return, Root
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.state import CeremonyState
from tests.support.ledger import RULES, Ledger, ToyArithmetic, digest, double

N0, N1, S0, M0, O0, O1 = (rule.key for rule in RULES)


@pytest.fixture
def ledger():
    return Ledger().set_up()


def test_a_batch_goes_through_its_steps_in_order(ledger):
    steps = [next_step(ledger.status(N0))]
    for act in (ledger.share, ledger.decode, ledger.vouch, ledger.reply):
        act(N0)
        steps.append(next_step(ledger.status(N0)))
    assert steps == ["share", "decode", "vouch", "answer", "settled"]
    assert ledger.status(N0).state is BatchState.COMPLETE


def test_no_batch_takes_a_root_before_the_setup_is_sealed():
    fresh = Ledger()
    assert fresh.status(N0).state is BatchState.WAITING
    root = Ledger().set_up().share_root(N0, 1)
    assert fresh.post(1, root) == "the context is not current"


def test_the_first_valid_root_of_an_operator_counts(ledger):
    ledger.post(1, ledger.share_root(N0, 1))
    other = dataclasses.replace(ledger.share_root(N0, 1), root=digest("other"))
    assert ledger.post(1, other) == "the author has posted a root"
    assert ledger.state.opening(N0).roots[1] == ledger.share_root(N0, 1).root


def test_the_first_valid_value_vouchers_and_answers_of_a_round_count(ledger):
    ledger.share(N0)
    ledger.decode(N0)
    first = ledger.state.opening(N0).rounds[0].decoded
    other = dataclasses.replace(first, root=digest("other"))
    assert ledger.post(1, other) == "the round has a decoder's entry"
    assert ledger.state.opening(N0).rounds[0].decoded == first
    ledger.vouch(N0, (1, 2))
    assert ledger.post(2, ledger.have(N0)) == "the author has vouched for this root"
    assert ledger.status(N0).haves == 2
    ledger.reply(N0, (1, 2))
    assert ledger.post(2, ledger.answer(N0, 2, lie=1)) == "the author has answered this round"
    assert ledger.state.opening(N0).rounds[0].answers[2] == ledger.answer(N0, 2).values


def test_only_the_decoder_of_the_round_decodes(ledger):
    ledger.share(N1)
    assert ledger.status(N1).decoder == 2
    assert ledger.post(3, ledger.decoded(N1)) == "the author is not the decoder of this round"
    assert not ledger.status(N1).decoded


@pytest.mark.parametrize(
    ("operators", "reason"),
    [
        ((1, 2), "the number of points is not the rule's"),
        ((1, 2, 3, 4), "the number of points is not the rule's"),
        ((1, 1, 2), "operators are not distinct and ascending"),
        ((2, 1, 3), "operators are not distinct and ascending"),
        ((1, 2, 5), "a listed root is not in the log"),
    ],
)
def test_a_decoder_must_list_exactly_2t_plus_1_roots_of_the_log(ledger, operators, reason):
    ledger.share(N0)
    assert ledger.post(1, ledger.decoded(N0, operators=operators)) == reason


def test_a_degree_t_opening_needs_n_minus_t_points():
    ledger = Ledger(7, 2).set_up()
    ledger.preprocess()
    ledger.seal()
    ledger.share(O0)
    assert ledger.post(1, ledger.decoded(O0, operators=(1, 2, 3, 4))) is not None
    assert ledger.post(1, ledger.decoded(O0, operators=(1, 2, 3, 4, 5))) is None


def test_an_answer_to_another_challenge_is_void_not_a_misfit(ledger):
    ledger.share(N0)
    ledger.decode(N0)
    ledger.vouch(N0)
    answer = dataclasses.replace(ledger.answer(N0, 1), log_root=digest("another prefix"))
    assert ledger.post(1, answer) == "the challenge is from another prefix"
    assert ledger.post(1, dataclasses.replace(ledger.answer(N0, 1), values=b"short")) is not None
    ledger.reply(N0)
    assert ledger.status(N0).state is BatchState.COMPLETE


def test_nobody_vouches_for_a_root_that_no_decoder_named(ledger):
    ledger.share(N0)
    ledger.decode(N0)
    assert ledger.post(1, ledger.have(N0, "another v")) == "no decoder's entry names this root"


def test_2t_plus_1_answers_without_n_minus_t_holders_do_not_suffice(ledger):
    ledger.share(N0)
    ledger.decode(N0)
    ledger.reply(N0, (1, 2, 3))
    ledger.vouch(N0, (1, 2))
    assert ledger.status(N0).state is BatchState.OPEN
    ledger.vouch(N0, (3,))
    assert ledger.status(N0).state is BatchState.PROVISIONAL


def test_a_silent_decoder_is_replaced_by_the_next_that_is_not_absent(ledger):
    ledger.share(N0)
    assert ledger.close(ledger.slot("round", N0, 0)) is None
    assert (ledger.status(N0).round, ledger.status(N0).decoder) == (1, 2)
    assert ledger.state.members.absent == {1}
    late = ledger.decoded(N0, round_number=0)
    assert ledger.post(1, late) == "the round is closed"
    ledger.share(S0, (2, 3, 4))
    assert ledger.status(S0).decoder == 2


def test_when_no_decoder_is_left_the_list_starts_anew(ledger):
    ledger.share(N0)
    for number in range(4):
        assert ledger.close(ledger.slot("round", N0, number)) is None
    assert ledger.state.members.absent == {1, 2, 3, 4}
    assert ledger.status(N0).decoder == 1


def test_vouchers_count_for_every_round_with_that_root(ledger):
    ledger.share(N0)
    ledger.decode(N0)
    ledger.vouch(N0, (1, 2))
    assert ledger.close(ledger.slot("round", N0, 0)) is None
    ledger.decode(N0)
    ledger.vouch(N0, (3,))
    ledger.reply(N0)
    assert ledger.status(N0).state is BatchState.COMPLETE


def test_a_round_whose_v_is_held_by_a_quorum_is_not_closed(ledger):
    ledger.share(N0)
    ledger.decode(N0)
    ledger.vouch(N0, (1, 2, 3))
    assert ledger.close(ledger.slot("round", N0, 0)) is not None


def test_answers_that_fit_but_not_with_v_open_the_next_round_without_its_decoder(ledger):
    ledger.share(N0)
    ledger.decode(N0, v="forged")
    ledger.vouch(N0, v="forged")
    ledger.reply(N0, (2, 3, 4))
    status = ledger.status(N0)
    assert (status.state, status.failed) == (BatchState.OPEN, True)
    assert ledger.close_refuted(N0) is None
    assert ledger.status(N0).decoder == 2
    unproven = ledger.decoded(N0, operators=(1, 2, 3))
    assert ledger.post(2, unproven) == "a listed operator still owes its answer"
    ledger.decode(N0, operators=(2, 3, 4))
    ledger.vouch(N0)
    ledger.reply(N0)
    assert ledger.status(N0).state is BatchState.COMPLETE
    assert ledger.state.contradictions == ()


def test_a_sidelined_decoder_is_passed_over_until_nobody_else_is_left(ledger):
    ledger.share(N0)
    ledger.decode(N0, v="forged")
    ledger.vouch(N0, v="forged")
    ledger.reply(N0, (2, 3, 4))
    assert ledger.close_refuted(N0) is None
    for number in range(1, 4):
        if number == 3:
            assert ledger.post(2, Return(0)) is None
        assert ledger.close(ledger.slot("round", N0, number)) is None
    assert ledger.status(N0).decoder == 2


def test_a_round_is_not_closed_while_an_earlier_one_is_provisional(ledger):
    ledger.share(N0)
    ledger.decode(N0)
    assert ledger.close(ledger.slot("round", N0, 0)) is None
    ledger.vouch(N0)
    ledger.reply(N0, (1, 2, 3), round_number=0)
    assert ledger.status(N0).round == 0
    assert ledger.close(ledger.slot("round", N0, 1)) == "the batch is provisional"


@pytest.mark.parametrize("liar", [1, 2, 3, 4])
def test_one_lie_among_all_answers_calls_for_blame_and_stops_the_seal(ledger, liar):
    ledger.preprocess()
    twin = Ledger().set_up()
    for key in (N1, S0, M0):
        twin.open(key)
    twin.share(N0)
    twin.decode(N0)
    twin.vouch(N0)
    for i in twin.quorum.everyone:
        twin.post(i, twin.answer(N0, i, lie=i == liar))
    assert twin.status(N0).state is BatchState.MISFIT
    assert next_step(twin.status(N0)) == "blame"
    assert [opening.rule.key for opening in twin.state.contradictions] == [N0]
    assert twin.seal() == "a batch is not complete"
    assert ledger.seal() is None


def test_blame_that_names_answers_on_one_polynomial_is_void(ledger):
    ledger.preprocess()
    name, context = ledger.context(N0)
    answers = tuple(
        log.position
        for log in ledger.entries
        if log.entry.kind == "answer" and log.entry.context == context
    )
    assert ledger.post(3, Blame(name, context, 0, answers)) == "the answers lie on one polynomial"
    assert ledger.post(3, Blame(name, context, 0, (*answers, 0))) is not None
    assert ledger.post(3, Blame(name, context, 0, (10_000,))) is not None
    assert ledger.seal() is None


def test_at_degree_t_a_liar_is_an_erasure(ledger):
    ledger.preprocess()
    ledger.seal()
    ledger.share(O0)
    ledger.decode(O0)
    ledger.vouch(O0)
    for i in ledger.quorum.everyone:
        ledger.post(i, ledger.answer(O0, i, lie=i == 2))
    status = ledger.status(O0)
    assert (status.state, status.erasures) == (BatchState.COMPLETE, (2,))
    assert ledger.state.contradictions == ()


def test_who_misses_a_deadline_is_absent_until_it_returns(ledger):
    ledger.share(N0, (1, 2, 3))
    assert ledger.status(N0).missing_roots == (4,)
    assert ledger.close(ledger.slot("roots", N0)) is None
    assert ledger.state.members.absent == {4}
    assert ledger.status(N0).decoder == 1
    assert ledger.state.health == "Healthy"
    ledger.share(N1, (1, 2, 3))
    assert next_step(ledger.status(N1)) == "decode"
    assert ledger.post(4, Return(0)) is None
    assert ledger.state.health == "Optimal"
    assert ledger.post(4, Return(1)) == "the operator is not absent"
    ledger.share(S0, (1, 2, 3))
    assert next_step(ledger.status(S0)) == "share"


def test_a_return_needs_a_higher_serial_than_the_last(ledger):
    for serial, key in ((5, N0), (6, N1)):
        ledger.share(key, (1, 2, 3))
        ledger.close(ledger.slot("roots", key))
        assert ledger.post(4, Return(5)) == (
            None if serial == 5 else "an older return has this serial"
        )


def test_a_batch_does_not_wait_again_for_who_missed_the_close_of_its_answers(ledger):
    for key in (N0, N1):
        ledger.share(key)
        ledger.decode(key)
        ledger.vouch(key)
        ledger.reply(key, (1, 2, 3))
    assert next_step(ledger.status(N0)) == "answer"
    assert ledger.close(ledger.slot("answers", N0, 0)) is None
    assert ledger.post(4, Return(0)) is None
    assert 4 in ledger.state.members.awaited
    assert next_step(ledger.status(N0)) == "settled"
    assert next_step(ledger.status(N1)) == "answer"
    assert ledger.status(N1).missing_answers == (4,)
    ledger.reply(N0, (4,))
    assert ledger.status(N0).state is BatchState.COMPLETE


def test_returns_count_with_doubling_delays(ledger):
    for key, number in ((N0, 0), (N1, 1)):
        ledger.share(key, (1, 2, 3))
        assert ledger.close(ledger.slot("roots", key)) is None
        closed = len(ledger.entries) - 1
        assert ledger.state.members.absent == {4}
        if number == 0:
            assert ledger.post(4, Return(0)) is None
    pause = 8 * ledger.quorum.count
    serial = 1
    while len(ledger.entries) < closed + pause:
        assert ledger.post(4, Return(serial)) == "the operator came back too soon"
        serial = ledger.state.members.returns[4] + 1
    assert ledger.state.members.absent == {4}
    assert ledger.post(4, Return(serial)) is None
    assert ledger.state.members.absent == set()


def test_what_an_absent_operator_posts_counts(ledger):
    ledger.share(N0, (1, 2, 3))
    ledger.close(ledger.slot("roots", N0))
    ledger.decode(N0)
    ledger.vouch(N0, (1, 2, 3))
    ledger.reply(N0, (1, 2, 3))
    assert ledger.status(N0).state is BatchState.PROVISIONAL
    assert next_step(ledger.status(N0)) == "settled"
    assert ledger.status(N0).absent == (4,)
    ledger.share(N0, (4,))
    ledger.reply(N0, (4,))
    assert ledger.status(N0).state is BatchState.COMPLETE


def test_deadlines_close_only_what_can_go_on(ledger):
    ledger.share(N0, (1, 2))
    assert ledger.close(ledger.slot("roots", N0)) == "too few roots"
    ledger.share(N0, (3, 4))
    assert ledger.close(ledger.slot("roots", N0)) == "round 0 is open"
    ledger.decode(N0)
    ledger.vouch(N0)
    ledger.reply(N0, (1, 2))
    slot = ledger.slot("answers", N0, 0)
    assert ledger.close(slot) == "the batch is not provisional by this round"
    ledger.reply(N0, (3,))
    assert ledger.close(slot) is None
    assert ledger.state.members.absent == {4}


@pytest.mark.parametrize(
    "slot",
    ["", "roots", "roots/zz", "roots/abc", "round/{0}", "round/{0}/-1", "round/{0}/00", "x/{0}"],
)
def test_a_close_entry_of_no_slot_is_void(ledger, slot):
    context = ledger.status(N0).context
    assert ledger.post((1, 2, 3), Close(slot.format(context))) is not None


def test_a_statement_needs_n_minus_t_signatures(ledger):
    ledger.share(N0, (1, 2, 3))
    slot = ledger.slot("roots", N0)
    assert ledger.post((1, 2), Close(slot)) == "fewer than n-t operators signed the statement"
    assert ledger.post((1, 2, 3), Close(slot)) is None


def test_products_wait_for_the_opened_values_they_consume(ledger):
    assert next_step(ledger.status(M0)) == "wait"
    early = ledger.share_root(N0, 1)
    assert ledger.post(1, dataclasses.replace(early, batch=BatchName("M", 0))) is not None
    ledger.open(S0)
    assert next_step(ledger.status(M0)) == "share"
    context = ledger.state.context(M0)
    assert context.dependencies == (digest("v", ledger.context(S0)[1]),)


def doubt(ledger, key):
    """Open a batch with answers that contradict one another in the end."""
    ledger.share(key)
    ledger.decode(key)
    ledger.vouch(key)
    ledger.reply(key, (2, 3, 4))
    ledger.share(M0, (1, 2, 3))
    late = ledger.share_root(M0, 4), Close(ledger.slot("roots", M0)), ledger.context(M0)
    ledger.reply(key, (1,), lie=1)
    assert ledger.status(M0).state is BatchState.WAITING
    return late


def test_what_was_under_way_counts_although_what_it_builds_on_is_in_doubt_meanwhile(ledger):
    """Found by seed 1000552: the same root cannot stand on the log twice."""
    root, _, (_, context) = doubt(ledger, S0)
    assert ledger.post(4, root) is None
    ledger.exclude(S0, 1)
    assert ledger.context(M0)[1] == context
    assert ledger.state.opening(M0).roots.keys() == {1, 2, 3, 4}
    assert next_step(ledger.status(M0)) == "decode"


def test_a_deadline_that_was_closed_meanwhile_is_over(ledger):
    _, close, _ = doubt(ledger, S0)
    assert ledger.state_by(close, without=(4,)) is None
    assert ledger.state.members.absent == {4}


def test_a_correction_counts_although_what_the_batch_builds_on_is_in_doubt(ledger):
    *_, named = doubt(ledger, S0)
    assert ledger.post(3, Correction(*named)) is None
    assert ledger.status(S0).name.generation == 1
    assert ledger.post(4, Root(*named, digest("late"))) == "the context is not current"


def test_nobody_blames_a_batch_whose_context_is_not_current(ledger):
    *_, named = doubt(ledger, S0)
    assert ledger.post(3, Blame(*named, 0, ())) == "the context is not current"


def test_a_log_read_out_of_order_is_refused(ledger):
    entry = LogEntry(99, (1,), Return(0), digest("leaf"), digest("root"))
    with pytest.raises(CeremonyError, match="RF-LOG-090"):
        ledger.state.apply(entry)


def play(ledger, order):
    """Run the offline batches, each step's entries in an order drawn by the caller."""
    for key in (N0, S0, M0):
        for make in (ledger.share_root, "decode", "have", ledger.answer):
            if make == "decode":
                ledger.decode(key)
                continue
            for i in order(ledger.quorum.everyone):
                entry = ledger.have(key) if make == "have" else make(key, i)
                assert ledger.post(i, entry) is None


@given(st.data())
def test_the_order_of_independent_entries_does_not_change_the_verdict(data):
    shuffled, straight = Ledger().set_up(), Ledger().set_up()
    play(shuffled, lambda everyone: data.draw(st.permutations(everyone)))
    play(straight, lambda everyone: everyone)
    for key in (N0, S0):
        ours, theirs = shuffled.status(key), straight.status(key)
        assert ours == theirs
        assert ours.state is BatchState.COMPLETE
    assert shuffled.state.context(M0) == straight.state.context(M0)


def run_with_faults(ledger):
    """A forged v, an absent operator, its return, and products that depend on key bits."""
    ledger.share(S0)
    ledger.decode(S0, v="forged")
    ledger.vouch(S0, v="forged")
    ledger.reply(S0, (1, 2, 3))
    ledger.close(ledger.slot("round", S0, 0))
    ledger.close_refuted(S0)
    ledger.decode(S0, operators=(1, 2, 3))
    ledger.vouch(S0, (1, 2, 3))
    ledger.reply(S0, (1, 2, 3))
    ledger.close(ledger.slot("answers", S0, 1))
    ledger.open(M0, (1, 2, 3))
    ledger.post(4, Return(0))
    ledger.reply(S0, (4,))
    ledger.share(M0, (4,))
    ledger.reply(M0, (4,))
    for key in (N0, N1):
        ledger.open(key)
    ledger.seal()
    return ledger


def fold(ledger, arithmetic, at_each):
    state = CeremonyState(ledger.plan, ledger.rules, arithmetic)
    for log in ledger.entries:
        state.apply(log)
        at_each(log.position, state)
    return state


@given(st.data())
def test_a_party_that_learns_v_late_decides_as_if_it_had_always_known(data):
    ledger = run_with_faults(Ledger().set_up())
    assert ledger.state.sealed is not None
    roots = sorted({log.entry.root for log in ledger.entries if log.entry.kind == "decoded"})
    late = {root: data.draw(st.integers(0, len(ledger.entries))) for root in roots}
    arithmetic = ToyArithmetic(degrees=ledger.arithmetic.degrees, omniscient=False)

    def learn(position, state):
        arithmetic.held.update(root for root in roots if late[root] <= position)
        state.status(N0)

    state = fold(ledger, arithmetic, learn)
    arithmetic.held.update(roots)
    assert [state.status(key) for key in ledger.rules] == [
        ledger.status(key) for key in ledger.rules
    ]
    assert state.voids == ledger.state.voids
    assert state.sealed == ledger.state.sealed
    assert state.members == ledger.state.members


def test_a_party_without_v_says_what_it_has_to_fetch():
    ledger = run_with_faults(Ledger().set_up())
    arithmetic = ToyArithmetic(degrees=ledger.arithmetic.degrees, omniscient=False)
    state = fold(ledger, arithmetic, lambda position, state: None)
    assert S0 in state.awaiting_v
    assert state.sealed is None


@pytest.fixture(scope="module")
def faulty():
    return run_with_faults(Ledger().set_up())


@given(st.data())
def test_no_entry_whatsoever_stops_the_fold(faulty, data):
    """Entries of a real log with one field, or the signers, replaced by anything."""
    cut = data.draw(st.integers(0, len(faulty.entries)))
    ledger = Ledger(arithmetic=faulty.arithmetic)
    for log in faulty.entries[:cut]:
        ledger.post(log.signers, log.entry)
    for _ in range(8):
        log = data.draw(st.sampled_from(faulty.entries))
        hints = typing.get_type_hints(type(log.entry))
        names = [field.name for field in dataclasses.fields(log.entry)]
        changes = {}
        if names:
            name = data.draw(st.sampled_from(names))
            changes[name] = data.draw(st.from_type(hints[name]))
        signers = data.draw(st.sampled_from([log.signers, (), (1, 2), (0,), (1, 2, 3, 9)]))
        ledger.post(signers, dataclasses.replace(log.entry, **changes))
        ledger.snapshot()


@pytest.mark.parametrize("digits", ["9" * 10, "9" * 5000, "\u0663", "+1"])
def test_numbers_in_slots_are_short_and_plain(ledger, digits):
    context = ledger.status(N0).context
    assert ledger.close(f"round/{context}/{digits}") == "there is no such slot"
    assert ledger.close(f"contributions/{digits}") == "there is no such slot"


def test_blame_may_name_an_entry_that_nobody_signed(ledger):
    ledger.share(N0)
    ledger.decode(N0)
    answer = ledger.answer(N0, 1)
    ledger.post((), answer)
    blame = Blame(*ledger.context(N0), 0, (len(ledger.entries) - 1,))
    assert ledger.post(1, blame) == "it names something that is no answer of this round"


@given(st.integers(0, 60), st.randoms(use_true_random=False))
def test_void_entries_change_nothing(cut, rng):
    whole = run_with_faults(Ledger().set_up())
    kept = whole.entries[: len(whole.entries) - cut]
    seen = Ledger(arithmetic=whole.arithmetic)
    for log in kept:
        seen.post(log.signers, log.entry)
    before = seen.snapshot()
    for log in rng.sample(whole.entries, 20):
        probe = Ledger(arithmetic=whole.arithmetic)
        for known in seen.entries:
            probe.post(known.signers, known.entry)
        if probe.post(log.signers, log.entry) is not None:
            seen.post(log.signers, log.entry)
            assert seen.snapshot() == before


def test_refolding_asks_the_arithmetic_nothing_twice():
    ledger = run_with_faults(Ledger().set_up())
    arithmetic = ToyArithmetic(degrees=ledger.arithmetic.degrees, omniscient=False)
    state = fold(ledger, arithmetic, lambda position, state: None)
    for log in ledger.entries:
        if log.entry.kind == "decoded":
            arithmetic.held.add(log.entry.root)
            state.status(N0)
    assert arithmetic.polynomials <= ledger.arithmetic.polynomials


def test_a_batch_of_another_context_takes_no_entries(ledger):
    foreign = Ledger(rules=(double("N", 0),), n=7, t=2).set_up()
    assert ledger.post(1, foreign.share_root(N0, 1)) == "the context is not current"
    misnamed = dataclasses.replace(ledger.share_root(N0, 1), batch=ledger.status(N1).name)
    assert ledger.post(1, misnamed) == "context and batch do not match"
