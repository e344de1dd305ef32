"""Whole ceremonies of the operators' own steps, with operators that fail or lie on the way."""

import json
from dataclasses import replace

import numpy as np
import pytest

from activities.batches import Batches
from activities.seal import KEY_SHARE
from mpc_core.protocol.batch import BatchState, Verdict
from mpc_core.protocol.context import BatchContext, BatchName
from mpc_core.protocol.entries import Answer, KeySet, Root, Seal
from mpc_core.tfhe.objects import public_objects
from mpc_core.tfhe.parameters import lookup
from tests.support.key_check import chi_square, key_of, same_key, smallest_groups
from tests.support.reference_keys import residues
from tests.support.simulation import Ceremony, WouldWaitError

OBJECTS = public_objects(lookup("test"))
LARGE = 1000
"""Samples from which a variance can be judged."""


@pytest.fixture(scope="module")
def secrets(undisturbed):
    return key_of(undisturbed, (1, 2))


@pytest.fixture(scope="module")
def noise(undisturbed, secrets):
    bodies, seed = undisturbed.bodies(), undisturbed.seed()
    return {
        item.number: residues(lookup("test"), item, seed, secrets, bodies[item.number])
        for item in OBJECTS
    }


# -- the key set ----------------------------------------------------------------------------------


def test_any_two_of_four_final_shares_are_the_same_key(undisturbed, secrets):
    for group in smallest_groups(undisturbed, (1, 2, 3, 4)):
        assert same_key(key_of(undisturbed, group), secrets)


def test_key_bits_are_balanced(secrets):
    bits = np.concatenate(list(secrets.values()))
    assert abs(int(2 * bits.sum()) - bits.size) < 5 * bits.size**0.5


@pytest.mark.parametrize("item", OBJECTS, ids=lambda item: item.name)
def test_every_body_is_mask_times_key_plus_message_plus_small_noise(noise, item):
    assert noise[item.number].size == item.bodies
    assert np.abs(noise[item.number]).max() <= 1 << item.noise_bound_log2


@pytest.mark.parametrize("item", OBJECTS, ids=lambda item: item.name)
def test_the_noise_has_mean_and_variance_of_tuniform(noise, item):
    scaled = noise[item.number] / float(1 << item.noise_bound_log2)
    deviation = (1 / 3 + 2.0 ** (-2 * item.noise_bound_log2) / 6) ** 0.5
    assert abs(scaled.mean()) < 5 * deviation / scaled.size**0.5
    if scaled.size > LARGE:
        assert abs(scaled.var() / deviation**2 - 1) < 5 * scaled.size**-0.5


@pytest.mark.parametrize(
    "item", [item for item in OBJECTS if item.bodies > LARGE], ids=lambda item: item.name
)
def test_the_noise_is_spread_evenly(noise, item):
    buckets_log2 = min(4, item.noise_bound_log2)
    limit = 15 + 5 * 30**0.5
    assert chi_square(noise[item.number], item.noise_bound_log2, buckets_log2) < limit


def test_every_operator_rebuilt_the_same_key_set(undisturbed):
    digests = {party.steps.acceptance.digest() for party in undisturbed.parties.values()}
    assert digests == {undisturbed.digest()}


def test_an_undisturbed_ceremony_has_no_void_entry_and_no_wait(undisturbed):
    assert undisturbed.log.state.voids == ()
    assert undisturbed.refusals == []
    assert undisturbed.clock.now == 0.0


def test_of_the_secrets_only_key_bits_and_unused_floods_are_left(undisturbed):
    for party in undisturbed.parties.values():
        kept = json.loads(party.vault.read(KEY_SHARE))["shares"]
        names = {f"shares/{name}" for name in kept["bits"] + kept["flood"]}
        assert set(party.vault.kept) == names | {KEY_SHARE}
        assert not party.work.names("shares")


# -- operators that fail --------------------------------------------------------------------------


def test_who_was_away_during_noise_and_products_catches_up(undisturbed):
    ceremony = Ceremony()
    ceremony.at["N-0"] = lambda: ceremony.stop(4)
    ceremony.at["seal"] = lambda: ceremony.restart(4)
    assert ceremony.run() == undisturbed.digest()
    assert ceremony.clock.now > 0
    assert not ceremony.log.state.members.written_off
    assert ceremony.party(4).vault.kept.keys() == undisturbed.party(4).vault.kept.keys()
    assert same_key(key_of(ceremony, (1, 4)), key_of(undisturbed, (1, 2)))


def test_three_of_four_end_with_the_same_key_set_when_one_never_comes_back(undisturbed):
    ceremony = Ceremony()
    ceremony.at["N-3"] = lambda: ceremony.stop(4)
    assert ceremony.run() == undisturbed.digest()
    assert ceremony.log.state.members.written_off == {4}
    assert same_key(key_of(ceremony, (2, 3)), key_of(undisturbed, (1, 2)))


def test_nobody_is_written_off_before_the_waiting_time_has_passed():
    ceremony = Ceremony(waiting_seconds=90.0)
    summoned = []
    ceremony.at["M-3"] = lambda: ceremony.stop(2)
    ceremony.at["write-off"] = lambda: summoned.append(ceremony.clock.now)
    ceremony.at["secure"] = lambda: summoned.append(ceremony.clock.now)
    ceremony.run()
    assert ceremony.log.state.members.written_off == {2}
    assert summoned[1] - summoned[0] >= 90.0


def test_who_was_written_off_and_comes_back_late_has_the_same_share(undisturbed):
    ceremony = Ceremony()
    ceremony.at["N-3"] = lambda: ceremony.stop(4)
    ceremony.at["rebuild"] = lambda: ceremony.restart(4)
    assert ceremony.run() == undisturbed.digest()
    assert not ceremony.log.state.members.written_off
    assert same_key(key_of(ceremony, (1, 4)), key_of(undisturbed, (1, 2)))


def test_who_comes_back_after_the_announcement_destroys_its_stage_keys(undisturbed):
    ceremony = Ceremony()
    ceremony.at["O-0"] = lambda: ceremony.stop(3)
    assert ceremony.run() == undisturbed.digest()
    assert ceremony.party(3).vault.names("stage-keys") == ("stage-keys/O",)
    ceremony.restart(3)
    assert ceremony.party(3).vault.kept.keys() == undisturbed.party(3).vault.kept.keys()


@pytest.mark.parametrize("milestone", ["M-0", "seal", "secure", "O-3"])
def test_what_was_lost_with_work_is_rebuilt(undisturbed, milestone):
    ceremony = Ceremony()
    ceremony.at[milestone] = lambda: (ceremony.lose(2), ceremony.restart(2))
    assert ceremony.run() == undisturbed.digest()
    assert ceremony.refusals == []
    assert ceremony.party(2).steps.acceptance.digest() == undisturbed.digest()
    assert same_key(key_of(ceremony, (2, 3)), key_of(undisturbed, (1, 2)))


@pytest.mark.parametrize("back", ["N-2", "seal", "rebuild"])
def test_who_was_away_when_keys_were_acknowledged_derives_them_later(undisturbed, back):
    ceremony = Ceremony()
    ceremony.at["acknowledge"] = lambda: ceremony.stop(1)
    ceremony.at[back] = lambda: ceremony.restart(1)
    assert ceremony.run() == undisturbed.digest()
    assert same_key(key_of(ceremony, (1, 4)), key_of(undisturbed, (1, 2)))


@pytest.mark.parametrize(
    "absences",
    [
        [("N-2", "announcement", 3)],
        [("N-6", "N-9", 1), ("N-9", "M-0", 2)],
        [("N-8", "N-12", 3), ("M-2", "O-7", 4), ("O-7", "announcement", 2)],
    ],
)
def test_whoever_goes_and_loses_work_and_comes_back_makes_no_difference(undisturbed, absences):
    ceremony = Ceremony()

    def at(milestone, act):
        before = ceremony.at.get(milestone, lambda: None)
        ceremony.at[milestone] = lambda: (before(), act())

    for gone, back, operator in absences:
        at(gone, lambda index=operator: ceremony.lose(index))
        at(back, lambda index=operator: ceremony.restart(index))
    assert ceremony.run() == undisturbed.digest()
    assert ceremony.refusals == []
    for index, party in ceremony.parties.items():
        assert party.vault.kept.keys() == undisturbed.party(index).vault.kept.keys()
    assert same_key(key_of(ceremony, (3, 4)), key_of(undisturbed, (1, 2)))


def test_who_does_not_contribute_is_replaced():
    ceremony = Ceremony()
    ceremony.at["contribute"] = lambda: ceremony.stop(3)
    ceremony.at["N-1"] = lambda: ceremony.restart(3)
    digest = ceremony.run()
    assert {party.steps.acceptance.digest() for party in ceremony.parties.values()} == {digest}
    assert same_key(key_of(ceremony, (1, 3)), key_of(ceremony, (2, 4)))


# -- operators that lie ---------------------------------------------------------------------------


def lying(entry):
    """Return an answer with one wrong bit, and everything else as it is."""
    if not isinstance(entry, Answer):
        return entry
    return replace(entry, values=bytes([entry.values[0] ^ 1]) + entry.values[1:])


def start_lying(ceremony, index):
    ceremony.party(index).log.tamper = lying


def test_false_answers_in_the_assembly_are_erasures(undisturbed):
    ceremony = Ceremony()
    ceremony.at["O-1"] = lambda: start_lying(ceremony, 2)
    assert ceremony.run() == undisturbed.digest()
    assert ceremony.log.state.status(("O", 1)).erasures == (2,)


class WrongDecoder(Batches):
    """Opens a batch to something else."""

    def __init__(self, operator, key):
        super().__init__(operator)
        object.__setattr__(self, "_wrong", key)

    def _open(self, key, work):
        points, opening = super()._open(key, work)
        return points, opening.altered(2) if key == self._wrong else opening


@pytest.mark.parametrize("stage", ["N", "O"])
def test_a_wrong_v_of_the_decoder_never_becomes_provisional(undisturbed, stage):
    ceremony = Ceremony()
    wrong = (stage, 2)
    ceremony.party(3).alter = lambda steps: replace(
        steps, batches=WrongDecoder(steps.operator, wrong)
    )
    verdicts = []
    states = []

    def watch(state):
        opening = state.opening(wrong)
        if opening is not None and opening.rounds:
            verdicts.append(opening.rounds[0].verdict)
            states.append(opening.held)

    take = ceremony.log.take

    def taken(entry):
        take(entry)
        watch(ceremony.log.state)

    ceremony.log.take = taken
    assert ceremony.run() == undisturbed.digest()
    opening = ceremony.log.state.opening(wrong)
    assert opening.rounds[0].decoder == 3
    assert Verdict.ODD_V in verdicts
    assert not {Verdict.PROVISIONAL, Verdict.COMPLETE} & set(verdicts)
    assert set(states) == {None, 1}
    assert opening.sidelined == {3}


def test_an_odd_v_is_vouched_for_by_nobody():
    ceremony = Ceremony()

    class OddDecoder(Batches):
        def _open(self, key, work):
            points, opening = super()._open(key, work)
            return points, opening.altered(1)

    ceremony.party(1).alter = lambda steps: steps.with_batches(OddDecoder(steps.operator))
    for party in ceremony.parties.values():
        party.start()
    ceremony.keys()
    ceremony.batch(("N", 0))
    first, second = ceremony.log.state.opening(("N", 0)).rounds
    assert first.decoder == 1
    assert first.closed
    assert ceremony.log.state.opening(("N", 0)).haves.keys() == {second.decoded.root}


# -- before the seal ------------------------------------------------------------------------------


def test_nothing_of_the_assembly_is_valid_before_the_seal():
    ceremony = Ceremony()
    early = []

    def post():
        state = ceremony.log.state
        name = BatchName("O", 0)
        context = BatchContext(name).identifier(ceremony.plan.hash)
        ceremony.party(1).log.post(Root(name, context, bytes(32)))
        assert state.context(("O", 0)) is None
        early.append([void.reason for void in state.voids])
        with pytest.raises(WouldWaitError, match="would wait"):
            ceremony.party(2).steps.share(("O", 0))
        for party in ceremony.parties.values():
            assert party.steps.objection(KeySet(bytes(32)))

    ceremony.at["seal"] = post
    ceremony.run()
    assert early == [["the context is not current"]]
    sealed = ceremony.log.state.sealed.position
    for entry in ceremony.log.state.log[:sealed]:
        batch = getattr(entry.entry, "batch", None)
        assert batch is None or batch.stage != "O" or entry.signers == (1,)


def test_the_seal_is_refused_while_a_batch_is_only_provisional():
    ceremony = Ceremony()
    ceremony.at["M-3"] = lambda: ceremony.stop(4)
    for party in ceremony.parties.values():
        party.start()
    ceremony.keys()
    for stage in "NSM":
        ceremony.stage(stage)
    assert ceremony.log.state.status(("M", 3)).state is BatchState.PROVISIONAL
    state = ceremony.log.state
    assert ceremony.state("seal") == "a batch is not complete"
    assert state.sealed is None
    assert ceremony.party(1).steps.objection(Seal(state.size, state.log[-1].prefix_root))


# -- more operators -------------------------------------------------------------------------------


def test_seven_operators_of_which_two_go_away():
    ceremony = Ceremony(7, 2)
    ceremony.at["N-4"] = lambda: ceremony.stop(5)
    ceremony.at["M-1"] = lambda: ceremony.stop(2)
    ceremony.at["seal"] = lambda: ceremony.restart(5)
    digest = ceremony.run()
    assert ceremony.log.state.members.written_off == {2}
    present = (1, 3, 4, 5, 6, 7)
    assert {ceremony.party(i).steps.acceptance.digest() for i in present} == {digest}
    assert same_key(key_of(ceremony, (1, 5, 7)), key_of(ceremony, (3, 4, 6)))


@pytest.mark.long
def test_thirteen_operators_of_which_four_go_away():
    ceremony = Ceremony(13, 4)
    ceremony.at["N-4"] = lambda: ceremony.stop(1, 2, 3, 4)
    ceremony.at["seal"] = lambda: ceremony.restart(3)
    digest = ceremony.run()
    assert ceremony.log.state.members.written_off == {1, 2, 4}
    assert {ceremony.party(i).steps.acceptance.digest() for i in (3, *range(5, 14))} == {digest}
    assert same_key(key_of(ceremony, (3, 5, 6, 7, 8)), key_of(ceremony, (9, 10, 11, 12, 13)))
