"""Every changed, missing or foreign byte of a published ceremony is found, and named."""

from __future__ import annotations

import os
import random
import shutil

import pytest

from infra.board import wire
from infra.plan import COORDINATOR
from infra.publish.manifest import MANIFEST, parse_manifest, record_of, sign_manifest
from infra.verify import Outcome, verify
from mpc_core.protocol.entries import STATEMENTS, Decoded
from tests.support.published import run_ceremony, undisturbed

OPENINGS = "transcript/openings"
ENTRIES = "transcript/entries.cbor"
KEY_FILES = ("CompactPublicKey", "CompressedServerKey", "CompressedXofKeySet")


@pytest.fixture(scope="module")
def finished():
    return undisturbed()


@pytest.fixture(scope="module")
def published(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    finished.publish(folder)
    return folder


@pytest.fixture
def copy(published, tmp_path):
    """Return a copy whose files are links: change them with `put` only."""
    shutil.copytree(published, tmp_path / "copy", copy_function=os.link)
    return tmp_path / "copy"


def put(folder, name, data):
    path = folder / name
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def flip(folder, name, at):
    data = bytearray((folder / name).read_bytes())
    data[at] ^= 1
    put(folder, name, bytes(data))


def sign_again(folder, finished, *, key=None, keeps=None, drop=(), add=()):
    """Sign a manifest of what lies in the folder now."""
    manifest = parse_manifest((folder / MANIFEST).read_bytes())
    names = ({record.path for record in manifest.files} | set(add)) - set(drop)
    records = [record_of(folder, folder / name, manifest.leaf_bytes) for name in names]
    author = key or finished.key(COORDINATOR)
    signed = sign_manifest(finished.plan, keeps or manifest.keeps, records, author)
    put(folder, MANIFEST, signed)


def outcomes(verdict):
    return {check.name: check.outcome for check in verdict.checks}


def invalid_checks(folder):
    verdict = verify(folder)
    assert verdict.outcome is Outcome.INVALID
    return {check.name for check in verdict.checks if check.outcome is Outcome.INVALID}


# -- what is right --------------------------------------------------------------------------------


def test_a_finished_ceremony_is_valid_and_everything_was_counted(published):
    verdict = verify(published)
    assert verdict.errors == ()
    assert verdict.outcome is Outcome.OK
    assert verdict["opened values"].detail.startswith("30 opened values")
    assert "265746 bodies" in verdict["key files"].detail
    assert "to 30 challenges" in verdict["challenges"].detail
    assert "op-01, op-02, op-03" in verdict["checkpoint"].detail


def test_the_homes_of_coordinator_and_operators_are_not_needed(copy):
    (copy / "operators").mkdir()
    (copy / "report.json").write_text("{}")
    assert verify(copy).outcome is Outcome.OK


# -- one byte -------------------------------------------------------------------------------------


def _plan_places(data):
    return [
        data.index(b"version"),
        data.index(b'ceremony_id = "') + 15,
        data.index(b"# Written"),
        data.index(b"threshold = ") + 12,
        data.index(b"identity_key") + 16,
        data.index(b"leaf_bytes = ") + 13,
        len(data) - 1,
    ]


def test_any_changed_byte_of_the_plan_is_found(published, copy):
    data = (published / "plan.toml").read_bytes()
    for at in _plan_places(data):
        flip(copy, "plan.toml", at)
        assert invalid_checks(copy) >= {"plan", "files"}, data[at - 10 : at + 10]
        put(copy, "plan.toml", data)


def test_any_changed_byte_of_a_plan_signature_is_found_and_the_party_named(published, copy):
    data = (published / "plan.sig").read_bytes()
    lines = data.splitlines(keepends=True)
    parties = ["op-01", "op-02", "op-03", "op-04", "coordinator"]
    for number, (line, party) in enumerate(zip(lines, parties, strict=True)):
        start = len(b"".join(lines[:number]))
        for inside in (0, line.index(b" ") + 1, line.index(b" ") + 20, len(line) - 2):
            flip(copy, "plan.sig", start + inside)
            verdict = verify(copy)
            assert verdict["plan"].outcome is Outcome.INVALID
            assert verdict["plan"].error.operator == party
            put(copy, "plan.sig", data)


def _key_file_places(finished, name, data):
    tag = bytes.fromhex(finished.plan.ceremony_id)
    places = {
        "header": 9,
        "length": 60,
        "body": len(data) // 2,
        "parameter": data.rindex(tag) - 40,
        "tag length": data.rindex(tag) - 1,
        "tag": data.rindex(tag),
        "last": len(data) - 1,
    }
    if name != "CompactPublicKey":
        places["seed"] = data.index(finished.values[finished.root_of(("O", 0))][:16])
    return places


@pytest.mark.parametrize("name", KEY_FILES)
def test_any_changed_byte_of_a_key_file_is_found_whatever_the_manifest_says(
    name, finished, published, copy
):
    path = f"keyset/{name}"
    data = (published / path).read_bytes()
    for what, at in _key_file_places(finished, name, data).items():
        flip(copy, path, at)
        verdict = verify(copy)
        assert verdict["files"].outcome is Outcome.INVALID, what
        assert verdict["key files"].outcome is Outcome.INVALID, what
        assert verdict["key files"].error.found == f"another byte at offset {at}"
        put(copy, path, data)


def test_any_changed_byte_of_an_entry_is_found_and_entry_and_operator_are_named(
    finished, published, copy
):
    data = (published / ENTRIES).read_bytes()
    log = finished.state().log
    kinds = {type(entry.entry): entry for entry in log}
    assert len(kinds) > 10
    for kind, entry in kinds.items():
        envelope = finished.envelopes[entry.position]
        signed = wire.decode(envelope, finished.plan)
        start = data.index(envelope)
        body = envelope.index(signed.body)
        signer = len(envelope) - 64 - 4
        places = {
            "kind": body + 3,
            "last byte of the body": body + len(signed.body) - 1,
            "signer": signer,
            "signature": len(envelope) - 1,
        }
        for what, at in places.items():
            flip(copy, ENTRIES, start + at)
            verdict = verify(copy)
            error = verdict["log"].error
            assert error is not None, (kind, what)
            assert error.subject.startswith(f"entry {entry.position} of the log"), (kind, what)
            if kind not in STATEMENTS and what != "signer":
                assert error.operator == finished.plan.name_of(entry.author), (kind, what)
            put(copy, ENTRIES, data)


@pytest.mark.parametrize("at", [0, 1, 3, 5])
def test_a_changed_frame_of_the_list_of_entries_is_found(at, copy):
    flip(copy, ENTRIES, at)
    assert invalid_checks(copy) >= {"files", "log"}


@pytest.mark.parametrize("name", ["checkpoint.note", "certificate.note"])
def test_any_changed_line_of_a_checkpoint_is_found(name, published, copy):
    path = f"transcript/{name}"
    data = (published / path).read_bytes()
    at = 0
    for line in data.splitlines(keepends=True):
        for inside in {0, len(line) // 2, len(line) - 1}:
            flip(copy, path, at + inside)
            assert invalid_checks(copy) >= {"files", "checkpoint"}, (line, inside)
            put(copy, path, data)
        at += len(line)


def test_any_changed_byte_of_an_opened_value_is_found_and_its_decoder_named(
    finished, published, copy
):
    log = finished.state().log
    purposes = {}
    for stage in "NSMO":
        for batch in finished.layout.stage(stage):
            purposes[batch.purpose, batch.word_bits] = batch
    assert len(purposes) > 8
    for what, batch in purposes.items():
        path = f"{OPENINGS}/{batch.stage}-{batch.index:04d}"
        data = (published / path).read_bytes()
        decoded = next(
            entry
            for entry in log
            if isinstance(entry.entry, Decoded)
            and (entry.entry.batch.stage, entry.entry.batch.batch) == (batch.stage, batch.index)
        )
        for at in {len(data) // 2, len(data) - 1}:
            flip(copy, path, at)
            error = verify(copy)["opened values"].error
            assert error.code == "RF-VERIFY-020", what
            assert f"entry {decoded.position} of the log" in error.subject
            assert error.operator == finished.plan.name_of(decoded.author)
            put(copy, path, data)


@pytest.mark.parametrize(("first", "second"), [("N-0000", "N-0001"), ("O-0001", "O-0002")])
def test_opened_values_in_each_others_place_are_found(first, second, finished, copy):
    values = [(copy / OPENINGS / name).read_bytes() for name in (first, second)]
    put(copy, f"{OPENINGS}/{first}", values[1])
    put(copy, f"{OPENINGS}/{second}", values[0])
    sign_again(copy, finished)
    assert invalid_checks(copy) == {"opened values"}


@pytest.mark.long
def test_a_byte_changed_at_random_is_found(published, copy):
    source = random.Random(1)
    names = [path.relative_to(published) for path in published.rglob("*") if path.is_file()]
    for _ in range(300):
        name = source.choice(names)
        data = (published / name).read_bytes()
        flip(copy, name, source.randrange(len(data)))
        assert verify(copy).outcome is Outcome.INVALID, name
        put(copy, name, data)


# -- whole files ----------------------------------------------------------------------------------

ONE_OF_EACH = (
    "plan.toml",
    "plan.sig",
    *(f"keyset/{name}" for name in KEY_FILES),
    ENTRIES,
    "transcript/checkpoint.note",
    "transcript/certificate.note",
    MANIFEST,
    *(f"{OPENINGS}/{name}" for name in ("N-0000", "S-0000", "M-0000", "O-0000", "O-0001")),
)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_missing_or_shortened_file_makes_the_result_incomplete_not_invalid(name, published, copy):
    data = (published / name).read_bytes()
    (copy / name).unlink()
    verdict = verify(copy)
    assert verdict.outcome is Outcome.INCOMPLETE
    assert name in verdict.errors[0].subject
    for length in (0, len(data) - 1):
        put(copy, name, data[:length])
        verdict = verify(copy)
        assert verdict.outcome is Outcome.INCOMPLETE, length
        assert {error.code for error in verdict.errors} == {"RF-VERIFY-002"}


def test_an_empty_folder_and_no_folder_are_incomplete(tmp_path):
    assert verify(tmp_path).outcome is Outcome.INCOMPLETE
    assert verify(tmp_path / "nothing").outcome is Outcome.INCOMPLETE


def test_what_is_missing_does_not_hide_what_is_wrong(copy):
    (copy / OPENINGS / "M-0000").unlink()
    flip(copy, "keyset/CompressedServerKey", 100)
    assert invalid_checks(copy) == {"files"}


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_longer_file_is_found(name, published, copy):
    put(copy, name, (published / name).read_bytes() + b"\n")
    assert verify(copy).outcome is Outcome.INVALID


@pytest.mark.parametrize("folder", ["keyset", "transcript", OPENINGS])
def test_a_file_that_nobody_signed_is_found(folder, copy):
    (copy / folder / "more").write_bytes(b"")
    assert invalid_checks(copy) == {"files"}
    (copy / folder / "more").unlink()
    (copy / folder / "more").mkdir()
    assert invalid_checks(copy) == {"files"}


# -- another manifest -----------------------------------------------------------------------------


def test_a_manifest_signed_by_somebody_else_is_found(finished, copy):
    sign_again(copy, finished, key=finished.key("op-01"))
    assert invalid_checks(copy) == {"manifest signature"}


@pytest.mark.parametrize("folder", ["keyset", OPENINGS])
def test_a_file_that_means_nothing_is_found_though_the_coordinator_signed_it(
    folder, finished, copy
):
    put(copy, f"{folder}/more", b"more")
    sign_again(copy, finished, add=[f"{folder}/more"])
    assert invalid_checks(copy) == {"manifest signature"}


def test_a_made_up_refuted_value_is_found_though_the_coordinator_signed_it(finished, copy):
    name = f"{OPENINGS}/rejected-{'0' * 64}"
    put(copy, name, b"more")
    sign_again(copy, finished, add=[name])
    assert invalid_checks(copy) == {"refuted values"}


def test_a_manifest_that_leaves_a_file_out_is_found(finished, copy):
    sign_again(copy, finished, drop=[f"{OPENINGS}/N-0000"])
    assert invalid_checks(copy) == {"manifest signature", "files"}


def test_a_coordinator_that_signs_another_key_file_is_found(finished, copy):
    flip(copy, "keyset/CompressedXofKeySet", 2_000_000)
    sign_again(copy, finished)
    assert invalid_checks(copy) == {"key files"}


def test_a_coordinator_that_signs_another_opened_value_is_found(finished, copy):
    flip(copy, f"{OPENINGS}/M-0000", 1000)
    sign_again(copy, finished)
    assert invalid_checks(copy) == {"opened values"}


# -- another plan ---------------------------------------------------------------------------------


def test_only_the_pinned_plan_tells_a_strangers_ceremony_from_ours(finished, tmp_path):
    stranger = run_ceremony(seed="ff" * 16)
    stranger.publish(tmp_path)
    assert verify(tmp_path).outcome is Outcome.OK
    assert verify(tmp_path, stranger.plan.hash.hex().upper()).outcome is Outcome.OK
    verdict = verify(tmp_path, finished.plan.hash.hex())
    assert verdict.outcome is Outcome.INVALID
    assert [error.code for error in verdict.errors] == ["RF-VERIFY-007"]


def test_an_empty_plan_hash_pins_nothing_by_accident(published):
    assert verify(published, "").outcome is Outcome.INVALID
