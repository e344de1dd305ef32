"""Nothing damaged is used: files begin with the digest of what follows."""

import subprocess
import sys

import pytest

import infra.stores
from infra.guarded import read_guarded, write_guarded, write_unguarded
from infra.report.metrics import MetricsRecorder, read_metrics
from infra.stores import FileStore
from infra.transport.ledger import SentLedger

CONTENT = b"thirty-two bytes that are a key!\nand a second line"


@pytest.mark.parametrize("durable", [True, False])
def test_what_was_written_is_read_back(tmp_path, durable):
    write_guarded(tmp_path / "file", CONTENT, durable=durable)
    assert read_guarded(tmp_path / "file") == CONTENT
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_not_there_is_none(tmp_path):
    assert read_guarded(tmp_path / "file") is None


def test_every_flipped_byte_and_every_cut_is_found(tmp_path):
    path = tmp_path / "file"
    write_guarded(path, CONTENT)
    right = path.read_bytes()
    for at in range(len(right)):
        path.write_bytes(right[:at] + bytes([right[at] ^ 1]) + right[at + 1 :])
        assert read_guarded(path) is None
        path.write_bytes(right[:at])
        assert read_guarded(path) is None
    path.write_bytes(right + b"\n")
    assert read_guarded(path) is None
    path.write_bytes(right)
    assert read_guarded(path) == CONTENT


def test_content_that_authenticates_itself_needs_no_digest(tmp_path):
    write_unguarded(tmp_path / "file", CONTENT)
    assert read_guarded(tmp_path / "file") == CONTENT


def test_a_damaged_file_of_a_store_counts_as_lost_and_can_be_written_again(tmp_path):
    store = FileStore(tmp_path)
    store.write("roots/one", CONTENT)
    path = tmp_path / "roots" / "one"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert store.read("roots/one") is None
    assert store.names("roots") == ()
    store.write("roots/one", CONTENT)
    assert store.read("roots/one") == CONTENT


def test_what_is_written_while_it_is_looked_for_is_not_damaged(tmp_path, monkeypatch):
    store = FileStore(tmp_path)

    def just_before_the_write(path):
        found = read_guarded(path)
        if not path.exists():
            store.write("one", CONTENT)
        return found

    monkeypatch.setattr(infra.stores, "read_guarded", just_before_the_write)
    assert store.read("one") in {None, CONTENT}
    assert store.read("one") == CONTENT


def test_a_store_takes_what_another_one_keeps_with_its_digest(tmp_path):
    work, vault = FileStore(tmp_path / "work"), FileStore(tmp_path / "vault")
    for durable in (True, False):
        work.write("shares", CONTENT, durable=durable)
        vault.take(work, "shares")
        assert (work.read("shares"), vault.read("shares")) == (None, CONTENT)


def test_damaged_counts_of_sent_bytes_start_at_zero(tmp_path):
    ledger = SentLedger(tmp_path / "sent.json")
    ledger.add("op-02", "N", 700)
    ledger.save()
    path = tmp_path / "sent.json"
    assert SentLedger(path).totals() == {"N": {"op-02": 700}}
    path.write_bytes(path.read_bytes().replace(b"700", b"701"))
    assert SentLedger(path).totals() == {}


def test_an_account_with_one_wrong_digit_is_said_to_be_incomplete(tmp_path):
    path = tmp_path / "metrics.json"
    meter = MetricsRecorder(path, "op-01")
    meter.sent("N", 700)
    meter.save()
    path.write_bytes(path.read_bytes().replace(b"700", b"701"))
    assert read_metrics(path, "op-01").lost


FULL_DISK = """
import pathlib, resource, sys
import structlog
from infra.report.metrics import MetricsRecorder
from infra.telemetry import configure_logging
from infra.transport.ledger import SentLedger
folder = pathlib.Path(sys.argv[1])
configure_logging("op-01")
now = [0.0]
ledger = SentLedger(folder / "sent.json", lambda: now[0])
meter = MetricsRecorder(folder / "metrics.json", "op-01")
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
with meter.stage("N"):
    now[0] += 60
    ledger.add("op-02", "N", 700)
    structlog.get_logger().warning("nobody can keep this")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
with meter.stage("N"):
    now[0] += 60
    ledger.add("op-02", "N", 7)
    structlog.get_logger().warning("there is room again")
sys.stdout.write("done")
"""


def test_a_full_disk_stops_neither_accounts_nor_the_log_of_a_process(tmp_path):
    with (tmp_path / "process.log").open("wb") as log:
        done = subprocess.run(
            [sys.executable, "-c", FULL_DISK, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=log,
            check=True,
        )
    assert done.stdout == b"done"
    assert SentLedger(tmp_path / "sent.json").totals() == {"N": {"op-02": 707}}
    assert read_metrics(tmp_path / "metrics.json", "op-01").stages["N"].wall_seconds > 0
    assert "there is room again" in (tmp_path / "process.log").read_text()
