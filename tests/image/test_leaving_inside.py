"""An operator leaves in its enclave, as its people said, and then its files open nowhere."""

import base64
import dataclasses
import json
from contextlib import contextmanager

import boto3
import pytest
from moto.kms.models import KmsBackend
from typer.testing import CliRunner

from infra.board import wire
from infra.board.log import BoardLog
from infra.board.service import Board, routes
from infra.cli.main import app
from infra.enclave.kms.data_keys import WrappedKey
from infra.enclave.kms.leaving import check_destruction, signed_record
from infra.enclave.kms.vault import WRAPPED_KEY
from infra.homes import Home
from infra.party.attesting import host_attestation
from infra.party.instructions import Leave, TemporalLine, read_instruction, sign_instruction
from infra.party.vault import open_vault
from infra.plan.signing import write_signed_plan
from infra.transport.outbox import make_app
from infra.transport.tls import COORDINATOR, Identity, Members
from mpc_core.protocol.errors import CeremonyError
from tests.enclave.chains import NOW
from tests.image.enclosed import NAME
from tests.support.plans import complete_parties, represented_parties, speakers
from tests.support.transport import serving

INDEX = 2
RECORD = "people/destruction"


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(act, *arguments):
    with pytest.raises(CeremonyError) as refusal:
        act(*arguments)
    return refusal.value


class Leaving:
    """An operator whose vault has begun, and its people's folder."""

    def __init__(self, operator):
        self.operator, self.bucket = operator, operator.bucket
        self.draft, self.signatures, self.home = operator.begun()
        self.plan = self.draft.to_plan()
        vault = open_vault(self.home, self.plan)
        vault.store.write("share-key", b"secret")
        self.identity = vault.identity.ed25519
        self.people = operator.people(self.draft, self.signatures)
        self.ben = self.people.parent / "ben"

    def command(self, *more):
        return run("operator", "leave", "--home", self.people, "--operator", NAME, *more)

    def said(self, *place):
        result = self.command("--representative", self.ben, *(place or ("--not-posted",)), "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)["leave"]

    def start(self, leave):
        return self.operator.leave(self.draft, self.signatures, leave)

    def objects(self):
        return {key: self.bucket.get(key).data for key in self.bucket.keys()}  # noqa: SIM118

    def restore(self, kept):
        """Show the enclave a copy of its bucket, as whoever keeps it can."""
        for key in self.bucket.keys():  # noqa: SIM118 - no mapping
            self.bucket.delete(key)
        for key, data in kept.items():
            self.bucket.put(key, data, None)


@pytest.fixture
def leaving(operator):
    operator.speakers = speakers()
    return Leaving(operator)


def test_files_of_an_operator_that_left_in_its_enclave_open_nowhere(leaving, tmp_path):
    kept = leaving.objects()
    leaving.start(leaving.said())
    assert refused(open_vault, leaving.home, leaving.plan).code == "RF-SEAL-002"
    file = tmp_path / "record"
    file.write_bytes(leaving.bucket.get(RECORD).data)
    url = leaving.operator.site.url
    result = leaving.command("--record", file, "--insecure-local-kms", url, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["kms_key"] == leaving.operator.kms_key
    assert check_destruction((leaving.people / "destruction").read_bytes(), leaving.plan)
    leaving.restore(kept)
    error = refused(open_vault, leaving.home, leaving.plan)
    assert (error.code, error.found.partition(":")[0]) == ("RF-KMS-003", "KMSInvalidStateException")


def test_the_record_is_what_the_enclave_signed_and_a_second_start_changes_nothing(leaving):
    record = leaving.start(leaving.said())
    assert (record.operator, record.entry.kms_key) == (NAME, leaving.operator.kms_key)
    assert leaving.bucket.get(RECORD).data == record.envelope
    assert leaving.start(leaving.said()) == record


@contextmanager
def hosted(leaving, folder):
    """The log of the plan's coordinator, which lets in who proves the plan's software."""
    plan = leaving.plan
    log = BoardLog.open(f"sqlite:///{folder / 'board.sqlite'}", plan)
    key = leaving.operator.parties.identities[COORDINATOR]
    host = Identity(COORDINATOR, key, Members.of_plan(plan), attestation=host_attestation(plan))
    application = make_app(host)
    application.add_routes(routes(Board(log, plan)))
    with serving(application, host) as port:
        yield log, f"127.0.0.1:{port}"


def test_the_enclave_posts_the_record_before_it_gives_up_anything(leaving, tmp_path):
    assert refused(leaving.start, leaving.said("--board", "127.0.0.1:1")).code.startswith("RF-PEER")
    assert leaving.bucket.get(RECORD) is None
    assert open_vault(leaving.home, leaving.plan).store.read("share-key") == b"secret"
    with hosted(leaving, tmp_path) as (log, place):
        record = leaving.start(leaving.said("--board", place))
        assert log.entries(0, 2) == [record.envelope]


def test_a_crash_behind_the_post_signs_no_second_record(leaving, monkeypatch):
    def die(*_):
        raise PowerLossError

    with monkeypatch.context() as patched:
        patched.setattr("infra.party.leaving.post_once", die)
        with pytest.raises(PowerLossError):
            leaving.start(leaving.said("--board", "127.0.0.1:1"))
    pending = leaving.bucket.get("people/destruction.pending").data
    assert leaving.start(leaving.said()).envelope == pending
    assert leaving.bucket.get("people/destruction.pending") is None


class PowerLossError(Exception):
    """The enclave is gone."""


def test_a_parent_alone_makes_nobody_leave(leaving):
    plan, known = leaving.plan, speakers()
    other = dataclasses.replace(plan, hash=bytes(32))
    for false in (
        b"",
        b"yes",
        sign_instruction(Leave(""), plan, INDEX, known["anna"]),
        sign_instruction(Leave(""), plan, 3, known["ben"]),
        sign_instruction(Leave(""), other, INDEX, known["ben"]),
        sign_instruction(TemporalLine("", "", "", b"", b""), plan, INDEX, known["ben"]),
    ):
        assert refused(leaving.start, base64.b64encode(false).decode()).code == "RF-GOVERN-011"
    assert leaving.bucket.get(WRAPPED_KEY)
    assert leaving.bucket.get(RECORD) is None


def test_nobody_speaks_for_an_enclave_for_which_the_plan_names_nobody():
    plan, known = represented_parties()[0].plan, speakers()
    said = sign_instruction(Leave("place"), plan, INDEX, known["ben"])
    assert read_instruction(Leave, said, plan, INDEX) == Leave("place")
    silent = dataclasses.replace(plan, representatives=())
    assert refused(read_instruction, Leave, said, silent, INDEX).code == "RF-GOVERN-011"


def _spoilt(leaving, record):
    return record.envelope[:-1]


def _of_another_key(leaving, record):
    other = dataclasses.replace(record.entry, kms_key=leaving.operator.site.create_key())
    return wire.sign_entry(other, leaving.plan, INDEX, leaving.identity)


def _of_another_operator(leaving, record):
    key = leaving.operator.parties.identities["op-03"]
    return wire.sign_entry(record.entry, leaving.plan, 3, key)


@pytest.mark.parametrize("false", [_spoilt, _of_another_key, _of_another_operator])
def test_no_key_is_deleted_by_another_record(leaving, tmp_path, false):
    file = tmp_path / "record"
    file.write_bytes(false(leaving, leaving.start(leaving.said())))
    result = leaving.command("--record", file, "--insecure-local-kms", leaving.operator.site.url)
    assert (result.exit_code, "RF-KMS-008" in result.stderr) == (1, True), result.output
    state = leaving.operator.site.client("ADMIN").describe_key(KeyId=leaving.operator.kms_key)
    assert state["KeyMetadata"]["KeyState"] == "Enabled"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--representative", "anna"),
        ("--board", "127.0.0.1:1", "--not-posted"),
        ("--board", ""),
        ("--record", "file", "--not-posted"),
        ("--record", "file", "--board", "127.0.0.1:1"),
        ("--record", "file", "--representative", "anna"),
    ],
)
def test_who_does_not_say_where_the_record_goes_is_asked(tmp_path, words):
    result = run("operator", "leave", "--home", tmp_path, "--operator", NAME, *words)
    assert result.exit_code == 2
    assert "Error" in result.stderr


def test_nobody_else_signs_that_it_is_to_leave(leaving):
    anna = leaving.people.parent / "anna"
    result = leaving.command("--representative", anna, "--not-posted")
    assert (result.exit_code, "RF-PLAN-010" in result.stderr) == (1, True)


def test_outside_of_an_enclave_the_command_says_how_to_leave(tmp_path):
    home = Home(tmp_path / NAME)
    home.make()
    write_signed_plan(home.path, complete_parties()[0])
    result = run("operator", "leave", "--home", home.path, "--operator", NAME, "--not-posted")
    assert (result.exit_code, "RF-KMS-010" in result.stderr) == (1, True)
    assert "enclave-on-aws" in result.stderr


def test_an_administrator_deletes_the_key_of_a_real_enclave_by_its_record(
    server, tmp_path, monkeypatch
):
    """The service is moto's here; that the profile is asked is seen by its credentials alone."""
    credentials = tmp_path / "credentials"
    credentials.write_text("[destroyer]\naws_access_key_id = a\naws_secret_access_key = b\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", server)
    deletes = KmsBackend.schedule_key_deletion
    # AWS takes an ARN here as well; this server, in the same process, knows keys by their ids.
    monkeypatch.setattr(
        KmsBackend,
        "schedule_key_deletion",
        lambda self, key, *days: deletes(self, key.rpartition("/")[2], *days),
    )
    service = boto3.Session(profile_name="destroyer").client("kms", region_name="eu-central-2")
    kms_key = service.create_key()["KeyMetadata"]["Arn"]
    signed, known = complete_parties(kms_key)
    home = Home(tmp_path / NAME)
    home.make()
    write_signed_plan(home.path, signed)
    wrapped = WrappedKey(kms_key, b"wrapped")
    record = signed_record(wrapped, signed.plan, NAME, known[NAME].ed25519, NOW)
    (tmp_path / "record").write_bytes(record)
    words = ("--home", home.path, "--operator", NAME, "--record", tmp_path / "record")
    assert "RF-KMS-004" in run("operator", "leave", *words).stderr
    result = run("operator", "leave", *words, "--administrator", "destroyer")
    assert result.exit_code == 0, result.stderr
    state = service.describe_key(KeyId=kms_key)["KeyMetadata"]["KeyState"]
    assert state == "PendingDeletion"
