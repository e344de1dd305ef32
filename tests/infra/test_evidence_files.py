"""Files of evidence convince whoever has only the plan, and no other file does."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from infra.board import strict
from infra.board.copy import MemoryCopy
from infra.board.equivocation import HeadWatch
from infra.board.notes import Head, sign_head
from infra.board.replica import Replica
from infra.cli.main import app
from infra.evidence import cases
from infra.evidence.bundle import EQUIVOCATION, Bundle, decode_bundle
from infra.evidence.check import check_bundle
from infra.evidence.source import open_source
from infra.publish import Keeps
from mpc_core.protocol.entries import Evidence
from mpc_core.protocol.errors import CeremonyError
from tests.infra.test_verify_blame import accused, burnt, wrong_decoder
from tests.support.published import run_ceremony, undisturbed

MAKE = {
    "vector": lambda: run_ceremony(prepare=accused),
    "decoder": lambda: run_ceremony(prepare=wrong_decoder),
    "recomputed": lambda: burnt(("M", 1)),
}
RUNNER = CliRunner()


@pytest.fixture(scope="module", params=list(MAKE))
def case(request, tmp_path_factory):
    """Return ground, folder of a ceremony with one exclusion, and the file that proves it."""
    folder = tmp_path_factory.mktemp(request.param)
    MAKE[request.param]().publish(folder, keeps=Keeps.ASSEMBLY)
    file = folder / "evidence.cbor"
    run("show", str(folder), "1", "--output", str(file))
    return request.param, folder, file


def run(*words, code=0):
    result = RUNNER.invoke(app, ["evidence", *words])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def test_every_exclusion_is_listed_with_what_it_rests_on(case):
    ground, folder, _ = case
    (listed,) = json.loads(run("list", str(folder), "--json"))["accusations"]
    assert (listed["accused"], listed["ground"]) == ("op-02", ground)
    assert listed["verdict"].startswith("excluded at entry ")
    assert len(set(listed["confirmed_by"])) >= 2
    assert bool(listed["accusers"]) == (ground != "recomputed")
    assert f"op-02  {ground}" in run("list", str(folder))


def test_a_file_of_evidence_convinces_who_has_only_the_plan(case):
    ground, _, file = case
    bundle = decode_bundle(file.read_bytes())
    plan_hash = check_bundle(bundle).plan_hash
    said = run("verify", str(file), "--plan-hash", plan_hash)
    assert said.splitlines()[-1].startswith(f"proven: op-02, ground {ground} in batch ")
    assert json.loads(run("verify", str(file), "--json"))["proven"]
    assert json.loads(run("verify", str(file), "--plan-hash", "00" * 32, "--json", code=4))[
        "error"
    ]["code"] == ("RF-PLAN-008")


def refused(bundle: Bundle) -> str:
    with pytest.raises(CeremonyError) as caught:
        check_bundle(bundle)
    return caught.value.code


def test_nobody_else_is_convicted_by_it(case):
    _, _, file = case
    bundle = decode_bundle(file.read_bytes())
    for index in (0, 1, 3, 4, 5, 1 << 40):
        assert refused(replace(bundle, accused=index)) == "RF-VERIFY-060"
    for ground in {"vector", "decoder", "recomputed", "hearsay", "equivocation"} - {bundle.ground}:
        assert refused(replace(bundle, ground=ground)) in {"RF-VERIFY-060", "RF-LOG-036"}
    assert refused(replace(bundle, round=bundle.round + 1)) == "RF-VERIFY-060"
    assert refused(replace(bundle, round=1 << 60)) == "RF-VERIFY-060"
    assert refused(replace(bundle, context=bytes(32))) == "RF-VERIFY-060"


def test_an_honest_operator_is_not_convicted_by_the_best_file_against_it(case):
    """Everything that is on the log about it, below the same head, and the same data."""
    ground, folder, file = case
    bundle, source = decode_bundle(file.read_bytes()), open_source(folder)
    (opening,) = (each for each in source.state.ever_opened if each.context == bundle.context)
    honest = sorted(opening.rounds[bundle.round].answers.keys() - {bundle.accused})
    assert honest
    shown = next(each for each in cases._found(source) if each.accusation.ground == ground)
    for index in honest:
        accusation = replace(shown.accusation, accused=index)
        made = cases._bundle(source, replace(shown, accusation=accusation))
        assert (made.accused, made.data, made.checkpoint) == (
            index,
            bundle.data,
            bundle.checkpoint,
        )
        assert len(made.entries) >= len(bundle.entries)
        both = {each.position: each for each in (*bundle.entries, *made.entries)}
        everything = tuple(both[position] for position in sorted(both))
        for entries in (made.entries, everything, everything[::-1]):
            assert refused(replace(made, entries=entries)) == "RF-VERIFY-060"


def test_two_heads_of_one_epoch_convict_their_signer_and_nobody_else():
    finished = undisturbed()
    replica, kept = Replica(finished.plan, MemoryCopy()), []
    replica.receive(0, finished.envelopes)
    watch = HeadWatch(replica, lambda signer, found: kept.append(found))
    size = len(finished.envelopes)
    for root in (replica.root(size), bytes(32)):
        head = Head(0, size, root)
        watch.saw(head, sign_head(finished.plan, head, 2, finished.key("op-02")))
    (evidence,) = map(strict.encode, kept)
    signed = finished.parties.signed
    plan = (signed.toml, signed.signatures)
    bundle = Bundle(1, *plan, "", "", 2, EQUIVOCATION, b"", 0, (), (), (evidence,))
    proven = check_bundle(bundle, finished.plan.hash.hex())
    assert (proven.operator, proven.ground) == ("op-02", EQUIVOCATION)
    for index in (1, 3, 4):
        assert refused(replace(bundle, accused=index)) == "RF-VERIFY-060"
    for data in ((), (evidence, evidence), (evidence[:-1],)):
        assert refused(replace(bundle, data=data)) == "RF-LOG-036"


def test_data_with_any_wrong_byte_proves_nothing(case):
    _, _, file = case
    bundle = decode_bundle(file.read_bytes())
    for number, data in enumerate(bundle.data):
        for at in (0, len(data) // 2, len(data) - 1):
            changed = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
            others = (*bundle.data[:number], changed, *bundle.data[number + 1 :])
            assert refused(replace(bundle, data=others)) == "RF-VERIFY-060"
    if len(bundle.data) > 1:
        assert refused(replace(bundle, data=bundle.data[::-1])) == "RF-VERIFY-060"
    assert refused(replace(bundle, data=(*bundle.data, b"more"))) == "RF-VERIFY-060"


def test_without_any_of_its_parts_it_proves_nothing(case):
    ground, _, file = case
    bundle = decode_bundle(file.read_bytes())
    assert refused(replace(bundle, data=())) == "RF-VERIFY-060"
    assert refused(replace(bundle, data=tuple(each[:-1] for each in bundle.data))) is not None
    assert refused(replace(bundle, entries=())) == "RF-VERIFY-060"
    assert refused(replace(bundle, checkpoint="")) == "RF-LOG-015"
    moved = tuple(replace(each, position=each.position + 1) for each in bundle.entries)
    assert refused(replace(bundle, entries=moved)) == "RF-VERIFY-060"
    if ground != "decoder":
        assert refused(replace(bundle, prefix_proof=())) == "RF-VERIFY-060"


def test_a_ceremony_without_lies_has_no_accusations(tmp_path):
    undisturbed().publish(tmp_path)
    assert run("list", str(tmp_path)) == "nobody is accused of anything\n"
    assert run("show", str(tmp_path), "1", code=1) == ""


def test_a_folder_without_a_log_is_refused(tmp_path):
    run("list", str(tmp_path), code=1)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 40, strict.encode((1, 2))])
def test_bytes_that_are_no_bundle_are_refused(data, tmp_path):
    with pytest.raises(CeremonyError, match="RF-EVIDENCE-002"):
        decode_bundle(data)
    (tmp_path / "x").write_bytes(data)
    run("verify", str(tmp_path / "x"), code=4)


def test_another_version_of_the_format_is_refused(case):
    bundle = decode_bundle(case[2].read_bytes())
    with pytest.raises(CeremonyError, match="RF-EVIDENCE-002"):
        decode_bundle(strict.encode(replace(bundle, version=2)))


def test_bogus_evidence_is_listed_as_not_confirmed(tmp_path):
    def prepare(running):
        def accuse():
            party, state = running.party(4), running.log.state
            opening = state.opening(("N", 0))
            data = bytes(1000)
            root = party.blobs.publish(data, "N")
            name, context = opening.name, opening.context
            party.log.post(Evidence(1, "decoder", name, context, 0, root, len(data)))

        running.at["M-0"] = accuse

    run_ceremony(prepare=prepare).publish(tmp_path)
    (listed,) = json.loads(run("list", str(tmp_path), "--json"))["accusations"]
    assert listed["verdict"] == "not confirmed by 2: 0 so far"
    assert listed["accusers"] == ["op-04"]
