"""A vault that its keeper takes back in time: what would go wrong, and that the others tell."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
from aiohttp import web

from infra.board import strict, wire
from infra.board.client import WitnessLoop
from infra.board.copy import MemoryCopy
from infra.board.equivocation import Equivocation, check_equivocation
from infra.board.host import Host
from infra.board.log import BoardLog
from infra.board.notes import Checkpoint, Head, HeadSignature, sign_head, write_head
from infra.board.replica import Replica
from infra.board.vault import Heard, Start, StoredVault, WitnessState
from infra.board.witness import Witness
from infra.enclave.kms.data_keys import Context
from infra.enclave.kms.sealing import Sealer
from infra.enclave.kms.vault import SealedVault
from infra.party import freshness
from infra.party.freshness import (
    MEMORY_PATH,
    Freshness,
    Memory,
    Places,
    Record,
    Remembered,
    newer_than,
)
from infra.transport.outbox import make_app, serve
from infra.transport.tls import Identity
from mpc_core.protocol.entries import Address
from mpc_core.protocol.errors import CeremonyError
from tests.support.board import key_of, move_request, opening_of, signed
from tests.support.hostile_objects import HostileObjects
from tests.support.neighbours import MEMBERS, PLAN, Member

SEALER = Sealer(b"k" * 32, Context(PLAN.hash, "op-01"))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(freshness, "_PAUSE_SECONDS", 0.01)


def refusal(act, *arguments):
    with pytest.raises(CeremonyError) as caught:
        act(*arguments)
    return caught.value.code


class Operator:
    """An operator in an enclave: its vault lies with a keeper whom nobody trusts."""

    def __init__(self, index):
        self.index, self.objects, self.refusals = index, HostileObjects(), []
        vault = SealedVault(self.objects, SEALER)
        vault.begin_again()
        StoredVault(vault).create()
        self.start(confirmed=True)

    def start(self, *, confirmed):
        """Start with what the keeper shows, and with no copy of the log."""
        vault = SealedVault(self.objects, SEALER)
        vault.load()
        self.replica = Replica(PLAN, MemoryCopy())
        self.witness = Witness(
            self.replica, self.index, key_of(self.index), StoredVault(vault), confirmed=confirmed
        )
        self.loop = WitnessLoop(self.replica, None, self.witness)
        self.request = self.loop._request()

    def talk_to(self, host):
        """Exchange with a host until nothing comes of it any more."""
        asked = None
        while asked != self.request:
            asked = self.request
            host.take(PLAN.name_of(self.index), asked)
            host.settle()
            answer = host.answer(asked, host.news(PLAN.name_of(self.index), asked))
            self.request = self.loop.digest(answer)

    @property
    def memory(self):
        return Memory(PLAN, self.witness, self.loop, self.refusals.append)


def host_over(*numbers):
    log = BoardLog.open("sqlite://", PLAN)
    for number in numbers:
        log.append(signed(number, PLAN))
    return Host(log, PLAN)


def talk(host, *operators):
    for _ in range(3):
        for operator in operators:
            operator.talk_to(host)


@pytest.fixture
def committee():
    """Three operators that brought a checkpoint about, and a fourth that was away."""
    operators = {index: Operator(index) for index in (1, 2, 3, 4)}
    operators[1].before = operators[1].objects.now
    host = host_over(1, 2)
    talk(host, *(operators[index] for index in (1, 2, 3)))
    assert host.counted.head.size == 2
    return operators


def test_without_the_question_a_record_taken_back_signs_a_second_head(committee):
    """What goes wrong: an honest operator forks the log, and is convicted of it."""
    first = committee[1].witness.last_head()
    committee[1].objects.take_back(committee[1].before)
    committee[1].start(confirmed=True)
    talk(host_over(8, 9), committee[1])
    second = committee[1].witness.last_head()
    assert (first[0].size, first[0].epoch) == (second[0].size, second[0].epoch)
    notes = (write_head(PLAN, *each) for each in (first, second))
    evidence = Equivocation(PLAN.hash, *notes, second[0].root, ())
    assert check_equivocation(PLAN, evidence) == 1


def test_before_the_others_have_answered_nothing_is_signed(committee):
    one = committee[1]
    one.objects.take_back(one.before)
    one.start(confirmed=False)
    fork = host_over(8, 9)
    talk(fork, one)
    assert one.replica.held == 2
    assert one.witness.last_head() is None
    head = Head(0, 2, one.replica.root(2))
    certified = Checkpoint(head, tuple(sign_head(PLAN, head, at, key_of(at)) for at in (2, 3, 4)))
    for act in (
        lambda: one.witness.sign_head(head),
        lambda: one.witness.sign_certificate(certified),
        lambda: one.witness.move(move_request(PLAN, 1)),
        lambda: one.witness.open(opening_of(PLAN, 1)),
    ):
        assert refusal(act) == "RF-LOG-037"
    one.witness.confirm()
    assert one.witness.sign_head(head).signer == 1


def test_who_signed_a_certificate_remembers_whose_head_it_was_also_after_a_restart(committee):
    signed_head = committee[1].witness.last_head()
    for index in (2, 3):
        committee[index].start(confirmed=False)
        heard = committee[index].memory.of("op-01").heard
        assert (heard.head, heard.part) == signed_head
    assert committee[4].memory.of("op-01").heard is None
    assert committee[2].memory.of("coordinator") == Remembered()


def test_a_record_from_before_a_checkpoint_is_found_to_be_old(committee):
    one, told = committee[1], committee[2].memory.of("op-01")
    assert newer_than(PLAN, 1, Record.of(one.witness.state), told) == ""
    one.objects.take_back(one.before)
    one.start(confirmed=False)
    assert (
        newer_than(PLAN, 1, Record.of(one.witness.state), told)
        == "its head over 2 entries in epoch 0"
    )


def heard(size, epoch=0, signer=1, root=b"r" * 32, key=None):
    head = Head(epoch, size, root)
    part = sign_head(PLAN, head, signer, key_of(signer if key is None else key))
    return Remembered(Heard(head, part))


def state(size, epoch=0, **more):
    return WitnessState(epoch=epoch, signed=Head(epoch, size, b"r" * 32), left=epoch, **more)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (WitnessState(), heard(1)),
        (state(5), heard(6)),
        (state(5), heard(5, root=b"x" * 32)),
        (state(5), heard(1, epoch=1)),
        (replace(state(5, epoch=1), start=None, signed=None, left=0), heard(1, epoch=1)),
    ],
)
def test_a_signature_that_the_record_lacks_makes_it_old(record, told):
    assert newer_than(PLAN, 1, Record.of(record), told)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (WitnessState(), Remembered()),
        (state(5), heard(5)),
        (state(5), heard(4, root=b"x" * 32)),
        (state(5, epoch=2), heard(9, epoch=1)),
        (replace(state(5, epoch=1), start=None, signed=None, left=0), heard(9)),
        (WitnessState(start=Start(Head(0, 7, b"r" * 32))), heard(7)),
        (state(5), heard(6, signer=2)),
        (state(5), heard(6, key=2)),
        (state(5), Remembered(Heard(Head(0, 6, b"r" * 32), HeadSignature(1, bytes(64))))),
    ],
)
def test_what_it_did_not_sign_or_knows_of_does_not_make_a_record_old(record, told):
    assert newer_than(PLAN, 1, Record.of(record), told) == ""


def test_a_move_statement_that_the_record_lacks_makes_it_old():
    told = Remembered(None, opening_of(PLAN, 1, signers=(1, 2, 3)))
    assert newer_than(PLAN, 1, Record.of(WitnessState()), told).endswith("before 1")
    assert newer_than(PLAN, 4, Record.of(WitnessState()), told) == ""
    assert newer_than(PLAN, 1, Record.of(state(1, epoch=1)), told) == ""
    few = replace(told.opening, statements=told.opening.statements[:2])
    assert (
        refusal(newer_than, PLAN, 1, Record.of(WitnessState()), Remembered(None, few))
        == "RF-LOG-031"
    )


# -- over the network -----------------------------------------------------------------------------


def garbage(asked_again):
    """Answer nonsense, and tell when somebody asks once more."""
    times = itertools.count()

    async def answer(_request):
        if next(times):
            asked_again.set()
        return web.Response(body=b"garbage")

    return [web.post(MEMORY_PATH, answer)]


@asynccontextmanager
async def asking(folder, one, answering):
    """Operator 1 with a vault, and who answers it: operators, or handlers of liars."""
    addresses = {}
    member = Member(1, folder, addresses)
    member.witness = one.witness
    member.log._replica = one.replica
    async with _serving(answering, addresses):
        try:
            yield Freshness(member.client, member.log, one.witness, ("127.0.0.1", 1)), member
        finally:
            await asyncio.to_thread(member.client.close)


@asynccontextmanager
async def _serving(answering, addresses, at=0):
    if at == len(answering):
        yield
        return
    index, routes = answering[at]
    identity = Identity(PLAN.name_of(index), key_of(index), MEMBERS)
    app = make_app(identity)
    app.add_routes(routes)
    async with serve(app, identity) as port:
        addresses[index] = SimpleNamespace(host="127.0.0.1", port=port, serial=0)
        async with _serving(answering, addresses, at + 1):
            yield


@pytest.mark.parametrize("silent", [2, 3, 4])
async def test_an_old_record_is_refused_whoever_is_silent(tmp_path, committee, silent, monkeypatch):
    monkeypatch.setattr(freshness, "_CALL_SECONDS", 2.0)
    one = committee[1]
    one.objects.take_back(one.before)
    one.start(confirmed=False)
    others = [(at, committee[at].memory.routes()) for at in (2, 3, 4) if at != silent]
    async with asking(tmp_path, one, others) as (question, _):
        with pytest.raises(CeremonyError) as refused:
            await question.confirm()
    assert (refused.value.code, refused.value.operator) == ("RF-STORE-004", "op-01")
    assert not one.witness.may_sign
    for at in {2, 3} - {silent}:  # operator 4 was away, and knows no better
        assert PLAN.name_of(at) in refused.value.found
        said = [(each.code, each.operator) for each in committee[at].refusals]
        assert said == [("RF-STORE-004", "op-01")]
    assert committee[4].refusals == []


@pytest.mark.parametrize("silent", [2, 3, 4])
async def test_the_newest_record_is_confirmed_whoever_is_silent(tmp_path, committee, silent):
    one = committee[1]
    one.start(confirmed=False)
    others = [(at, committee[at].memory.routes()) for at in (2, 3, 4) if at != silent]
    async with asking(tmp_path, one, others) as (question, member):
        await question.confirm()
        assert member.submitted
    assert one.witness.may_sign
    assert [committee[at].refusals for at in (2, 3, 4)] == [[], [], []]


async def test_garbage_is_no_answer(tmp_path, committee):
    one, asked_again = committee[1], asyncio.Event()
    one.start(confirmed=False)
    others = [(2, committee[2].memory.routes()), (3, garbage(asked_again))]
    async with asking(tmp_path, one, others) as (question, _):
        confirming = asyncio.create_task(question.confirm())
        await asked_again.wait()
        assert not confirming.done()
        confirming.cancel()
    assert not one.witness.may_sign


async def test_an_address_that_no_checkpoint_covers_is_enough_to_ask(tmp_path, committee):
    """After a start of all nothing is covered before somebody signs."""
    one = committee[1]
    one.start(confirmed=False)
    others = [(at, committee[at].memory.routes()) for at in (2, 3)]
    async with asking(tmp_path, one, others) as (question, member):
        known = dict(member.log.read(lambda state: state.addresses))
        member.log.read(lambda state: state.addresses.clear())
        entries = [
            wire.sign_entry(Address(1, "127.0.0.1", place.port), PLAN, at, key_of(at))
            for at, place in known.items()
        ]
        one.replica.receive(0, entries)
        await question.confirm()
    assert one.witness.may_sign


async def test_after_the_loss_of_the_log_addresses_come_from_who_takes_it_over(tmp_path, committee):
    one = committee[1]
    one.start(confirmed=False)
    others = [(at, committee[at].memory.routes()) for at in (2, 3)]
    async with asking(tmp_path, one, others) as (question, member):
        known = dict(member.log.read(lambda state: state.addresses))
        member.log.read(lambda state: state.addresses.clear())
        places = Places(
            tuple((PLAN.name_of(at), each.host, each.port) for at, each in known.items())
        )
        memory = replace(one.memory, places=question.places)
        for caller in ("op-04", "nobody"):
            memory.hear(caller, places)
        assert question.places == {}
        memory.hear("deputy-1", replace(places, known=(*places.known, ("stranger", "::1", 1))))
        assert set(question.places) == {"op-02", "op-03"}
        await question.confirm()
    assert one.witness.may_sign


def test_what_an_operator_answers_is_short_and_one_message(committee):
    data = strict.encode(committee[2].memory.of("op-01"))
    assert len(data) < 1024
    assert strict.decode(Remembered, data).heard.part.signer == 1
