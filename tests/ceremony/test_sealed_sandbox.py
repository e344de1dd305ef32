"""A ceremony of real processes with sealed vaults: nothing lies open, nothing is taken back."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing, contextmanager

import pytest

from activities.seal import KEY_SHARE
from infra.drill.taken_back import keep_moment, take_back
from infra.enclave.kms.vault import INDEX, LASTING, WRAPPED_KEY
from infra.party.admit import admit
from infra.party.vault import identity_of, open_vault
from infra.plan import load_signed_plan
from infra.plan.keys import SetupSeed
from infra.sandbox.sealed import key_service_at_hand
from infra.verify import verify
from mpc_core.protocol.entries import Rejoin
from mpc_core.protocol.errors import CeremonyError
from tests.ceremony.test_canary import files, suspended
from tests.ceremony.test_sandbox_faults import sandbox, statements
from tests.ceremony.test_sandbox_recovery import key_that_is_read_out
from tests.support.canary import Searcher
from tests.support.sandbox import RINGFORGE, finished

pytestmark = pytest.mark.long

SEED = "5ea1ed00c0ffee15badc0de5feed5ca1"
TAKEN_BACK, OTHERS = "op-03", ("op-01", "op-02", "op-04")
SECRET_BYTES = 32
find = re.compile(b"json/plain").finditer


@contextmanager
def opened(home):
    """The vault of a home, with the key service that lies beside it."""
    plan = load_signed_plan(home.path).plan
    with key_service_at_hand(home, plan) as place:
        yield open_vault(place, plan)


def pieces(name, data):
    """Return the middle of a secret, by name: heads may be public."""
    start = max(0, len(data) // 2 - SECRET_BYTES)
    return {name: data[start : start + SECRET_BYTES]} if len(data) >= SECRET_BYTES else {}


def secrets_in(vault, name):
    found = {}
    for folder in ("setup", "stage-keys", "shares"):
        for each in vault.store.names(folder):
            found |= pieces(f"{name}, {each}", vault.store.read(each))
    key = vault.store.read("shares-key")
    return found | ({} if key is None else {f"{name}, shares-key": key})


def events_of(ceremony_id, database):
    """The stored events of a ceremony's workflows; the server has some of its own."""
    query = (
        "SELECT history_node.data FROM history_node JOIN executions ON tree_id = run_id"
        " WHERE instr(workflow_id, ?) = 1"
    )
    with closing(sqlite3.connect(database)) as opened:
        return [data for (data,) in opened.execute(query, [ceremony_id])]


@pytest.fixture(scope="module")
def ceremony(tmp_path_factory):
    """A ceremony in which one operator's store shows an earlier moment after a restart."""
    folder = tmp_path_factory.mktemp("sealed")
    options = ("--enclave", "software", "--insecure-setup-seed", SEED, "--waiting-time", "3600")
    with sandbox(folder, "sealed", *options) as running:
        homes = {name: running.home(name) for name in (TAKEN_BACK, *OTHERS)}
        running.until_progress("N", 1)
        keep_moment(homes[TAKEN_BACK], folder / "kept")
        with suspended(running):
            shutil.copytree(folder / "sealed", folder / "moment" / "sealed")
        running.until_progress("N", 3)
        running.kill(TAKEN_BACK)
        take_back(homes[TAKEN_BACK], folder / "kept")
        refused = running.start_again(TAKEN_BACK, told=subprocess.PIPE)
        said, _ = refused.communicate()
        visitor = running.start_again(TAKEN_BACK, "--rejoin", heard=subprocess.PIPE)
        key = key_that_is_read_out(visitor)
        for other in OTHERS:
            assert admit(homes[other].path, TAKEN_BACK, key).given
        done = finished(running)
        visitor.send_signal(signal.SIGTERM)
        assert visitor.wait() == 3
    return folder, done, (refused.returncode, said)


def test_a_store_that_is_taken_back_is_refused_by_name_before_anything_is_signed(ceremony):
    _, _, (code, said) = ceremony
    events = [json.loads(line) for line in said.splitlines()]
    assert code == 1
    assert (events[-1]["code"], events[-1]["operator"]) == ("RF-STORE-004", TAKEN_BACK)


def test_its_people_bring_it_back_like_one_that_lost_its_disk(ceremony):
    _, done, _ = ceremony
    assert statements(done, Rejoin) == [3]
    assert verify(done.folder.root).checks
    for name in (TAKEN_BACK, *OTHERS):
        with opened(done.folder.operator(name)) as vault:
            assert vault.store.read(KEY_SHARE) is not None


def test_nothing_secret_lies_in_a_home_in_the_clear(ceremony):
    folder, done, _ = ceremony
    seed = SetupSeed.parse(SEED)
    for root in (done.folder, done.folder.named(folder / "moment", "sealed")):
        secrets = {"the seed itself": bytes.fromhex(SEED)}
        for name in (TAKEN_BACK, *OTHERS):
            party = seed.party(name)
            secrets[f"{name}, seed"] = party.value
            secrets[f"{name}, identity"] = party.identity().private_bytes_raw()
            secrets[f"{name}, second identity"] = party.ml_dsa_key().private_bytes_raw()
            with opened(root.operator(name)) as vault:
                secrets |= secrets_in(vault, name)
        assert len(secrets) > 20
        places = files(root.root / "operators")
        assert any(path.name.startswith("witness@") for path in places)
        assert Searcher(secrets).search_files(places) == set()


def test_a_vault_holds_sealed_objects_and_approvals_only(ceremony):
    _, done, _ = ceremony
    for name in OTHERS:
        vault = done.folder.operator(name).vault
        kinds = {path.relative_to(vault).parts[0] for path in files(vault)}
        assert kinds == {*LASTING, INDEX, WRAPPED_KEY, "objects", "admitted"}


def test_the_temporal_database_holds_nothing_but_ciphertext(ceremony):
    """Digests that orders and statements name are public; they are what would be seen."""
    _, done, _ = ceremony
    plan = done.plan
    public = {
        "plan hash": plan.hash,
        "key set": bytes.fromhex(done.report["ceremony"]["keyset_digest"]),
    }
    public["the word envelope"] = b'"envelope":"oWRy'[:16]
    places = files(done.folder.temporal)
    database = next(path for path in places if path.name == "temporal.sqlite")
    data = b"".join(path.read_bytes() for path in places if path.name.startswith(database.name))
    assert data.count(b"binary/ringforge-aes-256-gcm") > 100
    # Temporal's own search attributes are the server's to read; they name task queues and builds.
    events = events_of(plan.ceremony_id, database)
    plain = [each[max(0, at.start() - 90) : at.end() + 90] for each in events for at in find(each)]
    assert all(b"Keyword" in around or b"Temporal" in around for around in plain)
    assert len(events) > 100
    assert Searcher(public).search_files(places) == set()


def test_an_operator_that_left_has_nothing_that_opens(ceremony, tmp_path):
    _, done, _ = ceremony
    home = done.folder.operator("op-02")
    backup = tmp_path / "sealed" / "operators" / "op-02"
    shutil.copytree(home.path, backup)
    shutil.copytree(done.folder.insecure_kms, tmp_path / "sealed" / "insecure-kms")
    plan = load_signed_plan(home.path).plan
    assert identity_of(home, plan)
    command = ("operator", "leave", "--home", str(home.path), "--operator", "op-02")
    ended = ("--not-posted", "--json")
    left = subprocess.run([*RINGFORGE, *command, *ended], capture_output=True, check=True)
    assert json.loads(left.stdout)["operator"] == "op-02"
    with pytest.raises(CeremonyError) as refused, opened(home):
        pass
    assert refused.value.code == "RF-SEAL-002"
    shutil.copyfile(backup / "vault" / WRAPPED_KEY, home.vault / WRAPPED_KEY)
    with pytest.raises(CeremonyError) as refused, opened(home):
        pass
    assert refused.value.code == "RF-KMS-003"
