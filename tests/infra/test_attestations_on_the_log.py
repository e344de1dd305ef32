"""Documents of enclaves between a process and the log, and what who verifies makes of them."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from cryptography import x509

from infra.board import wire
from infra.board.copy import LogFile
from infra.drill.false_enclaves import FALSE_ENCLAVES
from infra.drill.lying_enclave import insecurely_replaced
from infra.drill.thief import STOLEN_CERTIFICATE, Thief
from infra.enclave.insecure_software import SOFTWARE_ENCLAVE
from infra.enclave.peers import examiner_of
from infra.homes import Home
from infra.party.attesting import (
    Documents,
    host_attestation,
    operator_attestation,
    operator_identity,
)
from infra.party.enclave import enclave_of
from infra.plan.document import parse_plan, render_plan
from infra.report.incidents import _refused
from infra.transport import attestation
from infra.transport.outbox import make_app
from infra.verify.attestations import check_attestations
from mpc_core.protocol.attestations import MOST_REFUSALS
from mpc_core.protocol.entries import Address, Attestation, KemKey, Refused
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.state import CeremonyState
from tests.support.attested import AttestedWorld
from tests.support.ledger import Ledger, digest
from tests.support.transport import serving

OF_ANOTHER_TIME = {"old-document", "future-document"}


@pytest.fixture(scope="module")
def world():
    return AttestedWorld()


def _ledger(plan, examine):
    ledger = Ledger(plan=plan)
    ledger.state = CeremonyState(plan, ledger.rules, ledger.arithmetic, examine=examine)
    return ledger


@pytest.fixture
def ledger(world):
    return _ledger(world.plan, examiner_of(world.plan))


def _shown(world, name, kind=None, kem_key=b""):
    """Return the entry of what an operator shows, with a false enclave of some kind."""
    enclave = world.enclave(name)
    if kind is not None:
        enclave = FALSE_ENCLAVES[kind].made(enclave, world.root)
    identity = world.identity(name, enclave=enclave)
    identity.attestation.kem_key = kem_key
    identity.server_context()
    shown = identity.attestation.shown
    return Attestation(0, shown.tls_key, shown.kem_key, shown.document)


def _verified(world, ledger):
    return check_attestations(SimpleNamespace(plan=world.plan), ledger.state)


# -- what counts on the log -----------------------------------------------------------------------


def test_a_document_that_is_shown_on_connections_counts_on_the_log(world, ledger):
    assert ledger.post(2, _shown(world, "op-02")) is None


@pytest.mark.parametrize("kind", sorted(set(FALSE_ENCLAVES) - OF_ANOTHER_TIME))
def test_a_document_of_a_false_enclave_is_void_under_the_code_of_its_refusal(world, ledger, kind):
    reason = ledger.post(2, _shown(world, "op-02", kind))
    assert reason == f"the document does not count: {FALSE_ENCLAVES[kind].code}"


@pytest.mark.parametrize("kind", sorted(OF_ANOTHER_TIME))
def test_a_document_is_right_at_its_own_time_and_the_log_is_read_for_ever(world, ledger, kind):
    assert ledger.post(2, _shown(world, "op-02", kind)) is None


@pytest.mark.parametrize("change", [{"tls_key": b"k"}, {"kem_key": b"k"}])
def test_a_document_counts_for_the_keys_only_that_it_binds(world, ledger, change):
    reason = ledger.post(2, replace(_shown(world, "op-02"), **change))
    assert reason == "the document does not count: RF-ATTEST-008"


def test_a_document_counts_for_its_author_only(world, ledger):
    reason = ledger.post(3, _shown(world, "op-02"))
    assert reason == "the document does not count: RF-ATTEST-006"


# -- what who verifies finds ----------------------------------------------------------------------


def test_every_document_is_verified_again_and_what_did_not_count_is_listed(world, ledger):
    key = digest("kem", 2)
    ledger.post(2, _shown(world, "op-02", kem_key=key))
    ledger.post(2, KemKey(key))
    ledger.post(4, _shown(world, "op-04", "debug"))
    for operator in (1, 2):
        ledger.post(operator, Refused(4, "RF-ATTEST-004"))
    fine, said = _verified(world, ledger)
    assert fine
    assert said.startswith("1 documents of 1 operators; void: entry 2 by op-04")
    assert "op-04 refused by op-01, op-02: RF-ATTEST-004" in said


@pytest.mark.parametrize("kind", ["changed-code", "other-key"])
def test_operators_that_let_a_wrong_document_count_convince_nobody(world, kind):
    ledger = _ledger(world.plan, lambda *_: "")
    assert ledger.post(2, _shown(world, "op-02", kind)) is None
    with pytest.raises(CeremonyError, match="RF-VERIFY-070") as caught:
        _verified(world, ledger)
    assert FALSE_ENCLAVES[kind].code in caught.value.found


def test_a_kem_key_that_no_document_binds_convinces_nobody(world):
    ledger = _ledger(replace(world.plan, attestation=None), None)
    assert ledger.post(2, KemKey(b"key")) is None
    with pytest.raises(CeremonyError, match="RF-VERIFY-070"):
        _verified(world, ledger)


def test_the_report_says_who_was_refused_by_whom_and_why(world, ledger):
    for operator in (1, 3):
        ledger.post(operator, Refused(4, "RF-ATTEST-005"))
    (incident,) = _refused(ledger.state, world.plan)
    assert incident.who == "op-04"
    assert incident.what.endswith("RF-ATTEST-005")
    assert incident.detection == "refused by op-01, op-03"


def test_who_was_played_by_a_thief_is_not_blamed(world, ledger):
    for operator in (1, 3):
        ledger.post(operator, Refused(2, "RF-PEER-021"))
    (incident,) = _refused(ledger.state, world.plan)
    assert incident.who == "somebody who played op-02"
    assert incident.consequence.endswith("op-02 did nothing")
    _, said = _verified(world, ledger)
    assert "somebody who played op-02 (which did nothing) refused by op-01, op-03" in said


# -- what a process posts -------------------------------------------------------------------------


class _Log:
    def __init__(self, ledger, index):
        self.ledger, self.index = ledger, index

    def read(self, question):
        return question(self.ledger.state)

    def post(self, entry):
        assert self.ledger.post(self.index, entry) is None


def test_what_an_operator_shows_is_posted_once_and_again_when_it_is_renewed(world, ledger):
    identity = world.identity("op-02")
    documents = Documents(world.plan, 2, identity, _Log(ledger, 2))
    assert not documents.are_due(ledger.state)
    for serial in (0, 1):
        identity._leaf = None
        identity.server_context()
        assert documents.are_due(ledger.state)
        documents.post()
        assert not documents.are_due(ledger.state)
        assert ledger.state.attestations.latest(2).entry.serial == serial
    assert len(ledger.entries) == 2


def _renew(identity):
    identity._leaf = None
    identity.server_context()
    return identity.attestation.shown.document


def test_what_was_shown_while_the_host_was_away_is_posted_when_it_is_back(world, ledger):
    identity = world.identity("op-02")
    documents = Documents(world.plan, 2, identity, _Log(ledger, 2))
    shown = [_renew(identity)]
    documents.post()
    shown += [_renew(identity) for _ in range(5)]
    documents.post()
    assert not documents.are_due(ledger.state)
    found = [each.entry for each in ledger.state.attestations.shown]
    assert [each.document for each in found] == shown
    assert [each.serial for each in found] == list(range(6))


def test_of_more_than_two_days_of_documents_the_newest_are_posted(world, ledger, monkeypatch):
    monkeypatch.setattr(attestation, "MOST_UNPOSTED", 3)
    identity = world.identity("op-02")
    documents = Documents(world.plan, 2, identity, _Log(ledger, 2))
    shown = [_renew(identity) for _ in range(5)]
    documents.post()
    assert [each.entry.document for each in ledger.state.attestations.shown] == shown[-3:]
    assert not documents.are_due(ledger.state)


def test_documents_of_an_earlier_process_are_not_posted_again(world, ledger):
    for _ in range(2):
        identity = world.identity("op-02")
        documents = Documents(world.plan, 2, identity, _Log(ledger, 2))
        _renew(identity)
        documents.post()
    found = [each.entry for each in ledger.state.attestations.shown]
    assert [each.serial for each in found] == [0, 1]
    assert found[0].document != found[1].document


def _refusal(operator, code="RF-ATTEST-005"):
    return CeremonyError(code, "it runs other software", operator=operator)


def test_a_refusal_is_posted_once_if_the_refused_had_proved_its_identity(world, ledger):
    identity = world.identity("op-02")
    documents = Documents(world.plan, 2, identity, _Log(ledger, 2))
    for error in (
        _refusal("op-04"),
        _refusal("op-04"),
        _refusal("op-03", "RF-PEER-001"),
        _refusal(""),
        _refusal("coordinator"),
    ):
        identity.report(error)
    documents.post()
    assert [entry.entry for entry in ledger.entries] == [Refused(4, "RF-ATTEST-005")]
    assert not documents.are_due(ledger.state)


def test_who_plays_another_operator_is_on_the_log_but_not_by_the_one_it_played(world):
    stolen = _refusal("op-04", "RF-PEER-021")
    for index, expected in ((2, [Refused(4, "RF-PEER-021")]), (4, [])):
        ledger = _ledger(world.plan, examiner_of(world.plan))
        identity = world.identity(world.plan.name_of(index))
        documents = Documents(world.plan, index, identity, _Log(ledger, index))
        identity.report(stolen)
        documents.post()
        assert [entry.entry for entry in ledger.entries] == expected


def test_a_peer_that_is_refused_for_ever_new_reasons_does_not_fill_the_log(world, ledger):
    identity = world.identity("op-02")
    documents = Documents(world.plan, 2, identity, _Log(ledger, 2))
    for number in range(3 * MOST_REFUSALS):
        identity.report(_refusal("op-04", f"RF-ATTEST-{number:03}"))
    documents.post()
    assert len(ledger.entries) == MOST_REFUSALS


# -- who needs an enclave -------------------------------------------------------------------------


def _home(tmp_path, world, *, root=True):
    home = Home(tmp_path / "op-02")
    home.make()
    if root:
        world.root.save(home.insecure_enclave)
    return home


def test_a_plan_without_a_measurement_asks_for_no_enclave(world, tmp_path):
    plan = replace(world.plan, attestation=None)
    home = _home(tmp_path, world)
    assert enclave_of(home, plan) is None
    assert operator_attestation(home, plan) is None
    assert host_attestation(plan) is None


def test_a_plan_with_a_measurement_lets_nobody_start_without_an_enclave(world, tmp_path):
    home = _home(tmp_path, world, root=False)
    with pytest.raises(CeremonyError, match="RF-ATTEST-013"):
        enclave_of(home, world.plan)
    with pytest.raises(CeremonyError, match="RF-ATTEST-010"):
        enclave_of(home, replace(world.plan, insecure=()))


def test_a_test_root_in_the_home_stands_in_for_no_real_enclave(world, tmp_path):
    with pytest.raises(CeremonyError, match="RF-ATTEST-010"):
        enclave_of(_home(tmp_path, world), replace(world.plan, insecure=()))


def test_only_a_sandbox_has_false_enclaves(world, tmp_path):
    home = replace(_home(tmp_path, world), insecure_lie="debug")
    honest = enclave_of(home, world.plan)
    assert insecurely_replaced(honest, home).module is not honest.module
    elsewhere = replace(honest, plan=replace(world.plan, sandbox=False))
    with pytest.raises(CeremonyError, match="RF-ATTEST-011"):
        insecurely_replaced(elsewhere, home)


def test_only_a_sandbox_has_thieves(world, tmp_path):
    key = world.parties.identities["op-02"]
    home = replace(_home(tmp_path, world), insecure_lie=STOLEN_CERTIFICATE)
    with pytest.raises(CeremonyError, match="RF-ATTEST-011"):
        operator_identity(home, replace(world.plan, sandbox=False), key)
    honest = operator_identity(replace(home, insecure_lie="debug"), world.plan, key)
    assert not isinstance(honest, Thief)


def test_a_thief_has_seen_its_certificate_at_its_victims_address(world, tmp_path):
    victim = world.identity("op-01")
    with serving(make_app(victim), victim) as port:
        home = replace(_home(tmp_path, world), insecure_lie=STOLEN_CERTIFICATE)
        keys, plan = world.parties.identities, world.plan
        posted = wire.sign_entry(Address(0, "127.0.0.1", port), plan, 1, keys["op-01"])
        log = LogFile(home.log_copy)
        log.add_entries([posted])
        log.close()
        thief = operator_identity(home, plan, keys["op-02"])
    assert isinstance(thief, Thief)
    shown, own = (x509.load_pem_x509_certificate(each.leaf()[0]) for each in (thief, victim))
    assert shown == own


def test_a_plan_names_a_test_root_exactly_if_software_stands_in_for_enclaves(world):
    document = parse_plan(world.parties.signed.toml)
    measured = document.measurement.model_copy(update={"insecure_root": None})
    for update in ({"measurement": measured}, {"insecure": ()}):
        wrong = document.model_copy(update=update)
        with pytest.raises(CeremonyError, match="RF-PLAN-019"):
            parse_plan(render_plan(wrong))
    assert SOFTWARE_ENCLAVE in document.insecure
