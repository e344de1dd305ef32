"""Transcripts without the opened values of N, S and M: what still holds, and what is said."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import replace

import pytest

from infra.board import wire
from infra.publish import Keeps, kept_batches
from infra.publish.files import batch_keys, opening_path
from infra.publish.manifest import MANIFEST, OPENINGS, parse_manifest
from infra.verify import Outcome, ceremony, evidence, openings, verify
from infra.verify.progress import Progress
from infra.verify.survey import survey
from mpc_core.protocol.entries import Answer, Close
from mpc_core.protocol.errors import CeremonyError
from tests.infra.test_verify import flip, invalid_checks, put, sign_again
from tests.infra.test_verify_rules import lying_decoder
from tests.support.published import run_ceremony, undisturbed


def without_the_last(running):
    running.at["M-0"] = lambda: running.stop(4)


def late_close(running):
    """Let a close of a round, signed while vouchers were missing, come when its value holds."""

    def post():
        opening = running.log.state.opening(("S", 0))
        body = wire.body_of(Close(f"round/{opening.context.hex()}/0"))
        parties = [running.party(index) for index in (1, 2, 3)]
        parts = [
            wire.Endorsement(each.index, wire.ED25519, each.log.endorse(body)) for each in parties
        ]
        running.log.post_signed(wire.assemble(body, parts))

    running.at["M-0"] = post


@pytest.fixture(scope="module")
def finished():
    return undisturbed()


@pytest.fixture(scope="module")
def lied():
    return run_ceremony(prepare=lying_decoder)


@pytest.fixture(scope="module")
def published(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    finished.publish(folder, keeps=Keeps.ASSEMBLY)
    return folder


@pytest.fixture
def copy(published, tmp_path):
    """Return a copy whose files are links: change them with `put` only."""
    shutil.copytree(published, tmp_path / "copy", copy_function=os.link)
    return tmp_path / "copy"


def names_in(folder):
    return {path.name for path in (folder / OPENINGS).iterdir()}


def audited(folder, log):
    """Return the openings of a transcript, and the state that an auditor follows with them."""
    files = evidence.Evidence(folder, {})
    manifest, _ = evidence.read_manifest(files)
    rules, _ = evidence.read_plan(files, None)
    found = survey(files, manifest, rules, log, Progress(print))
    values, _ = openings.read_openings(files, rules, log, found)
    return values, ceremony.fold(rules, log, values)[0]


# -- what is there and what is said ---------------------------------------------------------------


def test_only_the_openings_of_the_assembly_are_there(finished, published):
    assert names_in(published) == {f"O-{batch.index:04d}" for batch in finished.layout.assembly}
    assert parse_manifest((published / MANIFEST).read_bytes()).keeps is Keeps.ASSEMBLY


def test_the_result_is_valid_and_what_was_not_repeated_is_listed(finished, published):
    verdict = verify(published)
    assert verdict.outcome is Outcome.OK, verdict.errors
    parts = {part.check: part for part in verdict.not_repeated}
    assert parts.keys() == {"opened values", "openings", "challenges", "rules"}
    batches = [b for stage in "NSM" for b in finished.layout.stage(stage)]
    size = sum(batch.opened_bytes for batch in batches)
    assert f"{len(batches)} opened values of {size} bytes" in parts["opened values"].what
    assert all(part.why for part in verdict.not_repeated)
    assert f"{len(batches)} of them as far as can be seen" in verdict["challenges"].detail


def test_nothing_is_left_unrepeated_where_every_opening_is_kept(finished, tmp_path):
    finished.publish(tmp_path)
    verdict = verify(tmp_path)
    assert verdict.outcome is Outcome.OK
    assert verdict.not_repeated == ()


# -- the log is followed as the operators followed it ---------------------------------------------


@pytest.mark.parametrize("prepare", [lambda _: None, without_the_last, lying_decoder, late_close])
def test_an_auditor_judges_every_entry_as_the_operators_did(prepare, tmp_path):
    ended = run_ceremony(prepare=prepare)
    ended.publish(tmp_path, keeps=Keeps.ASSEMBLY)
    known = ended.state()
    values, state = audited(tmp_path, known.log)
    assert values.taken
    assert state.voids == known.voids
    assert state.members.written_off == known.members.written_off
    for key in batch_keys(ended.layout):
        assert state.status(key) == known.status(key)


def test_a_close_that_came_too_late_makes_no_ceremony_invalid(tmp_path):
    """Found by seed 51632 of the chaos drill."""
    ended = run_ceremony(prepare=late_close)
    reasons = [void.reason for void in ended.state().voids]
    assert reasons == ["the batch is provisional"]
    ended.publish(tmp_path, keeps=Keeps.ASSEMBLY)
    assert all(name.startswith("O-") for name in names_in(tmp_path))
    verdict = verify(tmp_path)
    assert verdict.outcome is Outcome.OK, verdict.errors


def test_a_batch_in_which_a_value_was_refuted_is_kept_whole(lied, tmp_path):
    lied.publish(tmp_path, keeps=Keeps.ASSEMBLY)
    names = names_in(tmp_path)
    assert {name for name in names if name.startswith(("N-", "S-", "M-"))} == {"M-0001"}
    assert sum(name.startswith("rejected-") for name in names) == 1
    verdict = verify(tmp_path)
    assert verdict.outcome is Outcome.OK, verdict.errors
    assert verdict["refuted values"].detail.startswith("1 rounds")


def test_a_refuted_value_that_is_left_out_is_missed(lied, tmp_path):
    kept = [key for key in kept_batches(lied.layout, lied.state(), Keeps.ASSEMBLY) if key[0] == "O"]
    lied.publish(tmp_path, keeps=Keeps.ASSEMBLY, batches=kept, rejected=())
    assert [error.code for error in verify(tmp_path).errors] == ["RF-VERIFY-025"]


def test_answers_of_liars_for_rounds_that_never_opened_prove_nothing(finished, published):
    log = list(finished.state().log)
    at, entry = next(
        (at, e)
        for at, e in enumerate(log)
        if isinstance(e.entry, Answer) and e.entry.batch.stage == "N"
    )
    values, state = audited(published, tuple(log))
    state._log[at + 1] = replace(log[at + 1], entry=replace(entry.entry, round=7), signers=(4,))
    assert openings.check_refuted(values.evidence, state, values)
    state._log[at + 2] = replace(log[at + 2], entry=replace(entry.entry, round=7), signers=(3,))
    with pytest.raises(CeremonyError, match="RF-VERIFY-025"):
        openings.check_refuted(values.evidence, state, values)


def test_a_challenge_whose_answers_lie_on_no_polynomial_is_found_without_the_value(
    finished, published
):
    values, state = audited(published, finished.state().log)
    turn = state.opening(("M", 0)).rounds[0]
    turn.answers[2] = bytes(len(turn.answers[2]))
    files = evidence.Evidence(published, {})
    rules, _ = evidence.read_plan(files, None)
    with pytest.raises(CeremonyError, match="RF-VERIFY-024"):
        openings.check_challenges(rules, state, values)


# -- what is altered ------------------------------------------------------------------------------


def test_any_byte_changed_anywhere_is_found(published, copy):
    source = random.Random(2)
    for path in sorted(published.rglob("*")):
        if path.is_file():
            name, data = path.relative_to(published).as_posix(), path.read_bytes()
            flip(copy, name, source.randrange(len(data)))
            assert verify(copy).outcome is Outcome.INVALID, name
            put(copy, name, data)
    assert verify(copy).outcome is Outcome.OK


@pytest.mark.parametrize("name", [f"{OPENINGS}/O-0001", MANIFEST, "transcript/entries.cbor"])
def test_a_missing_or_shortened_file_makes_it_incomplete(name, published, copy):
    data = (published / name).read_bytes()
    (copy / name).unlink()
    assert verify(copy).outcome is Outcome.INCOMPLETE
    put(copy, name, data[:-1])
    assert verify(copy).outcome is Outcome.INCOMPLETE


def test_openings_are_missed_where_the_manifest_says_that_all_are_kept(finished, copy):
    sign_again(copy, finished, keeps=Keeps.ALL)
    assert invalid_checks(copy) == {"manifest signature"}


def test_an_opening_beyond_those_that_are_kept_is_found(finished, copy):
    name = opening_path(("N", 0))
    put(copy, name, finished.values[finished.root_of(("N", 0))])
    assert invalid_checks(copy) == {"files"}
    sign_again(copy, finished, add=[name])
    assert invalid_checks(copy) == {"refuted values"}


def test_a_manifest_with_other_leaves_is_found(finished, copy):
    before = (copy / MANIFEST).read_bytes()
    size = finished.plan.layout.leaf_bytes
    put(copy, MANIFEST, before.replace(b"leaves of %d " % size, b"leaves of %d " % (size + 1)))
    assert "manifest signature" in invalid_checks(copy)
