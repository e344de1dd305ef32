"""An operator that left: its files open nowhere, and a signed record says so."""

import dataclasses
import json
import shutil

import pytest
from typer.testing import CliRunner

from infra.board import wire
from infra.cli.main import app
from infra.enclave.kms.leaving import Leaver, check_destruction, leave
from infra.enclave.kms.vault import SealedVault
from infra.homes import Home
from infra.objects.folder import FolderObjects
from infra.plan.keys import write_identity
from infra.plan.signing import write_signed_plan
from infra.stores import FileStore
from mpc_core.protocol.entries import Address
from mpc_core.protocol.errors import CeremonyError
from tests.enclave.chains import APPROVED, NOW
from tests.enclave.site import ADMINISTRATOR, ROLE

NAME = "op-02"


@pytest.fixture
def home(site, signed_plan):
    """The home of an operator with a sealed vault, one plain file in it, and a backup of it."""
    signed, identities = signed_plan
    home = Home(site.folder / NAME)
    home.make()
    write_signed_plan(home.path, signed)
    write_identity(home.vault, identities[NAME])
    objects = FolderObjects(home.vault)
    contents = {"identity": b"identity"}
    vault = SealedVault.begin(objects, site.keys(), site.create_key(), site.context(), contents)
    vault.write("shares/O-000", b"share")
    FileStore(home.vault).write("share-key", b"plain secret")
    (home.vault / "setup-seed").write_bytes(b"another plain secret")
    shutil.copytree(home.path, site.folder / "backup" / NAME)
    return home


def _leaver(site, signed_plan, client=None, vault=None):
    signed, identities = signed_plan
    objects = FolderObjects(vault or site.folder / NAME / "vault")
    service = client or site.client("ADMIN")
    return Leaver(signed.plan, NAME, objects, lambda: identities[NAME], lambda _: service)


def _opened(site, home):
    vault = SealedVault.open(FolderObjects(home), lambda _: site.keys(), site.context())
    vault.load()
    return vault


def _refused(act, *arguments):
    with pytest.raises(CeremonyError) as refusal:
        act(*arguments)
    return refusal.value


def test_the_files_of_an_operator_that_left_open_nowhere(site, signed_plan, home):
    leave(home, _leaver(site, signed_plan), NOW)
    assert _refused(_opened, site, home.vault).code == "RF-SEAL-002"
    backup = site.folder / "backup" / NAME / "vault"
    error = _refused(_opened, site, backup)
    assert (error.code, error.found.partition(":")[0]) == ("RF-KMS-003", "KMSInvalidStateException")
    site.clock.pass_by(days=8)
    error = _refused(_opened, site, backup)
    assert error.found.startswith("NotFoundException")


def test_nothing_stays_in_the_vault_that_is_not_sealed(site, signed_plan, home):
    leave(home, _leaver(site, signed_plan), NOW)
    names = {path.name for path in home.vault.rglob("*") if path.is_file()}
    sealed = next(name for name in names if name.startswith("O-000@"))
    assert names == {"identity.key", "identity", "index", sealed}


def test_the_record_is_signed_and_names_what_was_destroyed(site, signed_plan, home):
    record = leave(home, _leaver(site, signed_plan), NOW)
    plan = signed_plan[0].plan
    assert check_destruction((home.path / "destruction").read_bytes(), plan) == record
    assert (record.operator, record.entry.waiting_days) == (NAME, 7)
    assert len(record.entry.wrapped_keys) == 1
    assert record.entry.kms_key.startswith("arn:aws:kms:local:")


def test_the_record_is_posted_before_anything_is_destroyed(site, signed_plan, home):
    posted = []

    def post(envelope):
        assert _opened(site, home.vault)
        posted.append(envelope)

    leaver = dataclasses.replace(_leaver(site, signed_plan), post=post)
    record = leave(home, leaver, NOW)
    assert leave(home, leaver, NOW) == record
    assert posted == [record.envelope]


def test_what_nobody_takes_destroys_nothing(site, signed_plan, home):
    def post(_):
        raise DiedError

    with pytest.raises(DiedError):
        leave(home, dataclasses.replace(_leaver(site, signed_plan), post=post), NOW)
    assert _opened(site, home.vault)
    assert not (home.path / "destruction").exists()


def test_a_changed_record_is_refused(site, signed_plan, home):
    record = leave(home, _leaver(site, signed_plan), NOW)
    signed, identities = signed_plan
    plan, key = signed.plan, identities[NAME]
    more = dataclasses.replace(record.entry, waiting_days=30)
    other_plan = dataclasses.replace(plan, hash=bytes(32))
    for envelope in (
        b"record",
        record.envelope.replace(wire.body_of(record.entry), wire.body_of(more)),
        wire.sign_entry(record.entry, plan, 3, key),
        wire.sign_entry(record.entry, other_plan, 2, key),
        wire.sign_entry(Address(0, "127.0.0.1", 4000), plan, 2, key),
    ):
        assert _refused(check_destruction, envelope, plan).code == "RF-KMS-008"


class DiedError(Exception):
    pass


class DyingClient:
    """The service's client in a process that dies at a call, before or after it counts."""

    def __init__(self, client, at, *, after):
        self.client, self.at, self.after = client, at, after

    def __getattr__(self, name):
        def call(**request):
            if name == self.at and not self.after:
                raise DiedError
            reply = getattr(self.client, name)(**request)
            if name == self.at:
                raise DiedError
            return reply

        return call


@pytest.mark.parametrize("at", ["describe_key", "schedule_key_deletion"])
@pytest.mark.parametrize("after", [False, True])
def test_leaving_goes_on_after_a_crash(site, signed_plan, home, at, after):
    dying = DyingClient(site.client("ADMIN"), at, after=after)
    with pytest.raises(DiedError):
        leave(home, _leaver(site, signed_plan, dying), NOW)
    assert not (home.path / "destruction").exists()
    signed = leave(home, _leaver(site, signed_plan), NOW)
    assert (home.path / "destruction").exists()
    assert leave(home, _leaver(site, signed_plan), NOW) == signed


def test_leaving_goes_on_after_the_service_deleted_the_key(site, signed_plan, home):
    dying = DyingClient(site.client("ADMIN"), "schedule_key_deletion", after=True)
    with pytest.raises(DiedError):
        leave(home, _leaver(site, signed_plan, dying), NOW)
    site.clock.pass_by(days=8)
    assert leave(home, _leaver(site, signed_plan), NOW)


def test_leaving_goes_on_after_a_crash_behind_the_wrapped_key(site, signed_plan, home, monkeypatch):
    def die(*_):
        raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr("infra.enclave.kms.leaving.replace_durably", die)
        with pytest.raises(DiedError):
            leave(home, _leaver(site, signed_plan), NOW)
    assert leave(home, _leaver(site, signed_plan), NOW)
    assert (home.path / "destruction").exists()


def test_a_service_that_refuses_leaves_everything_as_it_was(site, signed_plan, home):
    stranger = site.client("STRANGER")
    error = _refused(leave, home, _leaver(site, signed_plan, stranger), NOW)
    assert error.code == "RF-KMS-003"
    assert _opened(site, home.vault).read("shares/O-000") == b"share"
    assert FileStore(home.vault).read("share-key") == b"plain secret"


def test_an_unsealed_vault_is_not_called_destroyed(site, signed_plan, tmp_path):
    home = Home(tmp_path / "unsealed")
    home.make()
    FileStore(home.vault).write("share-key", b"plain secret")
    leaver = _leaver(site, signed_plan, vault=home.vault)
    assert _refused(leave, home, leaver, NOW).code == "RF-KMS-007"
    assert FileStore(home.vault).read("share-key") == b"plain secret"


def _run(*arguments):
    return CliRunner().invoke(app, ["operator", *map(str, arguments)])


def test_the_command_destroys_and_shows_the_record(site, home):
    command = ("leave", "--home", home.path, "--operator", NAME, "--json")
    run = _run(*command, "--not-posted", "--insecure-local-kms", site.url)
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["operator"] == NAME
    assert (home.path / "destruction").exists()


def test_the_command_does_not_take_another_home(site, home):
    run = _run("leave", "--home", home.path, "--operator", "op-03", "--not-posted")
    assert (run.exit_code, "RF-KMS-009" in run.stderr) == (1, True)
    assert _opened(site, home.vault).read("shares/O-000") == b"share"


def test_the_policy_command_writes_the_policy_of_a_plan(tmp_path):
    plan = tmp_path / "plan.toml"
    lines = [f'pcr{index} = "{value.hex()}"' for index, value in APPROVED.pcrs.items()]
    plan.write_text("\n".join(["[measurement]", *lines]))
    holder = ("--role", ROLE, "--administrator", ADMINISTRATOR)
    run = _run("policy", "--plan", plan, "--operator", NAME, *holder)
    assert run.exit_code == 0
    policy = json.loads(run.stdout)
    conditions = policy["Statement"][0]["Condition"]["StringEqualsIgnoreCase"]
    assert conditions["kms:RecipientAttestation:PCR8"] == APPROVED.pcrs[8].hex()


def test_the_policy_command_refuses_a_plan_without_a_measurement(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text("version = 1")
    holder = ("--role", ROLE, "--administrator", ADMINISTRATOR)
    run = _run("policy", "--plan", plan, "--operator", NAME, *holder)
    assert (run.exit_code, "RF-ATTEST-009" in run.stderr) == (1, True)
