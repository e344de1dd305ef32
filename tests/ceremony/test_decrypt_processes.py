"""`ringforge decrypt` with real processes, on lists that node-tfhe made."""

import contextlib
import hashlib
import json
import shutil
import signal
import sqlite3
import subprocess
import sys

import psutil
import pytest

from infra.decrypt.record import record_of
from infra.homes import CeremonyFolder
from infra.plan import load_signed_plan
from tests.support import node

VALUES = [("u8", 201), ("bool", True), ("u16", 51_966), ("bool", False), ("u64", 2**64 - 1)]
PUBLIC = ("plan.toml", "plan.sig", "keyset", "transcript")


@pytest.fixture(scope="module")
def folder(announced, tmp_path_factory):
    return CeremonyFolder(shutil.copytree(announced, tmp_path_factory.mktemp("copy") / "one"))


@pytest.fixture(scope="module")
def lists(announced, tmp_path_factory):
    """Return a function that has node encrypt values under the ceremony's key."""

    def encrypt(values, *, packed=True):
        out = tmp_path_factory.mktemp("lists") / "list"
        node.encrypt(announced / "keyset" / "CompactPublicKey", values, out, packed=packed)
        return out

    return encrypt


def decryption(folder, file):
    return subprocess.Popen(
        [sys.executable, "-m", "infra.cli", "decrypt", str(folder.root), str(file), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result_of(folder, file):
    with decryption(folder, file) as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    return [json.loads(line) for line in output.splitlines()]


def public_bytes(folder):
    files = [
        path
        for name in PUBLIC
        for path in (folder.root / name, *sorted((folder.root / name).rglob("*")))
        if path.is_file()
    ]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def granted(folder):
    """Return how many decryptions the running coordinator's log has granted; a quick look."""
    database = f"file:{folder.coordinator.work}/board.sqlite?mode=ro"
    with contextlib.closing(sqlite3.connect(database, uri=True)) as connection:
        query = "SELECT count(*) FROM entries WHERE kind = 'decryption-request'"
        return connection.execute(query).fetchone()[0]


def test_operators_decrypt_what_node_encrypted(folder, lists):
    before, file = public_bytes(folder), lists(VALUES)
    *_, result = result_of(folder, file)
    assert result["values"] == [value for _, value in VALUES]
    assert (result["again"], result["openings_left"]) == (False, 64 - 23)
    *started, again = result_of(folder, file)
    assert started == []
    assert again == {**result, "again": True}
    assert public_bytes(folder) == before


@pytest.mark.long
def test_an_interrupted_decryption_without_one_operator_ends_with_the_same_floods(folder, lists):
    file, children = lists([("u8", 77), ("bool", True)], packed=False), []
    shutil.rmtree(folder.operator("op-03").vault)
    folder.operator("op-03").vault.mkdir()
    before = granted(folder)
    left = record_of(folder.coordinator, load_signed_plan(folder.root).plan).openings_left
    with decryption(folder, file) as process:
        for line in process.stdout:
            event = json.loads(line)
            if event.get("state") == "started" and "id" in event:
                children.append(psutil.Process(event["id"]))
            if event["event"] == "progress" and granted(folder) > before:
                break
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert process.returncode == 3, errors
    assert json.loads(output.splitlines()[-1])["code"] == "RF-RUN-009"
    assert "Traceback" not in errors
    assert len(children) == 5
    assert not any(child.is_running() for child in children)
    *_, result = result_of(folder, file)
    assert result["values"] == [77, True]
    assert result["openings_left"] == left - 5
    verify = [sys.executable, "-m", "infra.cli", "verify", str(folder.root)]
    assert subprocess.run(verify, check=False).returncode == 0
