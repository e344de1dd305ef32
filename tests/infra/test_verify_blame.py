"""A transcript shows by itself why somebody was excluded, and what was drawn anew."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.publish import Keeps
from infra.publish.manifest import EVIDENCE
from infra.verify import Outcome, verify
from mpc_core.protocol.entries import Decoded
from tests.ceremony.test_liars import start_lying, without_evidence
from tests.support.published import run_ceremony

LIAR = 2


def burnt(key):
    """Run a ceremony in which a false answer is shown by no vector, only by the posted keys."""

    def prepare(running):
        without_evidence(running)
        running.at[f"{key[0]}-{key[1]}"] = lambda: start_lying(running, LIAR)

    return run_ceremony(prepare=prepare)


def accused(running):
    """Let an operator answer falsely although a decoder holds its vector."""
    running.at["S-0"] = lambda: start_lying(running, LIAR)


def wrong_decoder(running):
    """Let one operator open another value than its list gives, once."""
    party, lied = running.party(LIAR), []

    def tampered(entry):
        if lied or not isinstance(entry, Decoded) or entry.batch.stage != "M":
            return entry
        data = bytearray(party.blobs.read(entry.root))
        data[0] ^= 2
        lied.append(entry)
        return replace(entry, root=party.blobs.publish(bytes(data), "M"))

    running.at["M-0"] = lambda: setattr(party.log, "tamper", tampered)


@pytest.mark.parametrize("keeps", list(Keeps))
@pytest.mark.parametrize("key", [("N", 5), ("S", 0), ("M", 1)])
def test_a_burnt_batch_is_recomputed_by_whoever_verifies(key, keeps, tmp_path):
    finished = burnt(key)
    finished.publish(tmp_path, keeps=keeps)
    verdict = verify(tmp_path)
    assert verdict.outcome is Outcome.OK, verdict.errors
    assert f"1 batches burnt; excluded: op-02 by recomputed in {key[0]}-" in verdict["blame"].detail
    assert not (tmp_path / EVIDENCE).exists()


@pytest.mark.parametrize(("prepare", "ground"), [(accused, "vector"), (wrong_decoder, "decoder")])
def test_what_was_shown_against_an_operator_is_in_the_transcript(prepare, ground, tmp_path):
    finished = run_ceremony(prepare=prepare)
    finished.publish(tmp_path, keeps=Keeps.ASSEMBLY)
    verdict = verify(tmp_path)
    assert verdict.outcome is Outcome.OK, verdict.errors
    assert f"0 batches burnt; excluded: op-02 by {ground} in" in verdict["blame"].detail
    (shown,) = (tmp_path / EVIDENCE).iterdir()
    without = tmp_path / "without"
    without.mkdir()
    finished.publish(without, evidence=())
    assert verify(without)["blame"].error.code == "RF-VERIFY-052"
    data = bytearray(shown.read_bytes())
    data[-1] ^= 1
    shown.write_bytes(bytes(data))
    verdict = verify(tmp_path)
    assert verdict["files"].error.code == "RF-VERIFY-003"
    assert verdict["blame"].error.code == "RF-VERIFY-052"
