"""Homes with sealed vaults: moved once, opened in the enclave, and nothing lies open."""

import datetime as dt

import pytest
from typer.testing import CliRunner

from infra.board.notes import Head
from infra.board.vault import FileVault, WitnessState
from infra.cli.main import app
from infra.enclave.insecure_software import Authority
from infra.homes import Home
from infra.party.vault import identity_of, open_vault
from infra.plan.document import parse_plan
from infra.plan.keys import write_identity
from infra.plan.sandbox import sandbox_plan
from infra.plan.signing import sign_plan, write_signed_plan
from infra.stores import FileStore
from mpc_core.protocol.errors import CeremonyError
from tests.enclave.chains import APPROVED
from tests.enclave.site import Site

NAME, SIGNED = "op-02", WitnessState(signed=Head(0, 7, bytes(32)))


@pytest.fixture
def parties(monkeypatch):
    """A sandbox's plan that asks for software in the place of enclaves, with all keys."""
    for module in ("infra.party.enclave", "infra.plan.sandbox"):
        monkeypatch.setattr(f"{module}.measure_installed", lambda: APPROVED)
    root = Authority.create(dt.datetime.now(dt.UTC))
    shape = {"operators": 4, "threshold": 1, "parameters": "test", "waiting_seconds": 60}
    return root, sandbox_plan(**shape, enclave=root, hybrid=True)


@pytest.fixture
def home(tmp_path, parties):
    """A home that was made before its plan, which names a key; the key service runs."""
    root, made = parties
    with Site.started(tmp_path, made.signed.plan, root=root, clock=_now) as site:
        arn = site.create_key()
        document = parse_plan(made.signed.toml)
        operators = tuple(
            each.model_copy(update={"kms_key": arn if each.name == NAME else None})
            for each in document.operators
        )
        document = document.model_copy(update={"operators": operators})
        signed = sign_plan(document, made.identities, made.ml_dsa_keys)
        home = Home(tmp_path / NAME, insecure_local_kms=site.url)
        home.make()
        write_signed_plan(home.path, signed)
        write_identity(home.vault, made.identities[NAME], made.ml_dsa_keys[NAME])
        FileVault(home.witness_file).save(SIGNED)
        root.save(home.insecure_enclave)
        yield home, signed.plan, made.identities[NAME]


def _now():
    return dt.datetime.now(dt.UTC)


def _seal(home):
    command = ("operator", "seal", "--home", home.path)
    options = ("--insecure-local-kms", home.insecure_local_kms)
    return CliRunner().invoke(app, [*map(str, command), *options])


def test_a_vault_in_files_is_moved_into_sealed_objects(home):
    place, plan, identity = home
    run = _seal(place)
    assert run.exit_code == 0, run.output
    vault = open_vault(place, plan)
    raw = identity.private_bytes_raw()
    assert vault.identity.ed25519.private_bytes_raw() == raw
    assert identity_of(place, plan).ed25519.private_bytes_raw() == raw
    assert vault.witness.load() == SIGNED
    assert vault.sealed is not None
    names = {path.name for path in place.vault.iterdir()}
    assert names == {"identity", "index", "objects", "wrapped-key"}
    assert _seal(place).exit_code == 1


def test_what_other_processes_write_lies_beside_and_what_steps_note_is_sealed(home):
    place, plan, _ = home
    _seal(place)
    vault = open_vault(place, plan)
    FileStore(place.vault).write("admitted/3", b"a key that people approved")
    assert vault.store.read("admitted/3") == b"a key that people approved"
    FileStore(place.work / "steps").write("voices/1", b"a signed decision")
    assert vault.work.names("voices") == ("voices/1",)
    assert vault.work.read("voices/1") == b"a signed decision"
    vault.work.write("roots/1", b"a promised root")
    vault.work.write("passing-shares/1", b"encrypted already", durable=False)
    vault.store.take(vault.work, "passing-shares/1")
    assert vault.store.names("passing-shares") == ("passing-shares/1",)
    assert vault.work.names("passing-shares") == ()
    written = b"".join(path.read_bytes() for path in place.path.rglob("*") if path.is_file())
    assert b"a promised root" not in written
    FileStore(place.work / "steps").write("roots/1", b"what the host chose")
    with pytest.raises(CeremonyError, match="RF-SEAL-001"):
        vault.work.read("roots/1")


def test_a_vault_without_its_index_is_begun_again_only_if_people_say_that_it_is_lost(home):
    place, plan, _ = home
    _seal(place)
    (place.vault / "index").unlink()
    with pytest.raises(CeremonyError, match="RF-STORE-003"):
        open_vault(place, plan)
    vault = open_vault(place, plan, rejoin=True)
    assert vault.witness.load() is None
    assert open_vault(place, plan).witness.load() is None


def test_a_key_that_the_plan_does_not_name_seals_nothing(home, parties):
    place, _, _ = home
    write_signed_plan(place.path, parties[1].signed)
    run = _seal(place)
    assert (run.exit_code, "RF-SEAL-003" in run.stderr) == (1, True)
    assert (place.vault / "identity.key").exists()
