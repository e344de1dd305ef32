"""An operator whose machine computes something else than before contradicts itself nowhere."""

import pytest

from mpc_core.protocol.entries import Root
from mpc_core.protocol.errors import CeremonyError
from tests.support.simulation import with_keys

KEY = ("N", 0)
FAULTY = 2


@pytest.fixture
def ceremony():
    return with_keys()


def flip_a_stage_key(party, stage="N"):
    name = f"stage-keys/{stage}"
    kept = party.vault.read(name)
    party.vault.write(name, bytes([kept[0] ^ 1]) + kept[1:])


@pytest.mark.parametrize("step", ["share", "answer"])
def test_a_vector_that_differs_from_the_posted_root_is_never_served(ceremony, step):
    party = ceremony.party(FAULTY)
    for other in ceremony.parties.values():
        other.steps.share(KEY)
    ceremony.party(1).steps.decode(KEY, 0)
    opened = ceremony.log.state.opening(KEY).rounds[0].decoded.root
    party.blobs.kept.clear()
    flip_a_stage_key(party)
    with pytest.raises(CeremonyError, match="RF-BATCH-011"):
        party.steps.share(KEY) if step == "share" else party.steps.answer(KEY, 0)
    assert party.blobs.kept.keys() <= {opened}
    assert ceremony.log.state.justice.corrections == {FAULTY: 1}
    assert ceremony.log.state.status(KEY).name.attempt == 1


def posts_that_get_lost(party):
    posted = []
    party.log.post = posted.append
    return posted


def test_a_root_that_the_log_does_not_cover_yet_is_the_only_one_that_is_signed(ceremony):
    party = ceremony.party(FAULTY)
    posted = posts_that_get_lost(party)
    party.steps.share(KEY)
    party.stop()
    party.blobs.kept.clear()
    flip_a_stage_key(party)
    party.start()
    posted += posts_that_get_lost(party)
    with pytest.raises(CeremonyError, match="RF-BATCH-011"):
        party.steps.share(KEY)
    assert len(posted) == 1
    assert not party.blobs.kept
    flip_a_stage_key(party)
    again = posts_that_get_lost(party)
    party.steps.share(KEY)
    assert again == posted
    assert isinstance(again[0], Root)


def test_a_root_is_noted_before_it_is_served_or_posted(ceremony):
    party = ceremony.party(FAULTY)
    before = []
    stage = party.blobs.stage

    def staged(pieces):
        blob = stage(pieces)
        keep = blob.keep
        blob.keep = lambda label: before.append(party.work.names("roots")) or keep(label)
        return blob

    party.blobs.stage = staged
    party.steps.share(KEY)
    assert len(before[0]) == 1


@pytest.mark.parametrize("left", ["setup", "nothing"])
@pytest.mark.parametrize("stage", "NSMO")
def test_a_key_that_is_not_the_one_on_the_log_is_made_right_before_a_root_is_posted(
    ceremony, stage, left
):
    party = ceremony.party(FAULTY)
    kept = party.vault.read(f"stage-keys/{stage}")
    flip_a_stage_key(party, stage)
    if left == "nothing":
        party.vault.remove("setup/kem-seed")
        party.vault.remove("setup/strings-0")
        party.vault.write("setup/something", b"of the setup")
    party.steps.share(KEY)
    assert party.vault.read(f"stage-keys/{stage}") == kept
    assert FAULTY in ceremony.log.state.opening(KEY).roots
    assert not party.vault.names("setup")


def test_a_key_that_cannot_be_made_right_is_not_used(ceremony):
    party = ceremony.party(FAULTY)
    flip_a_stage_key(party)
    party.vault.remove("setup/kem-seed")
    ceremony.stop(1, 3, 4)
    with pytest.raises(CeremonyError, match="RF-RECOVER-001"):
        party.steps.share(KEY)
    assert FAULTY not in party.log.state.opening(KEY).roots
    assert party.vault.names("setup")


def test_keys_of_which_some_were_not_written_are_derived_again(ceremony):
    party = ceremony.party(FAULTY)
    kept = party.vault.read("stage-keys/O")
    party.vault.remove("stage-keys/O")
    party.steps.share(KEY)
    assert party.vault.read("stage-keys/O") == kept
    assert not party.vault.names("setup")
