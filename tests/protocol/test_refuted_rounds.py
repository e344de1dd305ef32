"""Values that answers refute, as the log tells of them (PROTOCOL.md, "Opening a batch", step 6).

Who holds no opened value ends where the others are: their log says which rounds did not hold.
"""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.coordinator.views import seal_view
from mpc_core.protocol.batch import TAKEN, BatchState, Verdict
from mpc_core.protocol.entries import (
    Close,
    Correction,
    Return,
    Root,
)
from mpc_core.protocol.slots import Refutation, refutation_in
from mpc_core.protocol.state import CeremonyState
from mpc_core.protocol.statements import Done, Due, due_statement
from tests.support.ledger import RULES, Ledger, ToyArithmetic, digest

N0, N1, S0, M0, *_ = (rule.key for rule in RULES)
LIAR = 4


class TakesOthers(ToyArithmetic):
    """Arithmetic of who holds some values only, and goes by what n-t operators say of the rest."""

    def expected(self, rule, context_id, round_number, log_root, v_root):
        if v_root not in self.held:
            return TAKEN
        return super().expected(rule, context_id, round_number, log_root, v_root)


@pytest.fixture
def ledger():
    return Ledger().set_up()


def read(ledger, held=()):
    """Return the state of who holds these values only."""
    arithmetic = TakesOthers(ledger.arithmetic.degrees, set(held), omniscient=False)
    state = CeremonyState(ledger.plan, ledger.rules, arithmetic)
    for entry in ledger.entries:
        state.apply(entry)
    return state


def assert_same(reader, ledger):
    assert reader.voids == ledger.state.voids
    assert reader.members == ledger.state.members
    assert reader.sealed == ledger.state.sealed
    assert [reader.status(key) for key in ledger.rules] == [
        ledger.status(key) for key in ledger.rules
    ]
    for key in ledger.rules:
        ours, theirs = reader.opening(key), ledger.state.opening(key)
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            assert (ours.held, ours.sidelined, ours.unproven) == (
                theirs.held,
                theirs.sidelined,
                theirs.unproven,
            )
            assert [(t.decoder, t.closed_at, t.verdict) for t in ours.rounds] == [
                (t.decoder, t.closed_at, t.verdict) for t in theirs.rounds
            ]


def open_wrongly(ledger, key, answering=(1, 2, 3, 4)):
    ledger.share(key)
    ledger.decode(key, v="forged")
    ledger.vouch(key, v="forged")
    ledger.reply(key, answering)


def open_again(ledger, key):
    ledger.decode(key)
    ledger.vouch(key)
    ledger.reply(key)


# -- who holds no value ---------------------------------------------------------------------------


def test_a_close_that_comes_too_late_is_void_to_who_holds_no_value(ledger):
    """Found by seed 51632 of the chaos drill: the close was signed before n-t vouchers came."""
    ledger.share(N0)
    ledger.decode(N0)
    ledger.vouch(N0)
    assert ledger.close(ledger.slot("round", N0, 0)) == "n-t operators hold v"
    ledger.reply(N0)
    assert ledger.status(N0).state is BatchState.COMPLETE
    assert_same(read(ledger), ledger)


def test_a_refuted_round_is_refuted_to_who_holds_no_value(ledger):
    """Found by seed 950019: the refuted value was taken as the one that holds."""
    open_wrongly(ledger, N0)
    assert ledger.close_refuted(N0) is None
    open_again(ledger, N0)
    assert ledger.state.opening(N0).held == 1
    assert_same(read(ledger), ledger)


def test_a_close_that_comes_too_late_does_not_stand_in_for_the_one_of_a_refuted_round(ledger):
    open_wrongly(ledger, N0)
    slot = ledger.slot("round", N0, 0)
    assert ledger.close(slot) == "n-t operators hold v"
    assert ledger.close_refuted(N0) is None
    open_again(ledger, N0)
    assert_same(read(ledger), ledger)


def test_a_refuted_value_was_wrong_from_the_start(ledger):
    """To who holds none products begin from it, and a liar could have them drawn anew."""
    open_wrongly(ledger, S0)
    phantom = read(ledger).status(M0)
    named = phantom.name, bytes.fromhex(phantom.context)
    for entry in (Root(*named, digest("vector")), Correction(*named)):
        assert ledger.post(LIAR, entry) == "the context is not current"
    assert read(ledger).status(S0).name.generation == 1
    assert ledger.close_refuted(S0) is None
    assert_same(read(ledger), ledger)
    open_again(ledger, S0)
    ledger.open(M0)
    assert ledger.status(M0).name.generation == 0
    assert_same(read(ledger), ledger)


def test_a_round_that_was_closed_before_it_was_refuted_is_no_more_taken_as_right(ledger):
    ledger.share(N0)
    ledger.decode(N0, v="forged")
    assert ledger.close(ledger.slot("round", N0, 0)) is None
    ledger.decode(N0)
    ledger.vouch(N0, v="forged")
    ledger.reply(N0, round_number=0)
    ledger.vouch(N0)
    ledger.reply(N0)
    assert ledger.state.opening(N0).held == 1
    assert read(ledger).opening(N0).held == 0
    assert ledger.close_refuted(N0) is None
    assert len(ledger.state.opening(N0).rounds) == 2
    assert_same(read(ledger), ledger)


def test_a_refuted_round_opens_no_other_while_an_earlier_one_holds(ledger):
    ledger.share(N0)
    ledger.decode(N0)
    assert ledger.close(ledger.slot("round", N0, 0)) is None
    ledger.decode(N0, v="forged")
    ledger.vouch(N0, v="forged")
    ledger.reply(N0)
    ledger.vouch(N0)
    ledger.reply(N0, round_number=0)
    assert ledger.state.opening(N0).held == 0
    assert ledger.close_refuted(N0) is None
    assert len(ledger.state.opening(N0).rounds) == 2
    assert ledger.status(N0).state is BatchState.COMPLETE
    assert_same(read(ledger), ledger)


def leave_unsaid(ledger):
    """Complete all batches, but for what has to be said of a value that was refuted late."""
    ledger.share(S0)
    ledger.decode(S0, v="forged")
    ledger.close(ledger.slot("round", S0, 0))
    ledger.decode(S0)
    ledger.vouch(S0, v="forged")
    ledger.reply(S0, round_number=0)
    ledger.vouch(S0)
    ledger.reply(S0)
    for key in ledger.rules:
        if key[0] in "NM":
            ledger.open(key)


def test_nothing_is_sealed_while_a_refuted_value_is_not_said_to_be_wrong(ledger):
    leave_unsaid(ledger)
    assert ledger.status(S0).state is BatchState.PROVISIONAL
    assert isinstance(due_statement(ledger.state, "seal", ""), Done)
    assert ledger.seal() == "a batch is not complete"


def test_what_is_unsaid_of_a_batch_is_said_before_the_seal(ledger):
    leave_unsaid(ledger)
    view = seal_view(ledger.state, lambda _: 0)
    assert (view.ready, view.owing, view.silent) == (False, [], [])
    assert due_statement(ledger.state, "close", view.close) == Due(Close(view.close))
    assert ledger.close(view.close) is None
    assert ledger.status(S0).state is BatchState.COMPLETE
    assert seal_view(ledger.state, lambda _: 0).ready
    assert ledger.seal() is None
    assert_same(read(ledger), ledger)


def test_who_awaits_a_value_knows_by_that_word_that_it_is_wrong_and_awaits_it_still(ledger):
    open_wrongly(ledger, N0)
    assert ledger.close_refuted(N0) is None
    arithmetic = ToyArithmetic(ledger.arithmetic.degrees, omniscient=False)
    reader = CeremonyState(ledger.plan, ledger.rules, arithmetic)
    for entry in ledger.entries:
        reader.apply(entry)
    assert reader.opening(N0).rounds[0].verdict is Verdict.ODD_V
    assert reader.status(N0) == ledger.status(N0)
    assert N0 in reader.awaiting_v
    arithmetic.held.add(ledger.state.opening(N0).rounds[0].decoded.root)
    assert reader.awaiting_v == ()
    assert_same(reader, ledger)


def test_a_transcript_keeps_the_values_of_a_batch_that_was_doubted_for_a_moment(ledger):
    """Nobody came to say so; only who holds the value judges every moment as the others did."""
    ledger.open(N1)
    ledger.share(N0)
    ledger.decode(N0)
    ledger.vouch(N0)
    ledger.reply(N0, (1, 2))
    ledger.reply(N0, (LIAR,), lie=1)
    assert ledger.status(N0).failed
    ledger.reply(N0, (3,))
    assert ledger.status(N0).state is BatchState.MISFIT
    ledger.exclude(N0, LIAR)
    assert ledger.status(N0).state is BatchState.COMPLETE
    assert ledger.state.disputed == {N0}


# -- what the word of n-t operators is worth ------------------------------------------------------


def test_who_holds_the_value_goes_by_it_whatever_others_say(ledger):
    ledger.open(N0)
    opening = ledger.state.opening(N0)
    turn = opening.rounds[0]
    value = ledger.arithmetic.expected(
        opening.rule, opening.context, 0, turn.log_root, opening.v_root
    )
    said = Refutation(opening.context, 0, hashlib.sha256(value).digest())
    assert ledger.close(said.slot) is None
    assert ledger.status(N0).state is BatchState.COMPLETE
    assert len(ledger.state.opening(N0).rounds) == 1


def test_the_word_of_fewer_than_n_minus_t_operators_is_not_heard(ledger):
    open_wrongly(ledger, N0)
    slot = ledger.state.opening(N0).unsaid.slot
    for signers in ((1, 2), (1, 2, 9), (1, 1, 2)):
        assert ledger.post(signers, Close(slot)) is not None
    assert read(ledger).status(N0).state is BatchState.COMPLETE
    assert ledger.state.opening(N0).unsaid.slot == slot


def test_a_word_about_answers_that_have_changed_counts_and_moves_nothing(ledger):
    open_wrongly(ledger, N0, (1, 2, 3))
    slot = ledger.state.opening(N0).unsaid.slot
    ledger.reply(N0, (LIAR,), lie=1)
    assert ledger.state.opening(N0).misfit == 0
    assert ledger.close(slot) is None
    opening = ledger.state.opening(N0)
    assert (len(opening.rounds), opening.sidelined) == (1, set())
    assert_same(read(ledger), ledger)
    ledger.exclude(N0, LIAR)
    again = ledger.state.opening(N0).unsaid.slot
    assert again == slot
    due = due_statement(ledger.state, "close", slot)
    assert due == Due(Close(slot, 1))
    assert ledger.post((1, 2, 3), due.entry) is None
    assert len(ledger.state.opening(N0).rounds) == 2
    assert_same(read(ledger), ledger)


def test_a_word_about_another_value_moves_nothing(ledger):
    open_wrongly(ledger, N0)
    other = Refutation(ledger.context(N0)[1], 0, digest("another value"))
    assert ledger.close(other.slot) is None
    assert len(ledger.state.opening(N0).rounds) == 1
    assert ledger.close_refuted(N0) is None
    assert len(ledger.state.opening(N0).rounds) == 2


def test_a_round_without_a_decoders_entry_is_not_refuted(ledger):
    ledger.share(N0)
    context = ledger.context(N0)[1]
    said = Refutation(context, 0, digest("value"))
    assert ledger.close(said.slot) == "the round has no decoder's entry"
    later = Refutation(context, 1, digest("value"))
    assert ledger.close(later.slot) == "the round is not open yet"


@pytest.mark.parametrize(
    "slot",
    [
        "refuted/{0}/0",
        "refuted/{0}/0/zz",
        "refuted/{0}/00/{0}",
        "refuted/{0}/0/{0}/0",
        "refuted/{0}/9999999999/{0}",
        "refuted/{0}/0/{1}",
    ],
)
def test_a_slot_of_a_refuted_round_has_one_spelling(ledger, slot):
    context = ledger.status(N0).context
    entry = Close(slot.format(context, context.upper()))
    assert refutation_in(entry) is None
    assert ledger.post((1, 2, 3), entry) == "there is no such slot"


def test_a_slot_names_what_is_refuted():
    said = Refutation(digest("context"), 12, digest("value"))
    assert refutation_in(Close(said.slot)) == said
    assert refutation_in(Return(0)) is None


# -- at any mixture of values ---------------------------------------------------------------------


@given(st.data())
def test_whichever_values_a_reader_holds_it_ends_where_all_are(data):
    ledger = Ledger().set_up()
    for key in (N0, S0):
        ledger.share(key)
        for _ in range(data.draw(st.integers(0, 8))):
            stir(ledger, key, data.draw)
        finish(ledger, key)
    ledger.open(M0)
    roots = sorted({log.entry.root for log in ledger.entries if log.entry.kind == "decoded"})
    held = data.draw(st.sets(st.sampled_from(roots)))
    assert_same(read(ledger, held), ledger)


def stir(ledger, key, draw):
    """Let somebody say something, which may be void, about some round of a batch."""
    opening = ledger.state.opening(key)
    author = draw(st.sampled_from(ledger.quorum.everyone))
    number = draw(st.integers(0, len(opening.rounds) - 1))
    turn, v = opening.rounds[number], draw(st.sampled_from(["v", "forged"]))
    match draw(st.sampled_from(["decode", "vouch", "answer", "round", "refuted"])):
        case "decode":
            ledger.post(turn.decoder, ledger.decoded(key, v=v, round_number=number))
        case "vouch":
            for operator in ledger.quorum.everyone[:author]:
                ledger.post(operator, ledger.have(key, v))
        case "answer" if turn.decoded is not None:
            for operator in ledger.quorum.everyone[:author]:
                ledger.post(operator, ledger.answer(key, operator, round_number=number))
        case "round":
            ledger.close(ledger.slot("round", key, number))
        case "refuted" if opening.unsaid is not None:
            ledger.close_refuted(key)


def finish(ledger, key):
    """Bring a batch to completion as its workflow would."""
    everyone = ledger.quorum.everyone
    while ledger.status(key).state is not BatchState.COMPLETE:
        opening = ledger.state.opening(key)
        turn = opening.current
        if opening.unsaid is not None:
            assert ledger.close_refuted(key) is None
        elif turn.decoded is None:
            ledger.decode(key)
        else:
            v = "v" if turn.decoded.root == ledger.have(key).root else "forged"
            for operator in everyone:
                ledger.post(operator, ledger.have(key, v))
                ledger.post(operator, ledger.answer(key, operator, round_number=turn.number))
