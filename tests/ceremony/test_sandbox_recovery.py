"""An operator of a real ceremony that loses its whole disk, but for the identity key."""

import re
import shutil
import signal
import subprocess
import threading

import numpy as np
import pytest

from infra.board import export
from infra.homes import Home
from infra.party.admit import admit
from infra.verify import verify
from mpc_core.protocol.entries import Rejoin, WriteOff
from tests.ceremony.test_sandbox_faults import sandbox, statements
from tests.support.reveal import key_holders, reveal_secrets
from tests.support.sandbox import finished, seed_of_ones

LOST = "op-03"
KEPT = {"identity.key", "setup-seed"}
ADMIT = re.compile(r"admit --operator op-03 --key ([0-9a-f]{64})")


def lose_disk(path):
    """Leave an operator what its people have a copy of."""
    shutil.rmtree(path / "work")
    for kept in (path / "vault").iterdir():
        if kept.is_dir():
            shutil.rmtree(kept)
        elif kept.name not in KEPT:
            kept.unlink()
    Home(path).make()


def key_that_is_read_out(process):
    """Return the key that a process tells its people, and let it go on talking to nobody."""
    for line in process.stderr:
        if found := ADMIT.search(line.decode()):
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return found[1]
    raise AssertionError("it ended before it asked to be let in")


@pytest.mark.long
@pytest.mark.parametrize("host", ["coordinator", "deputy-1"])
def test_who_lost_its_disk_after_the_log_had_moved_is_let_in_too(tmp_path, host):
    with sandbox(tmp_path, "another", "--waiting-time", "3600", "--deputies", "1") as running:
        running.until_progress("N", 2)
        running.interrupt()
        assert running.finish() == 3
    shutil.rmtree(tmp_path / "another" / "coordinator" / "work")
    with sandbox(tmp_path, "another", "--resume", "--take-over", "--host", host) as running:
        running.until_progress("N", 4)
        running.kill(LOST)
        homes = tmp_path / "another" / "operators"
        lose_disk(homes / LOST)
        visitor = running.start_again(LOST, "--rejoin", heard=subprocess.PIPE)
        key = key_that_is_read_out(visitor)
        for other in ("op-01", "op-02", "op-04"):
            assert admit(homes / other, LOST, key).given
        moved = finished(running)
        visitor.send_signal(signal.SIGTERM)
        assert visitor.wait() == 3
    transcript = export.read(moved.folder.transcript, moved.plan)
    assert transcript.checkpoint.head.epoch == 1
    (back,) = (log.position for log in transcript.entries if isinstance(log.entry, Rejoin))
    assert transcript.entries[back].entry.operator == 3
    assert any(log.signers == (3,) for log in transcript.entries[back:])
    assert verify(moved.folder.root).checks


def test_who_lost_its_disk_is_let_in_by_people_and_has_its_share_of_the_key(tmp_path):
    options = ("--insecure-setup-seed", seed_of_ones(), "--waiting-time", "3600", "--keep-openings")
    with sandbox(tmp_path / "elsewhere", "another", *options) as running:
        running.until_progress("N", 3)
        running.kill(LOST)
        homes = tmp_path / "elsewhere" / "another" / "operators"
        lose_disk(homes / LOST)
        refused = running.start_again(LOST, heard=subprocess.PIPE)
        assert refused.wait() == 1
        visitor = running.start_again(LOST, "--rejoin", heard=subprocess.PIPE)
        key = key_that_is_read_out(visitor)
        for other in ("op-01", "op-02", "op-04"):
            assert admit(homes / other, LOST, key).given
        again = finished(running)
        visitor.send_signal(signal.SIGTERM)
        assert visitor.wait() == 3
    assert statements(again, Rejoin) == [3]
    assert statements(again, WriteOff) == []
    assert verify(again.folder.root).not_repeated == ()
    assert key_holders(again.folder, again.plan) == (1, 2, 3, 4)
    with_it, without = (reveal_secrets(again.folder, some) for some in ((2, 3), (1, 4)))
    assert all(np.array_equal(with_it[name], without[name]) for name in without)
