"""With enclaves a log is taken over, a lost vault is given up, and a list is decrypted, as without.

One ceremony of real processes in which all of that happens.
"""

from __future__ import annotations

import shutil
import signal
import subprocess

import pytest

from activities.seal import KEY_SHARE
from infra.board import export
from infra.party.admit import admit
from infra.verify import verify
from mpc_core.protocol.entries import Attestation, Rejoin
from tests.ceremony.test_decrypt_processes import result_of
from tests.ceremony.test_sandbox_faults import sandbox, statements
from tests.ceremony.test_sandbox_recovery import key_that_is_read_out
from tests.ceremony.test_sealed_sandbox import opened
from tests.support import node
from tests.support.sandbox import finished

pytestmark = pytest.mark.long

LOST, OTHERS = "op-03", ("op-01", "op-02", "op-04")
OPTIONS = ("--enclave", "software", "--deputies", "1", "--waiting-time", "3600")
VALUES = [("u8", 201), ("bool", True)]


def lose_vault(home):
    """Take everything from an operator but its sealed identity key and the key above it."""
    shutil.rmtree(home.vault / "objects")
    (home.vault / "index").unlink()
    shutil.rmtree(home.work)
    home.make()


@pytest.fixture(scope="module")
def ceremony(tmp_path_factory):
    """A deputy takes the log over; then an operator loses its vault and is let in again."""
    folder = tmp_path_factory.mktemp("attested")
    with sandbox(folder, "attested", *OPTIONS) as running:
        running.until_progress("N", 2)
        running.interrupt()
        assert running.finish() == 3
    shutil.rmtree(folder / "attested" / "coordinator" / "work")
    (folder / "attested" / "coordinator" / "vault" / "identity.key").unlink()
    with sandbox(folder, "attested", "--resume", "--take-over", "--host", "deputy-1") as running:
        running.until_progress("N", 4)
        running.kill(LOST)
        lose_vault(running.home(LOST))
        refused = running.start_again(LOST, told=subprocess.PIPE)
        said, _ = refused.communicate()
        visitor = running.start_again(LOST, "--rejoin", heard=subprocess.PIPE)
        key = key_that_is_read_out(visitor)
        for other in OTHERS:
            assert admit(running.home(other).path, LOST, key).given
        done = finished(running)
        visitor.send_signal(signal.SIGTERM)
        assert visitor.wait() == 3
    return done, (refused.returncode, said)


def attestation_of(done):
    """What verifying says of the documents on the log."""
    checks = verify(done.folder.root).checks
    return [check.detail for check in checks if check.name == "attestation"]


def test_a_deputy_takes_the_log_over_and_no_enclave_is_refused(ceremony):
    done, _ = ceremony
    transcript = export.read(done.folder.transcript, done.plan)
    assert transcript.checkpoint.head.epoch == 1
    said = " ".join(attestation_of(done))
    assert "documents of 4 operators" in said
    assert "refused" not in said
    documents = [log for log in transcript.entries if isinstance(log.entry, Attestation)]
    assert {log.signers[0] for log in documents} == {1, 2, 3, 4}


def test_an_operator_without_its_vault_stops_and_is_let_in_again_by_people(ceremony):
    done, (code, said) = ceremony
    assert code == 1
    assert b"RF-STORE-003" in said
    assert statements(done, Rejoin) == [3]
    for name in (LOST, *OTHERS):
        with opened(done.folder.operator(name)) as vault:
            assert vault.store.read(KEY_SHARE) is not None


def test_operators_in_enclaves_decrypt_what_node_encrypted(ceremony, tmp_path):
    done, _ = ceremony
    node.encrypt(done.folder.keyset / "CompactPublicKey", VALUES, tmp_path / "list", packed=True)
    *_, result = result_of(done.folder, tmp_path / "list")
    assert result["values"] == [value for _, value in VALUES]
