"""Operators that lost keys, all of their vault, or never had what they need get it back."""

import hashlib
import json
from dataclasses import replace

import pytest

from activities.rejoin import REJOIN_SEED
from activities.seal import KEY_SHARE, KEY_SHARE_LOST
from mpc_core.protocol.entries import Answer, Close, Contribution, KemKey, Rejoin, Root
from mpc_core.protocol.errors import CeremonyError
from mpc_core.sharing.recovery import Question, children_of, strings_of
from mpc_core.sharing.sealing import KEM_SEED_BYTES, kem_public_key
from tests.support.key_check import key_of, same_key
from tests.support.simulation import Ceremony

LOST = 2
OTHERS = (1, 3, 4)
STAGE_KEYS = tuple(f"stage-keys/{stage}" for stage in "MNOS")


def approve(ceremony, index=LOST, by=OTHERS):
    key = ceremony.party(index).steps.seat.key_digest()
    for other in by:
        ceremony.party(other).approve(index, key)


def lose_vault(ceremony, index=LOST):
    """Lose the vault of an operator and start it as who lost its state; nobody approved yet."""
    party = ceremony.party(index)
    party.stop()
    party.lose_vault()
    party.start()
    party.give_up()


def lose_vault_and_come_back(ceremony, index=LOST):
    lose_vault(ceremony, index)
    approve(ceremony, index, [other for other in ceremony.parties if other != index])
    ceremony.party(index).come_back()


def messages_of(ceremony, index=LOST):
    return [log.entry for log in ceremony.board.entries if log.signers == (index,)]


def until_sealed_setup(**how):
    ceremony = Ceremony(**how)
    for party in ceremony.parties.values():
        party.start()
        party.come_back()
    ceremony.keys()
    return ceremony


@pytest.mark.parametrize("milestone", ["N-0", "N-3", "M-0", "seal"])
def test_who_lost_its_vault_comes_back_and_the_key_set_is_the_same(undisturbed, milestone):
    ceremony = Ceremony()
    ceremony.at[milestone] = lambda: lose_vault_and_come_back(ceremony)
    assert ceremony.run() == undisturbed.digest()
    assert ceremony.log.state.members.rejoins.keys() == {LOST}
    assert not ceremony.log.state.members.written_off
    assert ceremony.party(LOST).vault.kept.keys() == undisturbed.party(LOST).vault.kept.keys()


@pytest.mark.parametrize("milestone", ["contribute", "examine", "acknowledge"])
def test_who_lost_its_vault_in_the_setup_comes_back_with_the_others_keys(undisturbed, milestone):
    ceremony = Ceremony()
    ceremony.at[milestone] = lambda: lose_vault_and_come_back(ceremony)
    digest = ceremony.run()
    same_contributions = milestone != "contribute"
    assert (digest == undisturbed.digest()) == same_contributions
    assert not ceremony.log.state.members.written_off
    assert ceremony.party(LOST).vault.kept.keys() == undisturbed.party(LOST).vault.kept.keys()


def test_who_lost_its_state_signs_nothing_until_n_minus_t_others_let_it_in():
    ceremony = until_sealed_setup()
    ceremony.batch(("N", 0))
    lose_vault(ceremony)
    party, before = ceremony.party(LOST), messages_of(ceremony)
    acts = (
        lambda: party.steps.share(("N", 1)),
        lambda: party.steps.answer(("N", 0), 0),
        lambda: party.steps.step("acknowledge"),
        party.steps.catch_up,
        party.come_back,
    )
    for act in acts:
        with pytest.raises(CeremonyError, match=r"RF-RECOVER-00[45]"):
            act()
    assert "RF-RECOVER-004" in party.steps.objection(Close("contributions/0"))
    approve(ceremony, by=(1, 3))
    with pytest.raises(CeremonyError, match="RF-RECOVER-005") as waiting:
        party.come_back()
    assert "approve" in waiting.value.expected
    assert messages_of(ceremony) == before
    assert not party.vault.names("stage-keys")
    approve(ceremony, by=(4,))
    party.come_back()
    assert party.vault.names("stage-keys") == STAGE_KEYS
    assert party.vault.read(REJOIN_SEED) is None


@pytest.mark.parametrize("milestone", ["O-0", "O-3", "announcement"])
def test_what_was_lost_after_the_seal_is_lost_and_the_others_go_on(undisturbed, milestone):
    ceremony = Ceremony()
    ceremony.at[milestone] = lambda: lose_vault_and_come_back(ceremony)
    assert ceremony.run() == undisturbed.digest()
    party = ceremony.party(LOST)
    assert party.vault.read(KEY_SHARE) is None
    assert len(json.loads(party.vault.read(KEY_SHARE_LOST))["lost"]) == 3
    assert party.steps.destruction.is_concluded()
    assert party.steps.duties() == ()
    refusals = {refusal.code for refusal in ceremony.refusals}
    assert refusals == (set() if milestone == "announcement" else {"RF-RECOVER-012"})
    assert same_key(key_of(ceremony, (1, 4)), key_of(undisturbed, (1, 2)))


def test_who_lost_some_keys_and_shares_at_the_seal_destroys_the_others_and_keeps_what_is_left(
    undisturbed,
):
    ceremony = Ceremony()

    def lose():
        party = ceremony.party(LOST)
        party.stop()
        for name in ("shares-key", "stage-keys/S"):
            party.vault.remove(name)
        party._seed = party._seed.party("another")
        party.start()

    ceremony.at["secure"] = lose
    assert ceremony.run() == undisturbed.digest()
    party, whole = ceremony.party(LOST), undisturbed.party(LOST)
    kept = set(whole.vault.names("shares"))
    lost = {f"shares/{name}" for name in json.loads(party.vault.read(KEY_SHARE_LOST))["lost"]}
    assert lost
    assert all(name.startswith("shares/S-") for name in lost)
    assert set(party.vault.kept) == kept - lost | {KEY_SHARE_LOST}
    assert all(party.vault.read(name) == whole.vault.read(name) for name in kept - lost)


def test_an_approval_holds_for_one_key_of_one_operator():
    ceremony = until_sealed_setup()
    lose_vault(ceremony)
    for other in OTHERS:
        ceremony.party(other).approve(LOST, bytes(32))
        ceremony.party(other).approve(3, ceremony.party(LOST).steps.seat.key_digest())
    with pytest.raises(CeremonyError, match="RF-RECOVER-005"):
        ceremony.party(LOST).come_back()
    assert not ceremony.log.state.members.rejoins


def test_when_more_than_t_lost_everything_the_tool_says_that_it_is_over():
    ceremony = until_sealed_setup()
    lose_vault(ceremony, 2)
    lose_vault(ceremony, 3)
    for index in (2, 3):
        with pytest.raises(CeremonyError, match="RF-RECOVER-006") as over:
            ceremony.party(index).come_back()
        assert "over" in over.value.effect
    assert not ceremony.log.state.members.rejoins


def test_operators_may_lose_their_vaults_one_after_another(undisturbed):
    ceremony = Ceremony()
    ceremony.at["N-1"] = lambda: lose_vault_and_come_back(ceremony, 2)
    ceremony.at["N-3"] = lambda: lose_vault_and_come_back(ceremony, 3)
    ceremony.at["S-0"] = lambda: lose_vault_and_come_back(ceremony, 2)
    assert ceremony.run() == undisturbed.digest()
    assert ceremony.log.state.members.rejoins[2].serial == 1


def test_after_a_rejoin_no_other_vector_is_published_than_the_posted_one():
    ceremony = until_sealed_setup()
    key = ("N", 0)
    for party in ceremony.parties.values():
        party.steps.share(key)
    lose_vault_and_come_back(ceremony)
    party = ceremony.party(LOST)
    party.steps.share(key)
    assert party.log.state.opening(key).roots[LOST] in party.blobs.kept
    ceremony.batch(key)
    entries = messages_of(ceremony)
    assert len([entry for entry in entries if isinstance(entry, Root)]) == 1
    assert len([entry for entry in entries if isinstance(entry, Answer)]) == 1


@pytest.mark.parametrize("stage", "NSMO")
def test_a_lost_or_damaged_file_of_keys_is_made_again_from_other_members(stage):
    ceremony = until_sealed_setup()
    for party in ceremony.parties.values():
        party.steps.share(("N", 0))
    party = ceremony.party(LOST)
    kept = party.vault.read(f"stage-keys/{stage}")
    party.vault.remove(f"stage-keys/{stage}")
    ceremony.stop(4)
    party.come_back()
    assert party.vault.read(f"stage-keys/{stage}") == kept
    assert not ceremony.log.state.members.rejoins


def test_shares_whose_key_was_lost_before_the_seal_are_computed_again(undisturbed):
    ceremony = Ceremony()

    def lose():
        party = ceremony.party(LOST)
        party.stop()
        party.vault.remove("shares-key")
        party._seed = party._seed.party("another")
        party.start()

    ceremony.at["seal"] = lose
    assert ceremony.run() == undisturbed.digest()
    assert ceremony.party(LOST).vault.kept.keys() == undisturbed.party(LOST).vault.kept.keys()
    assert same_key(key_of(ceremony, (1, LOST)), key_of(undisturbed, (1, 2)))


def test_who_lost_all_keys_but_not_its_record_of_signatures_needs_people_too():
    ceremony = until_sealed_setup()
    for party in ceremony.parties.values():
        party.steps.share(("N", 0))
    party = ceremony.party(LOST)
    for name in STAGE_KEYS:
        party.vault.remove(name)
    with pytest.raises(CeremonyError, match="RF-RECOVER-001"):
        party.come_back()
    party.give_up()
    approve(ceremony)
    party.come_back()
    assert party.vault.names("stage-keys") == STAGE_KEYS


def lying(party, alter):
    """Let an operator give something else than it holds."""
    shared = type(party.steps.giving)._held

    def held(self, question):
        return {members: alter(secret) for members, secret in shared(self, question).items()}

    object.__setattr__(
        party.steps,
        "giving",
        type("Lying", (type(party.steps.giving),), {"_held": held})(
            party.steps.giving.operator, party.steps.giving.strings
        ),
    )


@pytest.mark.parametrize("liar", OTHERS)
def test_what_t_liars_give_is_not_taken(liar):
    ceremony = until_sealed_setup()
    before = ceremony.party(LOST).vault.copy()
    lying(ceremony.party(liar), lambda secret: bytes([secret[0] ^ 1]) + secret[1:])
    lose_vault_and_come_back(ceremony)
    for name in STAGE_KEYS:
        assert ceremony.party(LOST).vault.read(name) == before.read(name)


def question(ceremony, purpose, *, asker=LOST, giver=1, seed=bytes(KEM_SEED_BYTES), **fields):
    return Question(asker, giver, purpose, kem_public_key(seed), **fields)


def test_nobody_gives_keys_for_an_identity_key_alone():
    ceremony = until_sealed_setup()
    giver = ceremony.party(1)
    for forged in (
        question(ceremony, children_of("N")),
        question(ceremony, children_of("N"), proved_by="N", proof=bytes(32)),
        question(ceremony, children_of("N"), proved_by="S", proof=bytes(32)),
        question(ceremony, children_of("N"), proved_by="X", proof=bytes(32)),
    ):
        with pytest.raises(CeremonyError, match="RF-RECOVER-002"):
            giver.give(forged)


def test_a_proof_holds_for_one_question():
    ceremony = until_sealed_setup()
    asker, giver = ceremony.party(LOST), ceremony.party(1)
    proven = asker.steps.keys.children.recovery._proven(question(ceremony, children_of("N")))
    assert giver.give(proven)
    others = (
        replace(proven, public_key=kem_public_key(b"\1" * KEM_SEED_BYTES)),
        replace(proven, purpose=children_of("M")),
        replace(proven, asker=3),
        replace(proven, proved_by="M"),
    )
    for other in others:
        with pytest.raises(CeremonyError, match="RF-RECOVER-002"):
            giver.give(other)
    with pytest.raises(CeremonyError, match="RF-RECOVER-002"):
        ceremony.party(3).give(proven)


@pytest.mark.parametrize(
    "asked",
    [
        {"giver": 2},
        {"asker": 1},
        {"asker": 0},
        {"asker": 5},
        {"purpose": ""},
        {"purpose": "children/X"},
        {"purpose": "strings/0/0"},
        {"purpose": "strings/1/00"},
        {"purpose": "strings/1/0/0"},
        {"public_key": b"short"},
    ],
)
def test_what_is_no_question_gets_no_answer(asked):
    ceremony = until_sealed_setup()
    good = question(ceremony, children_of("N"))
    with pytest.raises(CeremonyError, match="RF-RECOVER-002"):
        ceremony.party(1).give(replace(good, **asked))


def test_no_strings_are_given_to_who_can_open_what_it_was_sent():
    ceremony = Ceremony()

    def ask():
        with pytest.raises(CeremonyError, match="RF-RECOVER-002"):
            ceremony.party(1).give(question(ceremony, strings_of(3, 0)))
        ceremony.at["setup-seal"] = lambda: None

    ceremony.at["acknowledge"] = ask
    for party in ceremony.parties.values():
        party.start()
        party.come_back()
    ceremony.keys()
    assert "acknowledge" not in ceremony.at


def test_nobody_gives_keys_of_the_preprocessing_after_the_seal():
    ceremony = Ceremony()
    asked = []

    def ask():
        asker = ceremony.party(LOST)
        for stage in "NSM":
            proven = asker.steps.keys.children.recovery._proven(
                question(ceremony, children_of(stage))
            )
            for giver in OTHERS:
                assert ceremony.party(giver).vault.read(f"stage-keys/{stage}") is not None
                with pytest.raises(CeremonyError, match="RF-RECOVER-003"):
                    ceremony.party(giver).give(replace(proven, giver=giver))
                asked.append(stage)

    real = Ceremony.everyone
    ceremony.everyone = lambda step: (ask() if step == "secure" else None, real(ceremony, step))
    ceremony._let_presence_work = lambda: None
    for party in ceremony.parties.values():
        party.start()
        party.come_back()
    ceremony.keys()
    for stage in "NSM":
        ceremony.stage(stage)
    ceremony.seal()
    ceremony.everyone("secure")
    assert len(asked) == 9


# -- the setup ------------------------------------------------------------------------------------


def test_who_never_announced_a_kem_key_gets_its_strings_from_others(undisturbed):
    ceremony = Ceremony()
    ceremony.at["announce_kem_key"] = lambda: ceremony.stop(LOST)
    ceremony.at["contribute"] = lambda: (ceremony._queued[LOST].clear(), ceremony.restart(LOST))
    ceremony.run()
    assert not any(isinstance(entry, KemKey) for entry in messages_of(ceremony))
    assert any(isinstance(entry, Contribution) for entry in messages_of(ceremony))
    assert not ceremony.log.state.members.written_off
    assert ceremony.party(LOST).vault.kept.keys() == undisturbed.party(LOST).vault.kept.keys()


def test_an_operator_that_never_comes_does_not_hold_up_the_setup():
    ceremony = Ceremony()
    for index in OTHERS:
        ceremony.party(index).start()
        ceremony.party(index).come_back()
    ceremony.keys()
    assert ceremony.log.state.setup.sealed_at is not None
    assert ceremony.log.state.members.written_off == {LOST}


@pytest.mark.parametrize("lost", ["setup/kem-seed", "setup/strings-0"])
@pytest.mark.parametrize("milestone", ["examine", "acknowledge"])
def test_what_was_lost_in_the_setup_comes_from_others(undisturbed, lost, milestone):
    ceremony = Ceremony()

    def lose():
        party = ceremony.party(LOST)
        party.stop()
        party.vault.remove(lost)
        party._seed = party._seed.party("another")
        party.start()
        if milestone == "acknowledge" and lost == "setup/kem-seed":
            party.give_up()
            approve(ceremony)
            party.come_back()

    ceremony.at[milestone] = lose
    digest = ceremony.run()
    assert not ceremony.log.state.members.written_off
    assert digest == undisturbed.digest()
    assert ceremony.party(LOST).vault.kept.keys() == undisturbed.party(LOST).vault.kept.keys()


def test_a_rejoin_is_signed_for_the_key_that_its_owner_still_has():
    ceremony = until_sealed_setup()
    lose_vault_and_come_back(ceremony)
    rejoin = ceremony.log.state.members.rejoins[LOST]
    seed = ceremony.party(LOST)._seed.derive("rejoin", KEM_SEED_BYTES)
    digest = hashlib.sha256(kem_public_key(seed)).digest()
    assert rejoin == Rejoin(LOST, 0, digest)
