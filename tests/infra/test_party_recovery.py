"""Direct calls about what was lost, approvals by people, and what a start does about the vault."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from aiohttp import web

from activities.rejoin import approval_name, plea_name
from infra.board import strict, wire
from infra.board.notes import Checkpoint
from infra.board.vault import FileVault
from infra.homes import Home
from infra.party import recovery
from infra.party.admit import admit
from infra.party.peers import PeerBook
from infra.party.recovery import ADMISSION_PATH, ASK_PATH, Helper
from infra.party.seat import readmit, take_seat
from infra.plan import write_signed_plan
from infra.plan.sandbox import sandbox_plan
from infra.stores import FileStore
from infra.transport.client import PeerClient
from infra.transport.outbox import make_app
from mpc_core.protocol.entries import Address, Rejoin, Return
from mpc_core.protocol.errors import CeremonyError
from mpc_core.sharing.recovery import Question
from tests.infra.test_board_replica import PLAN, checkpoint_of, log_of, replica_with, witness_at
from tests.support.board import key_of
from tests.support.transport import QUICK, World, serving

NAMES = tuple(operator.name for operator in PLAN.operators)
QUESTION = Question(2, 1, "children/N", b"a key", "S", b"a proof")
REJOIN = Rejoin(2, 0, bytes(range(32)))


@pytest.fixture
def members():
    return World(
        {name: key_of(index) for index, name in enumerate(NAMES, 1)} | {"coordinator": key_of(0)}
    )


def log_by(index, *, port=0):
    """The log of an operator as calls need it: it signs, and knows the address of everybody."""
    return SimpleNamespace(
        sign=lambda domain, body: (
            wire.endorse(body, PLAN.hash, index, key_of(index), domain).signature
        ),
        endorse=lambda body: wire.endorse(body, PLAN.hash, index, key_of(index)).signature,
        read=lambda _: Address(0, "127.0.0.1", port),
    )


class Steps:
    """What the operator that is called does; notes what it is asked."""

    def __init__(self, objection=""):
        self.asked, self.objection = [], objection

    def give(self, question):
        self.asked.append(question)
        return b"sealed"

    def objection_to_rejoin(self, entry):
        self.asked.append(entry)
        if self.objection.startswith("RF-"):
            raise CeremonyError(self.objection, "no")
        return self.objection


@contextmanager
def calls(members, steps, *, caller=2, signer=None, handlers=None):
    """Yield the peers of an operator that calls op-01."""
    identity = members.identity("op-01")
    app = make_app(identity)
    app.router.add_routes(handlers or Helper(PLAN, steps, log_by(1)).routes())
    with (
        serving(app, identity) as port,
        PeerClient(members.identity(NAMES[caller - 1]), patience=QUICK) as client,
    ):
        log = log_by(signer or caller, port=port)
        yield PeerBook(PLAN, client, None, log, None, lambda: None, None, 5.0)


def refusal(act):
    with pytest.raises(CeremonyError) as caught:
        act()
    return caught.value.code


def test_a_question_reaches_the_steps_of_who_is_asked(members):
    steps = Steps()
    with calls(members, steps) as peers:
        assert peers.ask(1, QUESTION) == b"sealed"
    assert steps.asked == [QUESTION]


def test_a_plea_is_answered_with_a_signature_once_nobody_objects(members):
    steps = Steps("nobody approved it")
    with calls(members, steps) as peers:
        assert refusal(lambda: peers.admission(1, REJOIN)) == "RF-RECOVER-008"
        steps.objection = ""
        signature = peers.admission(1, REJOIN)
    assert steps.asked == [REJOIN, REJOIN]
    part = wire.Endorsement(1, wire.ED25519, signature)
    wire.check_endorsement(wire.body_of(REJOIN), PLAN, part)


def test_a_refusal_keeps_its_code_on_the_way(members):
    with calls(members, Steps("RF-RECOVER-004")) as peers:
        assert refusal(lambda: peers.admission(1, REJOIN)) == "RF-RECOVER-004"


@pytest.mark.parametrize("who", [{"caller": 3}, {"signer": 3}, {"caller": 3, "signer": 2}])
def test_nobody_asks_in_somebody_elses_name(members, who):
    steps = Steps()
    with calls(members, steps, **who) as peers:
        assert refusal(lambda: peers.ask(1, QUESTION)) == "RF-RECOVER-007"
        assert refusal(lambda: peers.admission(1, REJOIN)) == "RF-RECOVER-007"
    assert not steps.asked


def test_what_is_signed_for_one_purpose_is_no_call_for_another():
    helper = Helper(PLAN, Steps(), log_by(1))
    body = wire.body_of(REJOIN)
    for domain in (wire.ENTRY_DOMAIN, wire.ORDER_DOMAIN, recovery._ASK_DOMAIN):
        call = strict.encode(recovery._Call(body, log_by(2).sign(domain, body)))
        assert refusal(lambda call=call: helper.admit("op-02", call)) == "RF-RECOVER-007"


def test_a_call_that_cannot_be_read_is_refused():
    steps = Steps()
    helper = Helper(PLAN, steps, log_by(1))

    def signed(domain, body):
        return strict.encode(recovery._Call(body, log_by(2).sign(domain, body)))

    for data in (b"", b"junk", bytes(1 << 15), signed(recovery._ASK_DOMAIN, b"junk")):
        assert refusal(lambda data=data: helper.give("op-02", data)) == "RF-RECOVER-007"
    other = signed(recovery._ADMISSION_DOMAIN, wire.body_of(Return(0)))
    assert refusal(lambda: helper.admit("op-02", other)) == "RF-RECOVER-007"
    assert refusal(lambda: helper.give("coordinator", other)) == "RF-RECOVER-007"
    assert not steps.asked


@pytest.mark.parametrize("answer", [b"", b"junk", strict.encode([b"x"]), bytes(1 << 19)])
def test_an_answer_that_cannot_be_read_counts_as_none(members, answer):
    async def handle(_):
        return web.Response(body=answer)

    handlers = [web.post(ASK_PATH, handle), web.post(ADMISSION_PATH, handle)]
    with calls(members, None, handlers=handlers) as peers:
        codes = {"RF-RECOVER-007", "RF-PEER-011"}
        assert refusal(lambda: peers.ask(1, QUESTION)) in codes
        assert refusal(lambda: peers.admission(1, REJOIN)) in codes


def test_a_signature_that_is_not_valid_lets_nobody_in(members):
    async def handle(_):
        return web.Response(body=strict.encode(recovery._Reply(bytes(64))))

    with calls(members, None, handlers=[web.post(ADMISSION_PATH, handle)]) as peers:
        assert refusal(lambda: peers.admission(1, REJOIN)) == "RF-LOG-004"


# -- people ---------------------------------------------------------------------------------------

KEY = "ab" * 32


@pytest.fixture
def home(tmp_path):
    parties = sandbox_plan(operators=4, threshold=1, parameters="test", waiting_seconds=20.0)
    home = Home(tmp_path / "op-01")
    home.make()
    write_signed_plan(home.path, parties.signed)
    return home


def test_people_look_at_a_key_before_they_approve_it(home):
    FileStore(home.work / "steps").write(plea_name(3), bytes.fromhex(KEY))
    looked = admit(home.path, "op-03", "")
    assert not looked.given
    assert KEY in looked.text
    assert "attest" in looked.text
    assert "call" in looked.text
    assert FileStore(home.vault).read(approval_name(3)) is None
    assert admit(home.path, "op-03", KEY.upper()).given
    assert FileStore(home.vault).read(approval_name(3)) == bytes.fromhex(KEY)


def test_a_key_may_be_approved_before_the_operator_asks(home):
    assert "--rejoin" in admit(home.path, "op-03", "").text
    assert admit(home.path, "op-03", KEY).given


@pytest.mark.parametrize("key", ["cd" * 32, KEY[2:], "zz" * 32])
def test_another_key_than_the_one_shown_is_not_approved(home, key):
    FileStore(home.work / "steps").write(plea_name(3), bytes.fromhex(KEY))
    assert refusal(lambda: admit(home.path, "op-03", key)) == "RF-RECOVER-011"
    assert FileStore(home.vault).read(approval_name(3)) is None


@pytest.mark.parametrize("key", ["zz" * 32, "ab"])
def test_what_is_no_key_is_not_approved(home, key):
    assert refusal(lambda: admit(home.path, "op-03", key)) == "RF-RECOVER-011"


@pytest.mark.parametrize("name", ["op-01", "op-05", "coordinator", ""])
def test_only_another_operator_is_let_in(home, name):
    assert refusal(lambda: admit(home.path, name, KEY)) == "RF-RECOVER-010"


# -- the start ------------------------------------------------------------------------------------


class Seat:
    def __init__(self):
        self.seed = None

    def give_up(self, seed):
        self.seed = seed

    def key_digest(self):
        return self.seed


def started(vault, witness, *, rejoin):
    seat = Seat()
    operator = SimpleNamespace(vault=FileStore(vault), name="op-01")
    take_seat(SimpleNamespace(seat=seat, operator=operator), witness, rejoin=rejoin)
    return seat.seed


def test_a_vault_without_its_record_starts_only_as_one_that_is_lost(tmp_path):
    lost = SimpleNamespace(is_lost=True)
    assert refusal(lambda: started(tmp_path, lost, rejoin=False)) == "RF-RECOVER-009"
    assert len(started(tmp_path, lost, rejoin=True)) == 96


@pytest.mark.parametrize("name", ["setup/kem-seed", "stage-keys/N", "passing-shares/N-0"])
def test_a_vault_that_is_whole_is_not_given_up(tmp_path, name):
    whole = SimpleNamespace(is_lost=False)
    FileStore(tmp_path).write(name, secrets.token_bytes(96))
    assert started(tmp_path, whole, rejoin=True) is None
    assert started(tmp_path, whole, rejoin=False) is None


def test_a_damaged_file_of_the_vault_counts_as_lost(tmp_path):
    store, whole = FileStore(tmp_path), SimpleNamespace(is_lost=False)
    store.write("stage-keys/N", secrets.token_bytes(96))
    path = tmp_path / "stage-keys" / "N"
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
    assert store.read("stage-keys/N") is None
    assert started(tmp_path, whole, rejoin=True) is not None


def test_heads_are_signed_again_once_n_minus_t_others_signed_a_checkpoint(tmp_path):
    log = log_of(1, 2, 3)
    witness = witness_at(tmp_path, log)
    witness.replica = replica_with(log)
    (tmp_path / "witness").unlink()
    again = type(witness)(replica_with(log), 1, key_of(1), FileVault(tmp_path / "witness"))
    readmit(again, PLAN)
    assert again.is_lost
    with_own = checkpoint_of(log[:2], signers=(1, 2, 3), certifiers=(2, 3, 4))
    again.replica.cover(with_own)
    readmit(again, PLAN)
    assert again.is_lost
    by_others = checkpoint_of(log, signers=(2, 3, 4), certifiers=(2, 3, 4))
    again.replica.cover(by_others)
    readmit(again, PLAN)
    assert not again.is_lost
    assert again.state.certified == Checkpoint(by_others.head, by_others.head_signatures)
