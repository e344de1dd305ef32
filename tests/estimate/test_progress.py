"""Percent and time left, on the log of a small ceremony and on scripted runs of a large one."""

import itertools
import random

import pytest

from infra.estimate.costs import Machine
from infra.estimate.progress import Agenda, BatchWork, Done, Pace, agenda_of, done_of
from infra.party.rules import layout_of
from infra.plan.sandbox import sandbox_plan
from tests.support.ledger import RULES, Ledger

N0, N1, S0, M0, O0, O1 = (rule.key for rule in RULES)
AGENDA = Agenda(
    operators=4,
    batches={rule.key: BatchWork(1.0, 2.0, 4.0) for rule in RULES},
    seal=10.0,
    rebuild=20.0,
    publish=30.0,
)


def _done(ledger):
    return done_of(AGENDA, ledger.state).done


def test_nothing_is_done_before_the_first_entry():
    assert _done(Ledger()) == 0
    assert done_of(AGENDA, Ledger().state).percent == 0


def test_each_step_of_a_batch_counts_its_own_work():
    ledger = Ledger().set_up()
    seen = [_done(ledger)]
    for act in (
        lambda: ledger.share(N0, (1, 2)),
        lambda: ledger.share(N0, (3, 4)),
        lambda: ledger.decode(N0),
        lambda: ledger.vouch(N0),
        lambda: ledger.reply(N0, (1,)),
        lambda: ledger.reply(N0, (2, 3, 4)),
    ):
        act()
        seen.append(_done(ledger))
    steps = [after - before for before, after in itertools.pairwise(seen)]
    assert seen[0] == 0
    assert steps[:4] == [0.5, 0.5, 2.0, 0.0]
    assert steps[4] == 1.0
    assert seen[-1] == 7.0


def test_what_is_begun_is_what_is_open_and_not_done():
    ledger = Ledger().set_up()
    begun = done_of(AGENDA, ledger.state).begun
    ledger.share(N0)
    ledger.decode(N0)
    assert done_of(AGENDA, ledger.state).begun == begun - 3.0


def test_the_seal_counts_only_when_what_follows_has_begun():
    ledger = Ledger().set_up()
    ledger.preprocess()
    before = _done(ledger)
    ledger.seal()
    assert _done(ledger) == before + AGENDA.seal
    assert AGENDA.total == 6 * 7 + 10 + 20 + 30


def test_a_run_never_shows_100_percent_before_it_ends():
    assert Done(99.9, 0.0, 100.0).percent == 99
    assert Done(100.0, 0.0, 100.0).percent == 99


def _mainnet():
    plan = sandbox_plan(operators=4, threshold=1, parameters="mainnet", waiting_seconds=60).signed
    layout = layout_of(plan.plan)
    return agenda_of(plan.plan, layout, Machine.of(plan.plan, 2)), layout


def _looks(agenda, *, seed, factors, in_flight=3):
    """Script a run: steps in order, batches side by side, each as long as its work takes.

    Yields a time, the time of the next change, and what is done between them; `factors` says by
    how much the prediction of a stage is wrong, and as much work as a batch has deviates by up to
    a third.
    """
    chance, now, done = random.Random(seed), 0.0, 0.0
    usual = agenda.batches["N", 0].total
    stages = {}
    for key, batch in agenda.batches.items():
        stages.setdefault(key[0], []).append(batch.total)
    steps = []
    for stage in ("N", "S", "M"):
        steps += [(stage, size) for size in stages[stage]]
    steps.append(("seal", agenda.seal))
    bodies, last = stages["O"][:-2], stages["O"][-2:]
    steps += [("O", size) for size in bodies]
    steps.append(("rebuild", agenda.rebuild))
    steps += [("O", size) for size in last]
    steps.append(("publish", agenda.publish))
    waiting = []
    for stage, size in steps:
        if not waiting:
            begun = now
        waiting.append(size)
        parts = max(round(size / usual), 1)
        deviation = sum(chance.uniform(0.67, 1.33) for _ in range(parts)) / parts
        now += size * factors.get(stage, 1.0) * deviation
        if len(waiting) == in_flight or stage in {"seal", "rebuild", "publish"}:
            # batches in flight begin and end together: the worst case for a look
            yield begun, now, Done(done, sum(waiting), agenda.total)
            done += sum(waiting)
            waiting = []
    yield now, now, Done(done, 0.0, agenda.total)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "factors",
    [
        {},
        {"O": 1.2, "rebuild": 1.2, "publish": 1.2},
        {"O": 0.9, "M": 0.5},
    ],
)
def test_the_time_left_is_right_within_a_quarter_after_the_first_tenth(seed, factors):
    agenda, _ = _mainnet()
    looks = list(_looks(agenda, seed=seed, factors=factors))
    end, pace, checked = looks[-1][0], Pace(), 0
    for now, following, done in looks:
        pace.note(done, now)
        if 0.1 * end <= now <= 0.9 * end:
            for moment in (now, (now + following) / 2):
                left = pace.seconds_left(moment)
                assert left == pytest.approx(end - moment, rel=0.25, abs=0.02 * end)
                checked += 1
    assert checked > 10


def test_the_scale_of_the_prediction_does_not_matter():
    fast, slow = Pace(), Pace()
    for step in range(20):
        fast.note(Done(step, 1.0, 100.0), step)
        slow.note(Done(step, 1.0, 100.0), 50.0 * step)
    assert slow.seconds_left(950.0) == pytest.approx(50 * fast.seconds_left(19.0))


def test_nothing_is_said_before_anything_is_known():
    pace = Pace()
    assert pace.seconds_left(5.0) is None
    pace.note(Done(0.0, 0.0, 1000.0), 0.0)
    pace.note(Done(1.0, 0.0, 1000.0), 10.0)
    assert pace.seconds_left(11.0) is None


def test_what_an_earlier_start_did_is_not_counted_as_fast_work():
    pace = Pace()
    pace.note(Done(500.0, 0.0, 1000.0), 0.0)
    pace.note(Done(510.0, 0.0, 1000.0), 10.0)
    assert pace.seconds_left(10.0) == pytest.approx(490.0)


def test_the_wait_before_the_first_work_is_not_counted_as_slow_work():
    pace = Pace()
    for now in (0.0, 30.0, 60.0):
        pace.note(Done(0.0, 0.0, 100.0), now)
    pace.note(Done(10.0, 0.0, 100.0), 70.0)
    assert pace.seconds_left(70.0) == pytest.approx(90.0)


def test_between_two_looks_the_time_left_goes_down_with_the_clock():
    pace = Pace()
    for step in range(6):
        pace.note(Done(10.0 * step, 10.0, 100.0), 10.0 * step)
    assert pace.seconds_left(50.0) == pytest.approx(50.0)
    assert pace.seconds_left(55.0) == pytest.approx(45.0)


def test_when_nothing_moves_the_end_moves_away_again():
    pace = Pace()
    for step in range(6):
        pace.note(Done(10.0 * step, 10.0, 100.0), 10.0 * step)
    lefts = [pace.seconds_left(now) for now in (60.0, 90.0, 120.0)]
    assert lefts == sorted(lefts)
    assert lefts[-1] > lefts[0]
