"""An enclave with an empty bucket comes to an identity, a signed plan and a vault of its own."""

import base64
import datetime as dt
import tomllib
from dataclasses import dataclass
from typing import Any

import pytest

from activities.rejoin import approval_name, plea_name
from infra.board.notes import Head, sign_head
from infra.board.vault import Heard, WitnessState
from infra.enclave.insecure_software import Authority
from infra.enclave.kms.vault import WRAPPED_KEY
from infra.files import write_atomic
from infra.governance.answers import Card
from infra.homes import Home
from infra.image.launch import Enrolment, read_launch
from infra.image.start import prepared, relays_of
from infra.objects.s3 import S3Objects, s3_client
from infra.party.admit import admit
from infra.party.enrolment import enrol
from infra.party.freshness import Remembered, newer_than
from infra.party.vault import open_vault
from infra.plan.document import parse_plan, render_plan
from infra.plan.hybrid import HybridIdentity
from infra.plan.sandbox import SandboxParties, sandbox_plan
from infra.plan.signing import read_signatures, signature_of, write_signatures
from mpc_core.protocol.errors import CeremonyError
from tests.enclave.chains import APPROVED
from tests.enclave.site import Site
from tests.image.test_start import document, enrolment_document
from tests.support.s3 import s3_server, use_s3

NAME, BUCKET = "op-02", "operator-vault"
STORAGE = f"s3://{BUCKET}/{NAME}"
KEY = bytes(range(32))
PARTICULARS = {"organisation": "Example", "storage": STORAGE}


@dataclass
class Operator:
    """An operator on AWS: its bucket, its key, and how often its enclave was started."""

    parties: SandboxParties
    site: Site
    root: Authority
    kms_key: str
    folder: Any
    bucket: S3Objects
    starts: int = 0

    def enrolled(self, kms_key=None):
        keys = self.site.keys()
        card = enrol(STORAGE, keys, kms_key or self.kms_key, NAME, PARTICULARS)
        return Card.model_validate(tomllib.loads(card))

    def plan_with(self, card, **changes):
        """The plan that names this card, unsigned."""
        parsed = parse_plan(self.parties.signed.toml)
        said = {"kms_key": self.kms_key, "storage": STORAGE, **changes}
        said["identity_key"] = card.identity_key
        operators = tuple(
            each.model_copy(update=said) if each.name == NAME else each for each in parsed.operators
        )
        keys = {**parsed.ml_dsa_keys, NAME: card.ml_dsa_key}
        return parsed.model_copy(update={"operators": operators, "ml_dsa_keys": keys})

    def signed_by_others(self, draft):
        plan, parties = draft.to_plan(), self.parties
        return {
            name: signature_of(plan, HybridIdentity(key, parties.ml_dsa_keys[name]))
            for name, key in parties.identities.items()
            if name != NAME
        }

    def start(self, draft, signatures):
        """Start an enclave, which has nothing but what the parent hands it."""
        self.starts += 1
        home = Home(self.folder / str(self.starts) / NAME, insecure_local_kms=self.site.url)
        self.root.save(home.insecure_enclave)
        lines = write_signatures(draft.to_plan(), signatures)
        encoded = {"plan": base64.b64encode(render_plan(draft)).decode()}
        encoded["signatures"] = base64.b64encode(lines).decode()
        return prepared(read_launch(document(**encoded)), home)

    def begun(self):
        """Go through all three starts; return the plan, its signatures and the home."""
        draft = self.plan_with(self.enrolled())
        others = self.signed_by_others(draft)
        assert self.start(draft, others) is None
        line = self.bucket.get("enrolment/plan.sig").data
        signatures = {**others, **read_signatures(draft.to_plan(), line)}
        return draft, signatures, self.start(draft, signatures)


@pytest.fixture(scope="module")
def server():
    with s3_server() as url:
        yield url


@pytest.fixture
def operator(tmp_path, server, monkeypatch):
    use_s3(monkeypatch, server)
    client = s3_client()
    # The same client each time: what it takes boto3 to make one is most of the time here.
    monkeypatch.setattr("infra.party.sealed.s3_client", lambda: client)
    client.create_bucket(Bucket=BUCKET)
    for module in ("infra.party.enclave", "infra.plan.sandbox"):
        monkeypatch.setattr(f"{module}.measure_installed", lambda: APPROVED)
    root = Authority.create(_now())
    shape = {"operators": 4, "threshold": 1, "parameters": "test", "waiting_seconds": 60}
    parties = sandbox_plan(**shape, enclave=root, hybrid=True)
    with Site.started(tmp_path, parties.signed.plan, root=root, clock=_now) as site:
        bucket = S3Objects(client, BUCKET, NAME)
        kms_key = site.create_key()
        yield Operator(parties, site, root, kms_key, tmp_path, bucket)
    for key in bucket.keys():  # noqa: SIM118 - no mapping
        bucket.delete(key)
    client.delete_bucket(Bucket=BUCKET)


def _now():
    return dt.datetime.now(dt.UTC)


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


def test_people_outside_of_an_enclave_see_pleas_and_leave_approvals(operator):
    draft, signatures, home = operator.begun()
    vault = open_vault(home, draft.to_plan())
    vault.work.write(plea_name(3), KEY)
    vault.work.write("roots/1", b"a promised root")
    desk = Home(operator.folder / "people" / NAME)
    desk.make()
    write_atomic(desk.path / "plan.toml", render_plan(draft))
    write_atomic(desk.path / "plan.sig", write_signatures(draft.to_plan(), signatures))
    assert admit(desk.path, "op-03", "").shown == KEY.hex()
    assert vault.store.read(approval_name(3)) is None
    assert admit(desk.path, "op-03", KEY.hex()).given
    assert vault.store.read(approval_name(3)) == KEY
    assert not any(path.is_file() for path in desk.vault.rglob("*"))
    lying = {key for key in operator.bucket.keys() if key.startswith("people/")}  # noqa: SIM118
    assert lying == {"people/pleas/3", "people/admitted/3"}


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
    newer = newer_than(plan, 2, taken_back.witness.load(), told)
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
