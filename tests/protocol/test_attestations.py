"""Documents of enclaves on the log, KEM keys that count only under one, and refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mpc_core.protocol.attestations import MOST_DOCUMENT_BYTES, MOST_REFUSALS
from mpc_core.protocol.entries import (
    Attestation,
    Close,
    Destruction,
    KemKey,
    Refused,
    Seal,
)
from mpc_core.protocol.plan import AttestationRules
from mpc_core.protocol.slots import comes_too_late_after
from mpc_core.protocol.state import CeremonyState
from tests.support.ledger import Ledger, digest, make_plan

WRONG = b"a document of something else"


def _plan():
    return replace(make_plan(), attestation=AttestationRules(((0, b"\1" * 48),), 600))


def _attested(plan):
    """Return a ledger whose documents count unless they are the wrong one; what was examined."""
    ledger, examined = Ledger(plan=plan), []

    def examine(operator, entry):
        examined.append((operator, entry))
        return "RF-ATTEST-005" if entry.document == WRONG else ""

    ledger.state = CeremonyState(plan, ledger.rules, ledger.arithmetic, examine=examine)
    return ledger, examined


@pytest.fixture
def ledger():
    return _attested(_plan())[0]


def _document(operator, serial=0, kem_key=None, document=b"a document"):
    key = digest("kem", operator) if kem_key is None else kem_key
    return Attestation(serial, b"a TLS key", key, document)


def test_a_kem_key_counts_only_under_a_document_of_its_author_that_binds_it(ledger):
    key = KemKey(digest("kem", 2))
    reason = "no document of the author binds this KEM key"
    assert ledger.post(2, key) == reason
    assert ledger.post(1, _document(2)) is None
    assert ledger.post(2, key) == reason
    assert ledger.post(2, _document(2, kem_key=b"another")) is None
    assert ledger.post(2, key) == reason
    assert ledger.post(2, _document(2, serial=1)) is None
    assert ledger.post(2, key) is None
    assert ledger.state.setup.kem_keys == {2: digest("kem", 2)}


def test_without_attestation_in_the_plan_documents_are_void_and_kem_keys_need_none():
    ledger = Ledger()
    assert ledger.post(2, _document(2)) == "the plan asks for no attestation"
    assert ledger.post(2, KemKey(digest("kem", 2))) is None


def test_a_wrong_document_is_void_and_its_author_left_out_of_the_setup(ledger):
    wrong = _document(4, document=WRONG)
    assert ledger.post(4, wrong) == "the document does not count: RF-ATTEST-005"
    for operator in (1, 2, 3):
        assert ledger.post(operator, _document(operator)) is None
        assert ledger.post(operator, KemKey(digest("kem", operator))) is None
    assert ledger.post(4, KemKey(digest("kem", 4)))
    assert ledger.state_by(Close("kem-keys"), without=(4,)) is None
    assert ledger.state.setup.peers_of(1, ledger.state.setup.sets_asked(1, 0)) == (2, 3)
    assert 4 in ledger.state.members.absent


def test_the_last_document_counts_and_each_has_the_next_serial(ledger):
    assert ledger.post(2, _document(2, serial=1)) == "another document is the next one"
    assert ledger.post(2, _document(2)) is None
    assert ledger.post(2, _document(2)) == "another document is the next one"
    assert ledger.post(2, _document(2, serial=1, document=b"a newer one")) is None
    assert ledger.state.attestations.latest(2).entry.document == b"a newer one"
    assert [each.position for each in ledger.state.attestations.shown] == [1, 3]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"document": bytes(MOST_DOCUMENT_BYTES + 1)}, "the document is too long"),
        ({"tls_key": bytes(2049)}, "a key is too long"),
        ({"kem_key": bytes(2049)}, "a key is too long"),
    ],
)
def test_what_is_too_long_is_void_before_anybody_examines_it(change, reason):
    ledger, examined = _attested(_plan())
    assert ledger.post(2, replace(_document(2), **change)) == reason
    assert not examined


def test_a_refusal_counts_once_for_each_reason_and_changes_nothing_else(ledger):
    before = ledger.state.members.health
    assert ledger.post(1, Refused(4, "RF-ATTEST-005")) is None
    assert ledger.post(1, Refused(4, "RF-ATTEST-005")) == "the author has said so already"
    assert ledger.post(2, Refused(4, "RF-ATTEST-005")) is None
    assert [(each.by, each.operator) for each in ledger.state.attestations.refusals] == [
        (1, 4),
        (2, 4),
    ]
    assert ledger.state.members.health == before
    assert not ledger.state.members.excluded


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (Refused(0, "RF-ATTEST-005"), "the refused is not in the plan"),
        (Refused(5, "RF-ATTEST-005"), "the refused is not in the plan"),
        (Refused(1, "RF-ATTEST-005"), "nobody refuses itself"),
        (Refused(2, "RF-ATTEST-5"), "there is no such code"),
        (Refused(2, "RF-LOG-001"), "there is no such code"),
        (Refused(2, "RF-STORE-003"), "there is no such code"),
        (Refused(2, "RF-PEER-001"), "there is no such code"),
        (Refused(2, "RF-ATTEST-005\n"), "there is no such code"),
    ],
)
def test_a_refusal_names_another_operator_and_a_code(ledger, entry, reason):
    assert ledger.post(1, entry) == reason


def test_a_refusal_of_who_plays_an_operator_is_not_one_of_that_operator(ledger):
    assert ledger.post(1, Refused(2, "RF-ATTEST-005")) is None
    assert ledger.post(1, Refused(2, "RF-PEER-021")) is None
    found = [(each.code, each.is_of_another) for each in ledger.state.attestations.refusals]
    assert found == [("RF-ATTEST-005", False), ("RF-PEER-021", True)]


LEAVES = Destruction("arn:aws:kms:eu-west-3:1:key/1", (bytes(32),), 7, 1_800_000_000)


def test_an_operator_says_once_that_it_leaves_and_nothing_follows(ledger):
    before = ledger.state.members.health
    assert ledger.post(2, LEAVES) is None
    assert ledger.post(2, LEAVES) == "the author has said so already"
    assert ledger.post(3, LEAVES) is None
    assert set(ledger.state.attestations.destroyed) == {2, 3}
    assert ledger.state.members.health == before


@pytest.mark.parametrize(
    "change",
    [
        {"kms_key": ""},
        {"kms_key": "k" * 2049},
        {"wrapped_keys": ()},
        {"wrapped_keys": 17 * (bytes(32),)},
        {"wrapped_keys": (bytes(32), bytes(31))},
    ],
    ids=str,
)
def test_a_destruction_of_nothing_is_void(ledger, change):
    assert ledger.post(2, replace(LEAVES, **change))
    assert ledger.state.attestations.destroyed == {}


def test_nobody_fills_the_log_with_refusals(ledger):
    for number in range(MOST_REFUSALS):
        assert ledger.post(1, Refused(2, f"RF-ATTEST-{number:03}")) is None
    full = "the author has given enough reasons"
    assert ledger.post(1, Refused(2, "RF-ATTEST-900")) == full


def test_documents_and_refusals_put_no_seal_off():
    seal = Seal(3, b"root")
    assert not comes_too_late_after(seal, _document(1))
    assert not comes_too_late_after(seal, Refused(2, "RF-ATTEST-005"))
