"""People outside of an enclave decide and approve, and nobody else does in their name."""

import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from activities.rejoin import approval_name, plea_name
from activities.voices import Voices
from infra.board import wire
from infra.cli.main import app
from infra.governance.standing import STANDING
from infra.objects.desk import FOLDER
from infra.party.approvals import sign_approval
from infra.party.noticeboard import Noticeboard
from infra.party.vault import open_vault
from mpc_core.protocol.entries import Decision
from tests.image.enclosed import NAME
from tests.support.ledger import Ledger
from tests.support.plans import speakers

KEY, INDEX = bytes(range(32)), 2


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


class Enclave:
    """What a started operator does for its people, with a log that the test writes."""

    def __init__(self, operator):
        self.draft, self.signatures, home = operator.begun()
        self.plan = self.draft.to_plan()
        self.vault = open_vault(home, self.plan)
        self.ledger = Ledger(plan=self.plan)
        self.people = operator.people(self.draft, self.signatures)
        self.anna, self.ben = (self.people.parent / name for name in ("anna", "ben"))
        key = self.vault.identity.ed25519
        self.board = Noticeboard(self.vault.desk, self.plan, key, self)

    def read(self, question):
        return question(self.ledger.state)

    def opened(self, envelope):
        signed = wire.decode(envelope, self.plan)
        return signed.entry, signed.signers

    def post_voices(self):
        """Post what its people left, as the operator's own thread does."""
        operator = SimpleNamespace(work=self.vault.work, log=self, index=INDEX)
        waiting = [self.opened(each) for each in Voices(operator).waiting()]
        for entry, signers in waiting:
            self.ledger.post(signers, entry)
        return [entry for entry, _ in waiting]

    def decide(self, what, *more):
        return run("decide", what, "--home", self.people, *more)


@pytest.fixture
def enclave(operator):
    operator.speakers = speakers()
    return Enclave(operator)


def test_who_speaks_for_an_enclave_decides_by_way_of_its_bucket(enclave):
    assert enclave.board.is_due()
    enclave.board.tell()
    assert not enclave.board.is_due()
    said = ("--representative", enclave.ben, "--reason", "power cut", "--json")
    result = enclave.decide("pause", *said)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["needed"] == enclave.plan.decision_rules.pause
    assert enclave.post_voices() == [Decision("pause", 0, 0, "power cut")]
    assert enclave.post_voices() == []
    for other in (1, 3):
        enclave.ledger.post(other, Decision("pause", 0, 0, ""))
    assert enclave.ledger.state.decisions.is_paused
    assert enclave.board.is_due()
    enclave.board.tell()
    shown = json.loads(run("decisions", enclave.people, "--json").stdout)["decisions"]
    assert [each["signed_by"] for each in shown] == [["op-02", "op-01", "op-03"]]
    assert enclave.decide("resume", "--representative", enclave.ben).exit_code == 0
    assert enclave.post_voices() == [Decision("resume", 1, 0, "")]


def test_a_voice_of_an_earlier_note_counts_nowhere(enclave):
    enclave.board.tell()
    for other in (1, 3, 4):
        enclave.ledger.post(other, Decision("pause", 0, 0, ""))
    assert enclave.decide("pause", "--representative", enclave.ben).exit_code == 0
    assert enclave.post_voices() == []
    assert enclave.vault.desk.names("voices") == ()


@pytest.mark.parametrize("somebody", [(), ("--representative", "anna")])
def test_nobody_else_decides_for_an_enclave(enclave, somebody):
    enclave.board.tell()
    named = [enclave.anna if each == "anna" else each for each in somebody]
    result = enclave.decide("abort", *named)
    assert result.exit_code == 1
    assert ("RF-PLAN-010" if somebody else "RF-GOVERN-010") in result.stderr
    assert enclave.vault.desk.names("voices") == ()


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: data[:-1] + b"x"])
def test_a_note_that_its_enclave_did_not_sign_is_not_believed(enclave, spoil):
    enclave.board.tell()
    note = enclave.vault.desk.read(STANDING)
    enclave.vault.desk.write(STANDING, spoil(note))
    for result in (
        enclave.decide("pause", "--representative", enclave.ben),
        run("decisions", enclave.people),
    ):
        assert result.exit_code == 1
        assert "RF-GOVERN-009" in result.stderr


def test_who_can_write_into_the_bucket_approves_nothing(enclave, operator):
    enclave.vault.work.write(plea_name(3), KEY)
    admit = ("operator", "admit", "--home", enclave.people, "--operator", "op-03")
    assert KEY.hex() in run(*admit).stdout
    read = lambda: enclave.vault.store.read(approval_name(3))  # noqa: E731 - asked again and again
    known = speakers()
    for false in (
        KEY,
        KEY + bytes(3373),
        sign_approval(enclave.plan, INDEX, 3, KEY, known["anna"]),
        sign_approval(enclave.plan, INDEX, 4, KEY, known["ben"]),
        sign_approval(enclave.plan, 1, 3, KEY, known["ben"]),
    ):
        enclave.vault.desk.write(approval_name(3), false)
        assert read() is None
    given = ("--key", KEY.hex(), "--representative")
    assert "RF-GOVERN-010" in run(*admit, "--key", KEY.hex()).stderr
    assert "RF-PLAN-010" in run(*admit, *given, enclave.anna).stderr
    assert read() is None
    assert run(*admit, *given, enclave.ben).exit_code == 0
    assert read() == KEY
    lying = {key for key in operator.bucket.keys() if key.startswith(f"{FOLDER}/")}  # noqa: SIM118
    assert lying == {"people/pleas/3", "people/admitted/3"}
    assert not any(path.is_file() for path in (enclave.people / "vault").rglob("*"))


def test_in_a_sandbox_that_names_nobody_approvals_are_what_lies_there(operator):
    enclave = Enclave(operator)
    enclave.vault.work.write(plea_name(3), KEY)
    admit = ("operator", "admit", "--home", enclave.people, "--operator", "op-03")
    assert KEY.hex() in run(*admit).stdout
    assert run(*admit, "--key", KEY.hex()).exit_code == 0
    assert enclave.vault.store.read(approval_name(3)) == KEY


def test_the_enclave_signs_no_plan_alone(operator):
    operator.speakers = speakers()
    draft = operator.plan_with(operator.enrolled())
    others = operator.signed_by_others(draft)
    unspoken = {name: line for name, line in others.items() if name != "ben"}
    assert operator.start(draft, unspoken) is None
    assert operator.start(draft, others) is None
    assert operator.bucket.get("enrolment/plan.sig").data.startswith(NAME.encode())
