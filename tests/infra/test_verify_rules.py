"""What signatures and digests do not show: logs that end early, equations, acceptance, absences."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from infra.board.admission import Admission
from infra.publish.files import batch_keys, opening_path
from infra.publish.manifest import MANIFEST
from infra.verify import Outcome, ceremony, evidence, keyset, openings, verify
from infra.verify.opened import objection_to, sum_of
from infra.verify.openings import Openings
from infra.verify.progress import Progress
from infra.verify.survey import Measured, survey
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.entries import Announcement, Decoded, KeySet, Seal, SetupSeal
from mpc_core.protocol.errors import CeremonyError
from tests.support.published import run_ceremony, undisturbed

QUIET = Progress(print)


@pytest.fixture(scope="module")
def finished():
    return undisturbed()


@pytest.fixture(scope="module")
def published(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    finished.publish(folder)
    return folder


@pytest.fixture(scope="module")
def state(finished):
    return finished.state()


@pytest.fixture
def files(published):
    found = evidence.Evidence(published, {})
    evidence.read_manifest(found)
    return found


@pytest.fixture
def rules(files):
    return evidence.read_plan(files, None)[0]


@pytest.fixture
def values(files, rules, state):
    found = survey(files, None, rules, state.log, QUIET)
    return openings.read_openings(files, rules, state.log, found)[0]


class AlteredEvidence(evidence.Evidence):
    """Files of which one is not what it was."""

    def view(self, name):
        data = bytearray(super().view(name))
        if name == self.altered[0]:
            data[self.altered[1]] ^= self.altered[2]
        return memoryview(bytes(data))


def altered(rules, values, name, at=0, by=2):
    """Return openings of which one is another value than its root says."""
    files = AlteredEvidence(values.evidence.folder, values.evidence.sizes)
    files.altered = (name, at, by)
    root, before = next((r, m) for r, m in values.found.items() if m.record.path == name)
    data = files.view(name)
    sums = {}
    for claim in before.sums:
        with suppress(CeremonyError):
            sums[claim] = sum_of(rules, claim, data)
    batch = next(
        rules.layout.batch(*k) for k in batch_keys(rules.layout) if opening_path(k) == name
    )
    measured = Measured(before.record, sums, objection_to(batch, data))
    return Openings(files, values.found | {root: measured}, values.kept, values.taken)


def finding(check, *given):
    with pytest.raises(CeremonyError) as caught:
        check(*given)
    return caught.value


# -- a log that ends too early --------------------------------------------------------------------


def cut_before(finished, kind):
    """Return the log up to the last entry of a kind, that one left out."""
    positions = [entry.position for entry in finished.state().log if isinstance(entry.entry, kind)]
    return finished.envelopes[: positions[-1]]


@pytest.mark.parametrize(
    ("kind", "check", "code"),
    [
        (SetupSeal, "setup", "RF-VERIFY-031"),
        (Seal, "seal", "RF-VERIFY-033"),
        (KeySet, "key set", "RF-VERIFY-042"),
        (Announcement, "announcement", "RF-VERIFY-034"),
    ],
)
def test_a_log_that_really_ended_before_a_statement_proves_no_key(
    kind, check, code, request, finished
):
    rules, values = request.getfixturevalue("rules"), request.getfixturevalue("values")
    log = finished.state().log[: len(cut_before(finished, kind))]
    state, _ = ceremony.fold(rules, log, values)
    checks = {
        "setup": (ceremony.check_setup, rules, state),
        "seal": (ceremony.check_seal, rules, state),
        "key set": (
            keyset.check_digest,
            rules,
            state,
            dict.fromkeys(
                ("CompactPublicKey", "CompressedServerKey", "CompressedXofKeySet"), bytes(32)
            ),
        ),
        "announcement": (ceremony.check_announcement, rules, state),
    }
    assert finding(*checks[check]).code == code


def test_a_signed_log_without_the_announcement_is_not_valid(finished, tmp_path):
    log = cut_before(finished, Announcement)
    finished.publish(tmp_path, envelopes=log, checkpoint=finished.checkpoint(log))
    verdict = verify(tmp_path)
    assert [error.code for error in verdict.errors] == ["RF-VERIFY-034"]


def test_a_log_with_an_entry_less_than_was_signed_is_found(finished, tmp_path):
    log = finished.envelopes[:-1]
    finished.publish(tmp_path, envelopes=log)
    assert verify(tmp_path)["checkpoint"].error.code == "RF-VERIFY-013"


def test_a_log_in_another_order_is_found(finished, tmp_path):
    log = [finished.envelopes[1], finished.envelopes[0], *finished.envelopes[2:]]
    finished.publish(tmp_path, envelopes=log)
    assert verify(tmp_path)["checkpoint"].error.code == "RF-VERIFY-013"


@pytest.mark.parametrize("part", ["head_signatures", "certificate_signatures"])
def test_a_checkpoint_of_fewer_than_a_quorum_is_found(part, finished, tmp_path):
    checkpoint = finished.checkpoint(finished.envelopes)
    fewer = replace(checkpoint, **{part: getattr(checkpoint, part)[:2]})
    finished.publish(tmp_path, checkpoint=fewer)
    assert verify(tmp_path)["checkpoint"].error.code == "RF-VERIFY-012"


def test_entries_out_of_turn_are_void_and_said_to_be(finished, tmp_path):
    log = [*finished.envelopes[:50], *finished.envelopes[51:]]
    finished.publish(tmp_path, envelopes=log, checkpoint=finished.checkpoint(log))
    verdict = verify(tmp_path)
    assert verdict.outcome is Outcome.INVALID
    assert verdict["batches"].outcome is Outcome.INVALID
    assert "void: " in verdict["rules"].detail


# -- the equations --------------------------------------------------------------------------------


def test_the_equation_of_every_kind_of_batch_is_evaluated_whatever_its_state_says(
    rules, state, values
):
    kinds = {rules.layout.batch(*key).purpose: key for key in batch_keys(rules.layout)}
    assert len(kinds) == 8
    log = {
        (entry.entry.batch.stage, entry.entry.batch.batch): entry
        for entry in state.log
        if isinstance(entry.entry, Decoded)
    }
    for key in kinds.values():
        wrong = altered(rules, values, opening_path(key))
        error = finding(openings.check_challenges, rules, state, wrong)
        assert error.code == "RF-VERIFY-024", key
        assert f"entry {log[key].position} of the log" in error.subject
        assert error.operator == rules.plan.name_of(log[key].author)


def test_an_answer_off_the_polynomial_fails_the_equation(rules, values, finished):
    state = finished.state()
    turn = state.opening(("M", 0)).rounds[0]
    turn.answers[2] = bytes(len(turn.answers[2]))
    error = finding(openings.check_challenges, rules, state, values)
    assert (error.code, error.found) == ("RF-VERIFY-024", "4 answers on no polynomial")


def test_contradicting_answers_in_the_log_are_named(rules, state, values):
    log = list(state.log)
    answers = [
        entry.position
        for entry in log
        if entry.entry.kind == "answer" and entry.entry.batch == BatchName("N", 0)
    ]
    entry = log[answers[0]]
    log[answers[0]] = replace(
        entry, entry=replace(entry.entry, values=bytes(len(entry.entry.values)))
    )
    error = finding(ceremony.fold, rules, tuple(log), values)
    assert error.code == "RF-VERIFY-030"
    assert error.subject.endswith(f"entries {', '.join(map(str, answers))} of the log")


@pytest.mark.parametrize("stage", ["N", "S"])
def test_an_odd_opening_of_random_bits_is_found(stage, rules, state, values):
    wrong = altered(rules, values, opening_path((stage, 0)), by=1)
    error = finding(openings.check_values, rules, state, wrong)
    assert error.code == "RF-VERIFY-022"
    assert "RF-BATCH-020" in error.subject


def test_an_opening_wider_than_its_ring_is_found(rules, state, values):
    """The elements of the last weight group have fewer bits than bytes."""
    batch = next(b for b in rules.layout.noise if (b.word_bits - b.element_groups[-1][0]) % 8)
    wrong = altered(rules, values, opening_path(("N", batch.index)), -1, 0x80)
    error = finding(openings.check_values, rules, state, wrong)
    assert "RF-BATCH-003" in error.subject


# -- acceptance -----------------------------------------------------------------------------------


def test_a_seed_wider_than_128_bits_is_found(rules, state, values):
    wrong = altered(rules, values, opening_path(("O", 0)), 16)
    assert finding(keyset.check_seed, state, wrong).code == "RF-VERIFY-040"


def test_another_seed_or_body_gives_other_files(files, rules, state, values):
    seed, _ = keyset.check_seed(state, values)
    error = finding(keyset.check_rebuilt, files, rules, values, bytes(16), QUIET)
    assert error.code == "RF-VERIFY-041"
    wrong = altered(rules, values, opening_path(("O", 1)))
    assert finding(keyset.check_rebuilt, files, rules, wrong, seed, QUIET).code == "RF-VERIFY-041"


def test_other_files_than_the_signed_ones_are_found(rules, state, files, values):
    seed, _ = keyset.check_seed(state, values)
    digests, _ = keyset.check_rebuilt(files, rules, values, seed, QUIET)
    assert keyset.check_digest(rules, state, digests)
    digests["CompactPublicKey"] = bytes(32)
    error = finding(keyset.check_digest, rules, state, digests)
    assert error.code == "RF-VERIFY-042"
    assert f"entry {state.release.key_set.position} of the log" in error.subject


def test_an_audit_that_is_not_zero_is_found_in_each_ring(rules, values):
    audits = [batch for batch in rules.layout.assembly if batch.purpose == "audit"]
    assert {batch.word_bits for batch in audits} == {64, 128}
    for batch in audits:
        wrong = altered(rules, values, opening_path(("O", batch.index)), -1)
        error = finding(keyset.check_audit, rules, wrong)
        assert f"{batch.word_bits}-bit" in error.subject


@pytest.mark.parametrize(("at", "by"), [(7, 0x08), (6, 0x80)])
def test_another_plaintext_or_none_at_all_is_found(at, by, rules, values):
    """A block's place is bits 59 and up; half of it is no message within flood and noise."""
    tests = next(batch for batch in rules.layout.assembly if batch.purpose == "tests")
    wrong = altered(rules, values, opening_path(("O", tests.index)), at, by)
    assert finding(keyset.check_tests, rules, wrong).code == "RF-VERIFY-044"


def test_an_audit_opened_before_the_key_set_was_named_is_found(rules, finished):
    state = finished.state()
    audit = next(batch for batch in rules.layout.assembly if batch.purpose == "audit")
    state.opening(("O", audit.index)).rounds[0].position = state.release.key_set.position - 1
    assert finding(ceremony.check_announcement, rules, state).code == "RF-VERIFY-035"


# -- ceremonies that did not run smoothly ---------------------------------------------------------


def test_a_ceremony_that_went_on_without_an_operator_is_valid_and_says_so(tmp_path):
    def prepare(running):
        running.at["M-0"] = lambda: running.stop(4)

    run_ceremony(prepare=prepare).publish(tmp_path)
    verdict = verify(tmp_path)
    assert verdict.outcome is Outcome.OK, verdict.errors
    assert verdict["seal"].detail.endswith("written off: op-04")


def lying_decoder(running):
    """Let one operator open another value than its list gives and serve that, once."""
    party, lied = running.party(2), []

    def altered(entry):
        if lied or not (isinstance(entry, Decoded) and entry.batch.stage == "M"):
            return entry
        lied.append(entry)
        data = bytearray(party.blobs.read(entry.root))
        data[0] ^= 2
        return replace(entry, root=party.blobs.publish(bytes(data), "M"))

    running.at["M-0"] = lambda: setattr(party.log, "tamper", altered)


def test_a_round_whose_value_was_refuted_is_shown_with_that_value(tmp_path):
    finished = run_ceremony(prepare=lying_decoder)
    finished.publish(tmp_path)
    verdict = verify(tmp_path)
    assert verdict.outcome is Outcome.OK, verdict.errors
    assert verdict["refuted values"].detail.startswith("1 rounds")
    assert len(list(tmp_path.glob("transcript/openings/rejected-*"))) == 1
    (tmp_path / MANIFEST).unlink()
    assert verify(tmp_path).outcome is Outcome.INCOMPLETE
    without = tmp_path / "without"
    without.mkdir()
    finished.publish(without, rejected=())
    assert verify(without).outcome is Outcome.INVALID


def test_an_admitted_log_is_what_the_transcript_holds(finished, state):
    admission = Admission(finished.plan)
    log = tuple(admission.admit(data, admission.check(data)) for data in finished.envelopes)
    assert log == state.log
