"""An enclave with an empty bucket comes to an identity, a signed plan and a vault of its own."""

import base64
import tomllib

import pytest

from infra.board.notes import Head, sign_head
from infra.board.vault import Heard, WitnessState
from infra.enclave.kms.vault import WRAPPED_KEY
from infra.governance.answers import Card
from infra.image.launch import Enrolment, read_launch
from infra.image.start import relays_of
from infra.objects.s3 import S3Objects
from infra.party.freshness import Record, Remembered, newer_than
from infra.party.vault import open_vault
from infra.plan.document import parse_plan
from infra.plan.signing import read_signatures
from mpc_core.protocol.errors import CeremonyError
from tests.image.enclosed import NAME, PARTICULARS, STORAGE
from tests.image.test_start import enrolment_document


def refused(act, *arguments):
    with pytest.raises(CeremonyError) as refusal:
        act(*arguments)
    return refusal.value.code


def test_an_empty_bucket_becomes_a_sealed_vault_that_later_starts_open(
    operator,
):
    draft, signatures, home = operator.begun()
    plan = draft.to_plan()
    vault = open_vault(home, plan)
    assert vault.identity.public.ed25519.hex() == draft.operators[1].identity_key
    vault.store.write("stage-keys/N", b"drawn in the enclave")
    again = operator.start(draft, signatures)
    later = open_vault(again, plan)
    assert later.store.read("stage-keys/N") == b"drawn in the enclave"
    assert later.witness.load() == WitnessState()
    assert not [key for key in operator.bucket.keys() if key.startswith("enrolment/")]  # noqa: SIM118
    assert [path for path in (again.vault, home.vault) if any(path.iterdir())] == []
    secret = vault.identity.ed25519.private_bytes_raw()
    data = b"".join(operator.bucket.get(key).data for key in operator.bucket.keys())  # noqa: SIM118
    assert secret not in data
    assert b"PRIVATE KEY" not in data


def test_an_enrolment_that_is_repeated_hands_out_the_same_card(operator):
    card = operator.enrolled()
    assert operator.enrolled() == card
    assert tomllib.loads(operator.bucket.get("enrolment/card.toml").data.decode()) == {
        **card.model_dump(exclude_none=True)
    }


def test_a_crash_while_the_vault_begins_or_the_enrolment_ends_is_repeated(operator, monkeypatch):
    draft = operator.plan_with(operator.enrolled())
    others = operator.signed_by_others(draft)
    assert operator.start(draft, others) is None
    line = operator.bucket.get("enrolment/plan.sig").data
    signatures = {**others, **read_signatures(draft.to_plan(), line)}
    for fatal in (f"{NAME}/{WRAPPED_KEY}", f"{NAME}/enrolment/{WRAPPED_KEY}"):
        with monkeypatch.context() as patched:
            patched.setattr(S3Objects, "put", _dying(S3Objects.put, fatal))
            patched.setattr(S3Objects, "delete", _dying(S3Objects.delete, fatal))
            with pytest.raises(PowerLossError):
                operator.start(draft, signatures)
    home = operator.start(draft, signatures)
    assert open_vault(home, draft.to_plan()).witness.load() == WitnessState()


class PowerLossError(Exception):
    """The enclave is gone."""


def _dying(act, fatal):
    def die_at(store, key, *more):
        if store._named(key)["Key"] == fatal:
            raise PowerLossError
        return act(store, key, *more)

    return die_at


def test_a_store_that_hides_the_vault_and_shows_the_enrolment_again_is_noticed(operator):
    draft = operator.plan_with(operator.enrolled())
    kept = {key: operator.bucket.get(key).data for key in operator.bucket.keys()}  # noqa: SIM118
    signatures = operator.signed_by_others(draft)
    operator.start(draft, signatures)
    line = operator.bucket.get("enrolment/plan.sig").data
    signatures |= read_signatures(draft.to_plan(), line)
    plan = draft.to_plan()
    key = open_vault(operator.start(draft, signatures), plan).identity.ed25519
    head = Head(0, 7, bytes(32))
    for name in operator.bucket.keys():  # noqa: SIM118 - no mapping
        operator.bucket.delete(name)
    for name, data in kept.items():
        operator.bucket.put(name, data, None)
    taken_back = open_vault(operator.start(draft, signatures), plan)
    told = Remembered(Heard(head, sign_head(plan, head, 2, key)))
    newer = newer_than(plan, 2, Record.of(taken_back.witness.load()), told)
    assert newer == "its head over 7 entries in epoch 0"


def test_a_plan_of_other_software_is_not_signed(operator):
    draft = operator.plan_with(operator.enrolled())
    measured = draft.measurement.model_copy(update={"pcr0": "ab" * 48})
    other = draft.model_copy(update={"measurement": measured})
    assert refused(operator.start, other, {}) == "RF-ATTEST-005"
    assert operator.bucket.get("enrolment/plan.sig") is None


def test_a_plan_that_names_another_identity_is_not_signed(operator):
    operator.enrolled()
    mine = parse_plan(operator.parties.signed.toml)
    strangers = Card.of(
        NAME, bytes.fromhex(mine.operators[1].identity_key), _second(mine), PARTICULARS
    )
    assert refused(operator.start, operator.plan_with(strangers), {}) == "RF-PLAN-010"


def _second(document):
    return base64.b64decode(document.ml_dsa_keys[NAME])


def test_a_key_that_the_parent_chose_for_the_enrolment_is_noticed(operator):
    """Its policy may give data keys to anybody: the plan names the one that people looked at."""
    card = operator.enrolled(operator.site.create_key())
    assert refused(operator.start, operator.plan_with(card), {}) == "RF-SEAL-002"


@pytest.mark.parametrize("missing", ["kms_key", "storage"])
def test_a_plan_that_names_no_bucket_or_key_begins_nothing(operator, missing):
    draft = operator.plan_with(operator.enrolled(), **{missing: None})
    assert refused(operator.start, draft, {}) == "RF-SEAL-003"


def test_a_plan_without_an_identity_made_here_begins_nothing(operator):
    draft = operator.plan_with(operator.enrolled())
    for key in operator.bucket.keys():  # noqa: SIM118 - no mapping
        operator.bucket.delete(key)
    assert refused(operator.start, draft, {}) == "RF-SEAL-002"


def test_the_parent_is_told_nothing_but_ways_out_before_there_is_a_plan():
    told = read_launch(enrolment_document())
    assert isinstance(told, Enrolment)
    assert told.particulars == {
        "site": "Paris",
        "storage": STORAGE,
        "kms_key": "arn:aws:kms:eu-west-3:1:key/1",
    }
    assert len(list(relays_of(told))) == len(told.ways)


@pytest.mark.parametrize("missing", [b"kms_key", b"storage"])
def test_an_enrolment_without_key_or_bucket_is_no_launch_document(missing):
    with pytest.raises(CeremonyError, match="RF-IMAGE-008"):
        read_launch(enrolment_document().replace(missing, b"contact"))
