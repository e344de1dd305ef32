"""Operators that follow the log without signing, and hosts that offer again what is no use."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from infra.board.client import WitnessLoop
from infra.board.copy import MemoryCopy
from infra.board.messages import SyncAnswer
from infra.board.replica import Replica
from infra.board.vault import Start
from infra.party.seat import readmit
from mpc_core.protocol.errors import CeremonyError
from tests.infra.test_board_moves import (
    PLAN,
    Signer,
    certified,
    head_of,
    host_over,
    log_of,
    refusal,
    talk,
)
from tests.support.board import DEPUTY, opening_of

COMMON = log_of(1)
"""What is under the base of epoch 1."""


class Follower(Signer):
    """An operator whose record of what it signed is lost, or not known to be the newest."""

    def __init__(self, index, *, lost=True):
        self.lost = lost
        super().__init__(index)

    def start(self):
        if self.lost:
            self.vault.state = None
        super().start()
        self.witness._confirmed = self.lost
        self.loop.entered = lambda *_: None
        self.request = self.loop._request()


def moved():
    """A deputy's log in epoch 1, and three operators that are with it."""
    signers = [Signer(index) for index in (1, 2, 4)]
    talk(host_over(COMMON), *signers)
    certificates = [each.vault.state.certified for each in signers]
    opening = opening_of(PLAN, 1, *certificates, host=DEPUTY, signers=(1, 2, 4))
    return host_over(log_of(5), opening, COMMON), signers, opening


def follow(host, follower, rounds=6):
    """Exchange a few times: who cannot sign is offered the same again and again."""
    for _ in range(rounds):
        host.take(follower.name, follower.request)
        host.settle()
        answer = host.answer(follower.request, host.news(follower.name, follower.request))
        follower.request = follower.loop.digest(answer)


@pytest.mark.parametrize("lost", [True, False])
def test_who_may_not_sign_follows_into_an_epoch_and_knows_its_host(lost):
    host, signers, opening = moved()
    follower = Follower(3, lost=lost)
    follow(host, follower)
    talk(host, *signers)
    follow(host, follower)
    assert (follower.loop.epoch, follower.replica.covered_size) == (1, 2)
    assert follower.witness.host == opening.request.request
    assert host.heads.get(3) is None


@pytest.mark.parametrize("lost", [True, False])
def test_a_follower_that_starts_again_above_the_base_follows_on(lost):
    """Its copy of the log is covered in epoch 1 already; what opened the epoch it has to learn."""
    host, signers, _ = moved()
    follower = Follower(3, lost=lost)
    follow(host, follower)
    talk(host, *signers)
    follow(host, follower)
    follower.start()
    assert (follower.loop.epoch, follower.replica.covered_size) == (0, 2)
    follow(host, follower)
    assert (follower.loop.epoch, follower.replica.covered_size) == (1, 2)


def test_an_opening_that_comes_after_its_log_drops_only_what_is_not_covered():
    host, signers, opening = moved()
    talk(host, *signers)
    copy = Replica(PLAN, MemoryCopy())
    copy.receive(0, [*log_of(1, 5), *log_of(7)])
    copy.cover(host.counted)
    assert copy.rebase(opening) == tuple(log_of(7))
    assert (copy.held, copy.covered_size) == (2, 2)


def test_a_copy_that_is_in_an_epoch_without_its_base_means_more_than_t_liars():
    other = log_of(8, 9)
    copy = Replica(PLAN, MemoryCopy())
    copy.receive(0, other)
    copy.cover(certified(other, 1, certifiers=(1, 2, 3)))
    assert refusal(lambda: copy.rebase(opening_of(PLAN, 1, certified(COMMON)))) == "RF-LOG-026"


def test_the_opening_of_an_epoch_that_is_over_drops_nothing_that_is_covered():
    both = log_of(8, 9)
    copy = Replica(PLAN, MemoryCopy())
    copy.receive(0, both)
    copy.cover(certified(both, 2, certifiers=(1, 2, 3)))
    assert copy.rebase(opening_of(PLAN, 1, certified(COMMON))) == ()
    assert copy.held == 2


def test_who_is_let_in_after_a_move_signs_in_its_epoch_and_takes_orders_of_its_host():
    host, signers, opening = moved()
    follower = Follower(3)
    follow(host, follower)
    talk(host, *signers)
    follow(host, follower)
    readmit(follower.witness, PLAN)
    state = follower.vault.state
    assert (state.epoch, state.host, state.hosts) == (1, opening.request.request, (DEPUTY,))
    assert state.start == Start(host.counted.head)
    host._log.append(log_of(6)[0])
    talk(host, follower, *signers[:2])
    assert host.counted.head.size == 3
    assert follower.witness.last_head()[0] == host.counted.head


def test_nobody_is_let_in_before_it_knows_what_opened_the_epoch():
    follower = Follower(3)
    log = log_of(1, 5)
    follower.replica.receive(0, log)
    follower.replica.cover(certified(log, 1, signers=(1, 2, 4), certifiers=(1, 2, 4)))
    readmit(follower.witness, PLAN)
    assert follower.witness.is_lost
    follower.loop.enter(opening_of(PLAN, 1, certified(COMMON), signers=(1, 2, 4)))
    readmit(follower.witness, PLAN)
    assert not follower.witness.is_lost


def test_who_is_found_to_be_up_to_date_signs_in_the_epoch_that_it_followed():
    host, signers, _ = moved()
    follower = Follower(3, lost=False)
    follow(host, follower)
    talk(host, *signers)
    follow(host, follower)
    follower.witness.confirm()
    follower.request = follower.loop._request()
    host._log.append(log_of(6)[0])
    talk(host, follower, *signers[:2])
    assert host.counted.head.size == 3


# -- the pace -------------------------------------------------------------------------------------


class OverError(Exception):
    """Ends a loop that goes on for ever."""


class Repeating:
    """A host that answers at once, with one answer after the other, again and again."""

    def __init__(self, times, *answers):
        self.answers, self.left = itertools.cycle(answers), times

    async def sync(self, _):
        if not self.left:
            raise OverError
        self.left -= 1
        answer = next(self.answers)
        if isinstance(answer, CeremonyError):
            raise answer
        return answer


class Paced(WitnessLoop):
    """Notes its pauses, and waits for none."""

    def __init__(self, *arguments):
        super().__init__(*arguments, clock=lambda: 0.0)
        self.pauses = []

    async def _rest(self, seconds):
        self.pauses.append(seconds)
        self._anew.set()
        await super()._rest(seconds)


def pauses_of(operator, *answers, times=9):
    """Return how long an operator pauses that is answered so."""
    loop = Paced(operator.replica, Repeating(times, *answers), operator.witness)
    with pytest.raises(OverError):
        asyncio.run(loop.run())
    return loop.pauses


GROWING = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
OFFERED = SyncAnswer(0, tuple(COMMON), proposal=head_of(COMMON))
REFUSED = CeremonyError("RF-PEER-007", "nobody is there")


def test_who_is_offered_again_and_again_what_it_cannot_sign_asks_ever_more_slowly():
    assert pauses_of(Follower(3), OFFERED) == GROWING[:8]


def test_a_host_that_asks_for_a_signature_it_has_wears_nobody_out():
    assert pauses_of(Signer(3), OFFERED) == GROWING[:8]


def test_a_host_that_answers_at_once_with_nothing_wears_nobody_out():
    assert pauses_of(Signer(3), SyncAnswer(0)) == GROWING


def test_refusals_between_empty_answers_count_as_one_row():
    assert pauses_of(Signer(3), SyncAnswer(0), REFUSED) == GROWING


def test_whoever_gets_further_asks_again_at_once():
    answers = [SyncAnswer(at, (data,)) for at, data in enumerate(log_of(*range(9)))]
    assert pauses_of(Signer(3), *answers) == []


def test_an_operator_that_is_told_of_another_host_does_not_wait_for_the_end_of_a_pause():
    async def run():
        loop = WitnessLoop(Signer(3).replica, None)
        loop._loop = asyncio.get_running_loop()
        pause = asyncio.create_task(loop._rest(1 << 20))
        loop.ask_again()
        await pause

    asyncio.run(run())
