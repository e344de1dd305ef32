"""Contradicting answers: the batch is burnt, its keys are posted, and the liar is excluded."""

import dataclasses

import pytest

from mpc_core.protocol.batch import BatchState
from mpc_core.protocol.entries import (
    Blame,
    Confirmation,
    Correction,
    Evidence,
    Reveal,
    Served,
    Unserved,
)
from mpc_core.protocol.setup import sets_of
from mpc_core.protocol.state import CeremonyState
from tests.support.ledger import Ledger, ToyArithmetic, digest

N0, S0, M0 = ("N", 0), ("S", 0), ("M", 0)
LIAR = 2


@pytest.fixture
def ledger():
    return Ledger().set_up()


def lie(ledger, key, liar=LIAR):
    """Open a batch in which one operator answers wrongly; return the positions of the answers."""
    ledger.share(key)
    ledger.decode(key)
    ledger.vouch(key)
    start = len(ledger.entries)
    for i in ledger.quorum.everyone:
        assert ledger.post(i, ledger.answer(key, i, lie=i == liar)) is None
    return tuple(range(start, start + ledger.quorum.count))


def blame(ledger, key, answers):
    """Return a blame, after the time to recompute."""
    assert ledger.close(ledger.slot("recomputation", key, 0)) is None
    return Blame(*ledger.context(key), 0, answers)


def burn(ledger, key, liar=LIAR):
    """Burn a batch; return its dead name and context."""
    entry = blame(ledger, key, lie(ledger, key, liar))
    assert ledger.post(1, entry) is None
    return entry.batch, entry.context


def keys(ledger, context, author, salt="right"):
    streams = ledger.state.justice.revealed(context).streams
    return b"".join(
        digest("batch key", salt, context, stream, members)[:24]
        for stream in streams
        for members in sets_of(author, ledger.quorum)
    )


def convict(ledger, name, context, accused=LIAR, by=(1, 3)):
    for author in by:
        entry = Confirmation(accused, "recomputed", name, context, 0)
        assert ledger.post(author, entry) is None


# -- blame ----------------------------------------------------------------------------------------


def test_a_burnt_batch_of_noise_is_redone_with_the_next_attempt(ledger):
    name, context = burn(ledger, N0)
    assert str(ledger.context(N0)[0]) == "N-0000.g0.a1"
    assert ledger.context(N0)[1] != context
    assert ledger.status(N0).state is BatchState.OPEN
    late = ledger.state.justice.burns[0].opening
    assert late.state is BatchState.DEAD
    convict(ledger, name, context)
    ledger.open(N0, (1, 3, 4))
    assert ledger.status(N0).state is BatchState.COMPLETE


@pytest.mark.parametrize("key", [S0, M0])
def test_a_burnt_batch_of_bits_or_products_raises_the_generation_of_both(ledger, key):
    if key == M0:
        ledger.open(S0)
    name, context = burn(ledger, key)
    assert ledger.context(S0)[0].generation == 1
    assert ledger.status(M0).state is BatchState.WAITING
    assert ledger.status(N0).name.generation == 0
    convict(ledger, name, context)
    for each in (S0, M0):
        ledger.open(each, (1, 3, 4))
        assert ledger.status(each).state is BatchState.COMPLETE
    assert ledger.context(M0)[0].generation == 1


def test_entries_for_a_dead_context_are_void(ledger):
    lie(ledger, N0)
    late = ledger.have(N0)
    size = len(ledger.entries)
    entry = Blame(*ledger.context(N0), 0, tuple(range(size - 4, size)))
    assert ledger.close(ledger.slot("recomputation", N0, 0)) is None
    assert ledger.post(1, entry) is None
    assert ledger.post(4, late) == "the context is not current"
    assert ledger.post(3, entry) == "an earlier blame is unsettled"


def test_nobody_blames_before_the_time_to_recompute_is_over(ledger):
    answers = lie(ledger, N0)
    entry = Blame(*ledger.context(N0), 0, answers)
    assert ledger.post(1, entry) == "the time to recompute is not over"


def test_the_time_to_recompute_is_closed_only_after_a_contradiction(ledger):
    ledger.open(N0)
    slot = ledger.slot("recomputation", N0, 0)
    assert ledger.close(slot) == "the answers do not contradict one another"


def test_one_blame_at_a_time_and_none_after_the_seal(ledger):
    name, context = burn(ledger, N0)
    second = lie(ledger, ("N", 1), liar=LIAR)
    assert ledger.close(ledger.slot("recomputation", ("N", 1), 0)) is None
    entry = Blame(*ledger.context(("N", 1)), 0, second)
    assert ledger.post(3, entry) == "an earlier blame is unsettled"
    convict(ledger, name, context)
    assert ledger.post(3, entry) == "another blame is the next one"
    again = dataclasses.replace(entry, serial=ledger.state.next_try(Blame.kind, 3))
    assert ledger.post(3, again) == "it names an answer of who is excluded"
    assert ledger.status(("N", 1)).state is BatchState.COMPLETE


def test_the_seal_waits_until_the_blame_is_settled(ledger):
    name, context = burn(ledger, N0)
    ledger.open(("N", 1))
    ledger.open(S0)
    ledger.open(M0)
    ledger.open(N0)
    assert ledger.seal() == "blame is unsettled"
    convict(ledger, name, context)
    assert ledger.seal() is None


# -- keys of dead batches -------------------------------------------------------------------------


def test_only_the_keys_of_a_burnt_context_are_taken(ledger):
    name, context = burn(ledger, N0)
    current = ledger.context(N0)
    assert ledger.post(1, Reveal(*current, b"")) == "no blame asks for the keys of this context"
    assert ledger.post(1, Reveal(name, context, b"short")) is not None
    assert ledger.post(1, Reveal(name, context, keys(ledger, context, 1))) is None
    again = Reveal(name, context, keys(ledger, context, 1, "wrong"))
    assert ledger.post(1, again) == "the author has posted these keys"


def test_no_keys_are_taken_after_the_seal(ledger):
    """Not even of a batch that is long dead: nobody posts one, and nobody can be asked to."""
    name, context = burn(ledger, N0)
    convict(ledger, name, context)
    for key in (N0, ("N", 1), S0, M0):
        ledger.open(key, (1, 3, 4))
    late = Reveal(name, context, keys(ledger, context, 4))
    assert ledger.seal() is None
    assert ledger.post(4, late) == "it is sealed"
    assert not ledger.state.justice.revealed(context).posted


def test_a_key_is_right_once_more_than_t_members_support_it(ledger):
    name, context = burn(ledger, N0)
    revealed = ledger.state.justice.revealed(context)
    for author, salt in ((LIAR, "wrong"), (1, "right"), (3, "right")):
        assert revealed.right is None
        ledger.post(author, Reveal(name, context, keys(ledger, context, author, salt)))
    assert revealed.right is None
    ledger.post(4, Reveal(name, context, keys(ledger, context, 4)))
    right = revealed.right
    assert {place[0] for place in right} == {"bits", "zero"}
    for (stream, members), value in right.items():
        assert value == digest("batch key", "right", context, stream, members)[:24]


def test_with_products_the_keys_of_the_bits_they_consumed_are_posted(ledger):
    ledger.open(S0)
    consumed = ledger.context(S0)
    name, context = burn(ledger, M0)
    assert ledger.state.justice.revealed(context).streams == ("product", "zero")
    assert ledger.post(1, Reveal(*consumed, keys(ledger, consumed[1], 1))) is None
    assert ledger.post(1, Reveal(name, context, keys(ledger, context, 1))) is None


# -- exclusion ------------------------------------------------------------------------------------


def test_t_liars_exclude_nobody():
    ledger = Ledger(7, 2).set_up()
    name, context = burn(ledger, N0, liar=6)
    convict(ledger, name, context, accused=3, by=(6, 7))
    assert ledger.state.members.excluded == set()
    convict(ledger, name, context, accused=6, by=(1, 2, 3))
    assert ledger.state.members.excluded == {6}


def test_what_an_excluded_operator_posts_is_void_and_its_answers_do_not_count(ledger):
    lie(ledger, ("N", 1))
    name, context = burn(ledger, N0)
    convict(ledger, name, context)
    assert ledger.post(LIAR, ledger.share_root(N0, LIAR)) == "the author is excluded"
    assert ledger.status(("N", 1)).state is BatchState.COMPLETE
    assert ledger.state.contradictions == ()


def test_confirmations_need_a_burn_in_which_the_accused_answered(ledger):
    ledger.open(("N", 1))
    name, context = burn(ledger, N0)
    other = ledger.context(("N", 1))
    for entry, reason in (
        (Confirmation(LIAR, "recomputed", *other, 0), "no blame burnt this batch"),
        (Confirmation(LIAR, "hearsay", name, context, 0), "there is no such evidence"),
        (Confirmation(LIAR, "recomputed", name, context, 1), "there is no such round"),
        (Confirmation(9, "recomputed", name, context, 0), "the accused was excluded or has not"),
        (Confirmation(1, "recomputed", name, context, 0), "nobody confirms against itself"),
    ):
        assert reason in ledger.post(1, entry)
    assert ledger.post(1, Confirmation(LIAR, "recomputed", name, context, 0)) is None
    twice = Confirmation(LIAR, "recomputed", name, context, 0)
    assert ledger.post(1, twice) == "the author has confirmed this"


def test_a_vector_that_contradicts_its_own_answer_excludes(ledger):
    lie(ledger, N0)
    batch = ledger.context(N0)
    root = ledger.state.opening(N0).roots[LIAR]
    confirmation = Confirmation(LIAR, "vector", *batch, 0)
    assert ledger.post(1, confirmation) == "there is no such evidence"
    wrong = Evidence(LIAR, "vector", *batch, 0, digest("other"), 8)
    assert ledger.post(1, wrong) == "it is another vector's root"
    assert ledger.post(1, Evidence(LIAR, "vector", *batch, 0, root, 8)) is None
    for author in (1, 3):
        assert ledger.post(author, confirmation) is None
    assert ledger.state.members.excluded == {LIAR}
    assert ledger.status(N0).state is BatchState.COMPLETE


def test_only_the_decoder_of_a_round_is_accused_of_its_v(ledger):
    lie(ledger, N0)
    batch, root = ledger.context(N0), digest("leaves")
    entry = Evidence(LIAR, "decoder", *batch, 0, root, 8)
    assert ledger.post(3, entry) == "the accused is not the decoder"
    assert ledger.post(3, Evidence(1, "decoder", *batch, 0, root, 8)) is None
    for author in (3, 4):
        assert ledger.post(author, Confirmation(1, "decoder", *batch, 0)) is None
    assert ledger.state.members.excluded == {1}


# -- corrections ----------------------------------------------------------------------------------


def test_a_correction_kills_the_batch_and_excludes_nobody(ledger):
    lie(ledger, N0)
    batch = ledger.context(N0)
    assert ledger.post(LIAR, Correction(*batch)) is None
    assert ledger.state.contradictions == ()
    assert ledger.context(N0)[0].attempt == 1
    assert ledger.post(1, Reveal(*batch, b"")) == "no blame asks for the keys of this context"
    ledger.preprocess()
    assert ledger.seal() is None
    assert ledger.state.members.excluded == set()


def test_a_correction_of_bits_redraws_bits_and_products(ledger):
    ledger.open(S0)
    ledger.share(M0)
    assert ledger.post(3, Correction(*ledger.context(M0))) is None
    assert ledger.context(S0)[0].generation == 1


def test_corrections_are_as_many_as_the_plan_allows_and_only_of_what_was_posted(ledger):
    assert ledger.post(3, Correction(*ledger.context(N0))) == "the author has nothing to correct"
    for _ in range(ledger.plan.limits.corrections_per_operator):
        ledger.share(N0)
        assert ledger.post(3, Correction(*ledger.context(N0))) is None
    ledger.share(N0)
    refused = ledger.post(3, Correction(*ledger.context(N0)))
    assert refused == "the plan allows no further correction"


def test_no_correction_after_a_blame_of_that_context_or_after_the_seal(ledger):
    dead = burn(ledger, N0)
    assert ledger.post(3, Correction(*dead)) == "the context is not current"
    convict(ledger, *dead)
    others = (1, 3, 4)
    for key in (N0, ("N", 1), S0, M0):
        ledger.open(key, others)
    batch = ledger.context(N0)
    assert ledger.seal() is None
    assert ledger.post(3, Correction(*batch)) == "it is sealed"


# -- vectors that are not served ------------------------------------------------------------------


def test_a_vector_that_t_plus_1_operators_do_not_get_is_not_opened_from(ledger):
    ledger.share(N0)
    batch = ledger.context(N0)
    assert ledger.post(1, Unserved(*batch, LIAR)) is None
    assert ledger.post(1, Unserved(*batch, LIAR)) == "the author has said so"
    assert ledger.post(3, Unserved(*batch, LIAR)) is None
    refused = ledger.post(1, ledger.decoded(N0, operators=(1, 2, 3)))
    assert refused == "a listed operator does not serve its vector"
    for author in (1, 3):
        assert ledger.post(author, Served(*batch, LIAR, 1)) is None
    assert ledger.post(1, ledger.decoded(N0, operators=(1, 2, 3))) is None


def test_whoever_is_served_may_say_so_first(ledger):
    """Otherwise t liars and one bad line would keep a vector out that everybody else gets."""
    ledger.share(N0)
    batch = ledger.context(N0)
    assert ledger.post(3, Served(*batch, 1)) == "nobody says that it does not serve"
    for author in (LIAR, 3):
        assert ledger.post(author, Unserved(*batch, 1)) is None
    assert ledger.state.opening(N0).services.unserving == {1}
    for author, said_before in ((4, 0), (3, 1)):
        assert ledger.post(author, Served(*batch, 1, said_before)) is None
    assert ledger.state.opening(N0).services.unserving == set()


def test_nobody_is_barred_again_by_whoever_changes_its_word(ledger):
    ledger.share(N0)
    batch = ledger.context(N0)
    for author, said in ((LIAR, Unserved), (3, Unserved), (4, Served)):
        assert ledger.post(author, said(*batch, 1)) is None
    assert ledger.state.opening(N0).services.unserving == {1}
    assert ledger.post(3, Served(*batch, 1, 1)) is None
    for serial, said in enumerate((Served, Unserved), 1):
        assert ledger.post(LIAR, said(*batch, 1, serial)) is None
        assert ledger.state.opening(N0).services.unserving == set()


# -- who reads the log without the opened values ---------------------------------------------------


def test_a_value_is_awaited_until_it_is_held_also_when_its_batch_is_dead(ledger):
    for step in (ledger.share, ledger.decode, ledger.vouch):
        step(S0)
    ledger.reply(S0, (1, 2, 3))
    products = lie(ledger, M0)
    assert ledger.post(1, blame(ledger, M0, products)) is None
    convict(ledger, ledger.entries[-1].entry.batch, ledger.entries[-1].entry.context)
    for key in (S0, M0):
        ledger.open(key, (1, 3, 4))
    arithmetic = ToyArithmetic(ledger.arithmetic.degrees, omniscient=False)
    reader = CeremonyState(ledger.plan, ledger.rules, arithmetic)
    for log in ledger.entries:
        reader.apply(log)
    assert reader.members.excluded == set()
    first = next(each for each in ledger.state.ever_opened if each.rule.key == S0)
    assert first.context in {opening.context for opening in reader.awaiting}
    while reader.awaiting:
        arithmetic.held.update(
            turn.decoded.root for opening in reader.awaiting for turn in opening.awaited
        )
    assert reader.members.excluded == ledger.state.members.excluded == {LIAR}
    assert [reader.status(key) for key in ledger.rules] == [
        ledger.state.status(key) for key in ledger.rules
    ]
