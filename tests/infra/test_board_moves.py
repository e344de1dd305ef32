"""Moving the board: what a move statement binds, what opens an epoch, and what follows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.board.client import WitnessLoop
from infra.board.copy import MemoryCopy
from infra.board.host import Host
from infra.board.log import BoardLog
from infra.board.messages import SyncRequest
from infra.board.moves import (
    MoveRequest,
    SignedRequest,
    check_request,
    sign_request,
    verify_opening,
)
from infra.board.notes import Checkpoint, Head, sign_certificate, sign_head
from infra.board.replica import Replica
from infra.board.vault import WitnessState
from infra.board.witness import Witness
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import leaf_hash, root
from tests.support.board import (
    DEPUTY,
    board_plan,
    host_key,
    key_of,
    move_request,
    opening_of,
    signed,
    vault_at,
)

PLAN = board_plan()


def log_of(*numbers):
    return [signed(number, PLAN) for number in numbers]


def head_of(entries, epoch=0):
    return Head(epoch, len(entries), root(leaf_hash(entry) for entry in entries))


def certified(entries, epoch=0, signers=(1, 2, 3), certifiers=()):
    head = head_of(entries, epoch)
    return Checkpoint(
        head,
        tuple(sign_head(PLAN, head, signer, key_of(signer)) for signer in signers),
        tuple(sign_certificate(PLAN, head, signer, key_of(signer)) for signer in certifiers),
    )


def refusal(act):
    with pytest.raises(CeremonyError) as caught:
        act()
    return caught.value.code


class MemoryVault:
    """Keeps the state, also when its operator is started again."""

    def __init__(self):
        self.state = WitnessState()

    def load(self):
        return self.state

    def save(self, state):
        self.state = state


class Signer:
    """An operator with its copy of the log, in memory."""

    def __init__(self, index, entries=()):
        self.vault, self.index = MemoryVault(), index
        self.replica = Replica(PLAN, MemoryCopy())
        self.fallen = []
        self.start()
        self.replica.receive(0, entries)

    def start(self):
        self.witness = Witness(self.replica, self.index, key_of(self.index), self.vault)
        self.loop = WitnessLoop(self.replica, None, self.witness)
        self.loop.entered = lambda _, fallen: self.fallen.extend(fallen)
        self.request = self.loop._request()

    @property
    def name(self):
        return PLAN.name_of(self.index)

    def talk_to(self, host):
        """Exchange with a host until it has nothing new."""
        while True:
            host.take(self.name, self.request)
            host.settle()
            news = host.news(self.name, self.request)
            answer = host.answer(self.request, news)
            self.request = self.loop.digest(answer)
            if not news and not answer.entries:
                return


def host_over(entries=(), opening=None, base=()):
    log = BoardLog.open("sqlite://", PLAN)
    if opening is not None:
        log.begin(opening, base)
    for entry in entries:
        log.append(entry)
    return Host(log, PLAN)


def talk(host, *signers):
    for _ in range(3):
        for signer in signers:
            signer.talk_to(host)


# -- statements -----------------------------------------------------------------------------------


def test_after_its_statement_an_operator_signs_nothing_in_an_older_epoch():
    log = log_of(1, 2)
    signer = Signer(1, log)
    signer.witness.move(move_request(PLAN, 1))
    assert signer.vault.state.epoch == 1
    assert refusal(lambda: signer.witness.sign_head(head_of(log))) == "RF-LOG-023"
    assert refusal(lambda: signer.witness.sign_certificate(certified(log))) == "RF-LOG-023"
    signer.start()
    assert refusal(lambda: signer.witness.sign_head(head_of(log))) == "RF-LOG-023"


def test_before_the_epoch_is_open_nothing_is_signed_in_it_either():
    log = log_of(1, 2)
    signer = Signer(1, log)
    signer.witness.move(move_request(PLAN, 1))
    assert refusal(lambda: signer.witness.sign_head(head_of(log, 1))) == "RF-LOG-023"
    signer.witness.open(opening_of(PLAN, 1))
    signer.replica.receive(0, log)
    assert signer.witness.sign_head(head_of(log, 1)).signer == 1


def test_the_statement_names_the_highest_certificate_by_epoch_and_then_by_size():
    log = log_of(1, 2, 3)
    signer = Signer(1, log)
    signer.witness.sign_certificate(certified(log[:1]))
    signer.witness.sign_certificate(certified(log[:2]))
    statement = signer.witness.move(move_request(PLAN, 1))
    assert statement.certified == certified(log[:2])
    late = certified(log, 0)
    old, new = certified(log[:3], 0), certified(log[:1], 1, certifiers=())
    opening = opening_of(PLAN, 2, old, new, late)
    assert opening.base == new


def test_a_statement_is_durable_before_it_leaves():
    class Full(MemoryVault):
        def save(self, state):
            raise CeremonyError("RF-DISK-001", "the disk is full")

    signer = Signer(1)
    signer.vault = Full()
    signer.start()
    assert refusal(lambda: signer.witness.move(move_request(PLAN, 1))) == "RF-DISK-001"
    assert signer.witness.epoch == 0


def test_an_operator_answers_the_same_again_and_no_other_host_of_that_epoch():
    signer = Signer(1)
    first = signer.witness.move(move_request(PLAN, 1))
    assert signer.witness.move(move_request(PLAN, 1)) == first
    assert refusal(lambda: signer.witness.move(move_request(PLAN, 1, DEPUTY))) == "RF-LOG-033"
    assert signer.witness.move(move_request(PLAN, 2, DEPUTY)).epoch == 2
    assert refusal(lambda: signer.witness.move(move_request(PLAN, 1))) == "RF-LOG-033"
    assert refusal(lambda: signer.witness.move(move_request(PLAN, 3 + (1 << 20)))) == "RF-LOG-033"


def test_a_move_is_asked_for_by_the_coordinator_or_a_deputy_of_the_plan_only():
    for host in ("coordinator", DEPUTY):
        check_request(PLAN, move_request(PLAN, 1, host))
    good = move_request(PLAN, 1)
    stranger = sign_request(PLAN, MoveRequest(1, "op-01", "127.0.0.1", 7000), key_of(1))
    other_key = sign_request(PLAN, good.request, host_key(DEPUTY))
    other_plan = sign_request(replace(PLAN, hash=bytes(32)), good.request, host_key("coordinator"))
    other_epoch = SignedRequest(replace(good.request, epoch=2), good.signature)
    for bad in (stranger, other_key, other_plan, other_epoch, move_request(PLAN, 0)):
        assert refusal(lambda bad=bad: check_request(PLAN, bad)) == "RF-LOG-030"
        assert refusal(lambda bad=bad: Signer(1).witness.move(bad)) == "RF-LOG-030"


def test_an_opening_needs_n_minus_t_statements_for_its_epoch_and_host():
    good = opening_of(PLAN, 1, certified(log_of(1)))
    verify_opening(PLAN, good)
    few = replace(good, statements=good.statements[:2])
    twice = replace(good, statements=(*good.statements[:2], good.statements[1]))
    elsewhere = replace(good, request=move_request(PLAN, 1, DEPUTY))
    later = replace(good, request=move_request(PLAN, 2))
    forged = replace(good, statements=(*good.statements[:2], replace(good.statements[2], signer=4)))
    silent = (replace(good.statements[0], certified=None), *good.statements[1:])
    for bad in (few, twice, elsewhere, later, forged, replace(good, statements=silent)):
        assert refusal(lambda bad=bad: verify_opening(PLAN, bad)) == "RF-LOG-031"


def test_a_statement_that_names_no_certificate_opens_nothing():
    few = certified(log_of(1), signers=(1, 2))
    assert refusal(lambda: verify_opening(PLAN, opening_of(PLAN, 1, few))) == "RF-LOG-024"
    future = certified(log_of(1), epoch=1)
    assert refusal(lambda: verify_opening(PLAN, opening_of(PLAN, 1, future))) == "RF-LOG-031"


# -- the new epoch --------------------------------------------------------------------------------


def test_in_a_new_epoch_heads_extend_the_base_whatever_was_signed_before():
    log, fork = log_of(1, 2, 3), log_of(1, 4, 5)
    signer = Signer(1, log)
    signer.witness.sign_head(head_of(log))
    opening = opening_of(PLAN, 1, certified(fork[:2]))
    signer.witness.move(opening.request)
    assert signer.witness.open(opening) == tuple(log)
    signer.replica.receive(0, fork)
    assert signer.witness.sign_head(head_of(fork, 1)) == sign_head(
        PLAN, head_of(fork, 1), 1, key_of(1)
    )


def test_a_head_that_does_not_extend_the_base_is_refused():
    base, fork = log_of(1, 2), log_of(1, 4, 5)
    signer = Signer(1)
    signer.witness.open(opening_of(PLAN, 1, certified(base)))
    signer.replica.receive(0, fork)
    assert refusal(lambda: signer.witness.sign_head(head_of(fork[:1], 1))) == "RF-LOG-021"
    assert refusal(lambda: signer.witness.sign_head(head_of(fork, 1))) == "RF-LOG-020"


def test_within_the_new_epoch_no_fork_is_signed():
    log = log_of(1, 2)
    signer = Signer(1)
    signer.witness.open(opening_of(PLAN, 1))
    signer.replica.receive(0, log)
    signer.witness.sign_head(head_of(log, 1))
    signer.start()
    assert refusal(lambda: signer.witness.sign_head(head_of(log[:1], 1))) == "RF-LOG-021"
    assert signer.witness.open(opening_of(PLAN, 1)) == ()
    assert refusal(lambda: signer.witness.sign_head(head_of(log[:1], 1))) == "RF-LOG-021"


def test_an_opening_without_what_counts_already_means_more_than_t_liars():
    log = log_of(1, 2)
    signer = Signer(1, log)
    signer.replica.cover(certified(log, certifiers=(1, 2, 3)))
    assert refusal(lambda: signer.witness.open(opening_of(PLAN, 1))) == "RF-LOG-026"
    assert signer.witness.epoch == 0


def test_what_the_base_covers_stays_and_only_the_rest_falls_off():
    log = log_of(1, 2, 3, 4)
    signer = Signer(1, log)
    signer.replica.cover(certified(log[:1], certifiers=(1, 2, 3)))
    assert signer.witness.open(opening_of(PLAN, 1, certified(log[:3]))) == (log[3],)
    assert (signer.replica.held, signer.replica.covered_size) == (3, 1)


# -- the host -------------------------------------------------------------------------------------


def test_a_host_that_showed_two_tails_is_replaced_and_the_log_goes_on():
    signers = [Signer(index) for index in (1, 2, 3, 4)]
    common, left, right = log_of(1, 2), log_of(3), log_of(4)
    talk(host_over(common), *signers)
    assert [each.replica.covered_size for each in signers] == [2, 2, 2, 2]
    halves = (signers[:2], left), (signers[2:], right)
    for half, tail in halves:
        talk(lying := host_over(common + tail), *half)
        assert len(lying.heads) == 2
        assert lying.counts_now() is None
        assert [each.vault.state.signed.size for each in half] == [3, 3]
    crossing = host_over(common + left)
    for signer in signers[2:]:
        head = head_of(common + left)
        assert refusal(lambda s=signer, h=head: s.witness.sign_head(h)) == "RF-LOG-020"
    request = move_request(PLAN, 1, DEPUTY)
    statements = tuple(each.witness.move(request) for each in signers[1:])
    opening = replace(opening_of(PLAN, 1, host=DEPUTY), request=request, statements=statements)
    verify_opening(PLAN, opening)
    assert opening.base.head.size == 2
    new = host_over(log_of(9), opening, common)
    for signer in signers:
        signer.start()
    talk(new, *signers)
    for signer in signers:
        for entry in signer.fallen:
            new._log.append(entry)
    new.settle()
    talk(new, *signers)
    assert {each.replica.covered_size for each in signers} == {5}
    assert {each.replica.root(5) for each in signers} == {new._log.root()}
    assert signers[0].fallen == left
    assert signers[3].fallen == right
    crossing._log.append(signed(7, PLAN))
    for signer in signers:
        assert refusal(lambda signer=signer: crossing.take(signer.name, signer.request)) == (
            "RF-LOG-023"
        )
    assert crossing.heads == {}
    assert refusal(lambda: signers[0].witness.sign_head(head_of(common + left))) == "RF-LOG-023"


def test_a_host_begins_an_epoch_over_its_own_log_and_tells_what_is_above_the_base(tmp_path):
    log = log_of(1, 2, 3, 4)
    board = BoardLog.open(f"sqlite:///{tmp_path / 'board'}", PLAN)
    for entry in log:
        board.append(entry)
    opening = opening_of(PLAN, 1, certified(log[:2]))
    assert board.begin(opening, log[:2]) == tuple(log[2:])
    assert board.begin(opening, log[:2]) == ()
    assert board.append(log[3]) == 2
    board.close()
    board = BoardLog.open(f"sqlite:///{tmp_path / 'board'}", PLAN)
    assert board.entries(0, 9) == [*log[:2], log[3]]
    assert board.opening() == opening
    assert Host(board, PLAN).epoch == 1
    with pytest.raises(CeremonyError, match="RF-LOG-011"):
        board.begin(opening, log[:1])
    assert board.size == 3
    board.close()


def test_an_operator_that_was_away_learns_of_the_move_from_the_new_host():
    common = log_of(1)
    signers = [Signer(index) for index in (1, 2, 3, 4)]
    talk(host_over(common), *signers)
    opening = opening_of(PLAN, 1, *(each.vault.state.certified for each in signers[:3]))
    new = host_over(log_of(5), opening, common)
    talk(new, signers[3])
    assert signers[3].witness.epoch == 1
    assert signers[3].vault.state.host == opening.request.request
    talk(new, signers[0], signers[3], signers[1])
    assert signers[3].replica.covered_size == 2


def test_an_observer_follows_into_the_new_epoch():
    common, tail = log_of(1), log_of(2)
    replica = Replica(PLAN, MemoryCopy())
    replica.receive(0, common + tail)
    loop = WitnessLoop(replica, None)
    opening = opening_of(PLAN, 1, certified(common))
    host = host_over(log_of(3), opening, common)
    request = SyncRequest(0, 2, 0)
    request = loop.digest(host.answer(request, host.news("coordinator", request)))
    assert (request.epoch, request.held) == (1, 1)


def test_the_record_in_the_vault_survives_a_move(tmp_path):
    vault = vault_at(tmp_path / "witness")
    log = log_of(1)
    replica = Replica(PLAN, MemoryCopy())
    replica.receive(0, log)
    witness = Witness(replica, 1, key_of(1), vault)
    witness.open(opening_of(PLAN, 3, certified(log), host=DEPUTY))
    again = Witness(replica, 1, key_of(1), vault_at(tmp_path / "witness"))
    assert again.state == witness.state
    assert (again.epoch, again.state.host.host, again.state.hosts) == (3, DEPUTY, (DEPUTY,))
    assert again.state.certified == certified(log)
