"""Ceremonies in memory under whatever schedule hypothesis finds: they end, and end well."""

import logging
import os
import subprocess
import sys
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from activities.orders import batch_line, step_line
from activities.seal import KEY_SHARE
from activities.work import BatchWork
from infra.drill.board import WouldWaitError
from infra.drill.engine import Engine
from infra.drill.forgery import ForgedOrder, obey
from infra.drill.operator import Task
from infra.drill.schedule import (
    ABSENCES,
    LONGEST_ABSENCE,
    Disturbance,
    Kind,
    Noise,
    Schedule,
    draw_schedule,
    largest_t,
)
from infra.drill.simulate import Simulation, check_shares
from infra.drill.stores import Mask, MemoryStagedBlob
from infra.drill.watch import BrokenError
from mpc_core.adversary.registry import ADVERSARIES, Outcome
from mpc_core.protocol.batch import BatchState, Verdict
from mpc_core.protocol.entries import Confirmation, Correction, Reveal, Root
from mpc_core.tfhe.objects import public_objects
from mpc_core.tfhe.parameters import lookup
from tests.support.key_check import key_of
from tests.support.reference_keys import residues
from workflows.contracts import BatchOrder, StepOrder

LIES = tuple(ADVERSARIES)
SIZES = (4,) * 50 + (7,) * 6 + (10, 10, 13)
RATES = st.sampled_from((0.0, 0.05, 0.3))


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    yield
    structlog.reset_defaults()


def check_bodies(engine):
    """Check that the joined key of honest operators finds nothing but small noise in all bodies."""
    holders = [each.index for each in engine.honest() if each.vault.read(KEY_SHARE) is not None]
    secrets = key_of(engine, tuple(holders[: engine.plan.threshold + 1]))
    parameters, bodies = lookup(engine.plan.parameters), engine.coordinator.bodies()
    for item in public_objects(parameters):
        noise = residues(parameters, item, engine.coordinator.seed(), secrets, bodies[item.number])
        assert noise.size == item.bodies
        assert abs(noise).max() <= 1 << item.noise_bound_log2


class Schedules(RuleBasedStateMachine):
    """A ceremony to which things are done while it runs, between any two rounds.

    Attributes:
        checked: key sets that were decrypted.
    """

    simulation = Simulation()
    checked: ClassVar[set[bytes]] = set()

    @initialize(
        n=st.sampled_from(SIZES),
        seed=st.integers(0, 1 << 32),
        rates=st.tuples(RATES, RATES, RATES, RATES, RATES),
        lies=st.lists(st.sampled_from(LIES), max_size=4),
        failing=st.randoms(use_true_random=False),
    )
    def begin(self, n, seed, rates, lies, failing):
        t = largest_t(n)
        chosen = failing.sample(range(1, n + 1), t)
        liars = tuple(zip(chosen, lies, strict=False))
        self.unlucky = set(chosen[len(liars) :])
        self.absent = set()
        self.movable = n - t - len(liars) - 1
        self.engine = Engine(Schedule(seed, n, Noise(*rates), liars=liars))
        self.honest = sorted(set(range(1, n + 1)) - dict(liars).keys())
        for operator in self.engine.operators.values():
            operator.start()

    def do(self, kind, operator, rounds=0, amount=0.0):
        self.engine.accidents.begin(Disturbance(kind, operator, self.engine.rounds, rounds, amount))

    @rule(rounds=st.integers(1, 25))
    def go_on(self, rounds):
        for _ in range(rounds):
            if not self.engine.is_over():
                self.engine.round()

    @rule(
        who=st.integers(0, 12),
        kind=st.sampled_from(ABSENCES),
        rounds=st.integers(1, LONGEST_ABSENCE),
        fuse=st.integers(0, 40),
    )
    def goes_away(self, who, kind, rounds, fuse):
        operator = self.honest[who % len(self.honest)]
        if operator not in self.absent:  # two absences may add up to a waiting time
            self.absent.add(operator)
            self.do(kind, operator, rounds, fuse)

    @precondition(lambda self: self.unlucky)
    @rule()
    def is_gone_for_good(self):
        self.do(Kind.GONE, self.unlucky.pop())

    @precondition(lambda self: self.unlucky - self.absent)
    @rule(rounds=st.integers(1, LONGEST_ABSENCE), fuse=st.integers(0, 40))
    def loses_its_vault(self, rounds, fuse):
        operator = min(self.unlucky - self.absent)
        self.unlucky.discard(operator)
        self.absent.add(operator)
        self.do(Kind.LOSE_VAULT, operator, rounds, fuse)

    @rule(who=st.integers(0, 12), rounds=st.integers(1, LONGEST_ABSENCE))
    def sees_little_of_the_log(self, who, rounds):
        self.do(Kind.LAG, 1 + who % self.engine.schedule.n, rounds)

    @precondition(lambda self: self.movable > 0)
    @rule(who=st.integers(0, 12), seconds=st.sampled_from((30.0, 3600.0)))
    def has_its_clock_moved(self, who, seconds):
        self.movable -= 1
        self.do(Kind.CLOCK, self.honest[who % len(self.honest)], amount=seconds)

    @rule(rounds=st.integers(1, LONGEST_ABSENCE))
    def is_without_a_host(self, rounds):
        self.do(Kind.HOST, 0, rounds)

    @rule(rounds=st.integers(1, 60))
    def is_ordered_about(self, rounds):
        self.do(Kind.DISORDER, 0, rounds)

    def teardown(self):
        """Whatever was done: with n-t honest operators up, the ceremony ends as it must."""
        if hasattr(self, "engine"):
            ended = self.engine.go_on_to_the_end()
            self.simulation.check(self.engine, ended)
            if ended.digest not in self.checked:
                self.checked.add(ended.digest)
                check_bodies(self.engine)


COMMON = settings(
    deadline=None,
    stateful_step_count=12,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


class TestThreeHundredSchedules(Schedules.TestCase):
    settings = settings(COMMON, max_examples=300, derandomize=True)


@pytest.mark.long
class TestTwoThousandSchedules(Schedules.TestCase):
    settings = settings(COMMON, max_examples=2000)


# -- one lie at a time ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", LIES)
def test_one_liar_is_survived_and_named_where_it_can_be(name):
    """Every adversary alone, in a ceremony that nothing else disturbs."""
    liar, adversary = 2, ADVERSARIES[name]
    engine = Engine(Schedule(1, 4, liars=((liar, name),)))
    engine.run()
    check_shares(engine)
    state = engine.log.state
    if adversary.outcome is Outcome.ATTRIBUTED:
        assert state.members.excluded == {liar}
        grounds = {accusation.ground for accusation in state.justice.proven}
        assert grounds
        assert grounds <= set(adversary.grounds)
    else:
        assert not state.members.excluded
        assert not state.justice.burns
    if adversary.outcome is Outcome.HARMLESS:
        assert not state.members.written_off
        assert engine.clock.now < engine.plan.deadlines.waiting_seconds


def test_a_coordinator_that_orders_as_it_likes_costs_time_only():
    engine = Engine(Schedule(1, 4, disturbances=(Disturbance(Kind.DISORDER, 0, 0, 80),)))
    undisturbed = Engine(Schedule(1, 4)).run()
    assert engine.run().digest == undisturbed.digest
    assert not engine.log.state.members.excluded


def test_no_forged_order_is_followed_and_no_senseless_one_does_harm():
    """Every way to forge, before and after the seal, each order twice."""
    engine = Engine(Schedule(1, 4))
    for operator in engine.operators.values():
        operator.start()
    while not engine.is_over():
        engine.round()
        for operator in engine.operators.values():
            forged = engine.coordinator.forger.forge()
            for _ in range(2):
                assert not obey(operator, forged) or forged.is_signed
    assert engine.ended().digest == Engine(Schedule(1, 4)).run().digest
    assert not engine.log.state.members.excluded


@pytest.mark.parametrize(
    ("activity", "order", "says"),
    [
        ("share", BatchOrder("N", 999, ""), "RF-ORDER-005"),
        ("answer", BatchOrder("N", 0, "", -7), "RF-ORDER-005"),
        ("step", StepOrder("destroy", ""), "RF-ORDER-005"),
    ],
)
def test_the_coordinator_can_order_nothing_that_there_is_not(activity, order, says):
    engine = Engine(Schedule(1, 4))
    engine.run()
    operator = engine.operators[1]
    line = step_line("destroy") if activity == "step" else batch_line("N", order.batch)
    signed = engine.coordinator.forger.signed(line)
    assert not obey(operator, ForgedOrder(activity, replace(order, envelope=signed), True))
    assert says in operator.unheard


def test_who_complains_once_too_often_after_all_have_examined_stops_nothing():
    """Found by seed 2046: the second "examined" was the bytes of the first, so it never came."""
    engine = Engine(Schedule(2046, 4, liars=((1, "complaints-against-all"),)))
    engine.run()
    assert engine.log.state.setup.examinations == 1


def test_a_liar_that_complains_late_cannot_have_replacements_asked_of_nobody():
    """Found by seed 50026: a set lost its last string while the complaints were to be closed."""
    noise = Noise(late=0.05, twice=0.3, unheard=0.05, lag=0.05)
    late = Disturbance(Kind.LAG, 2, at=3, rounds=12)
    liars = ((3, "complaints-against-all"),)
    engine = Engine(Schedule(50026, 4, noise, (late,), liars))
    engine.run()
    assert len(engine.log.state.setup.asked) == 2


def test_a_batch_that_is_refuted_after_it_was_settled_is_opened_again_and_so_is_what_follows():
    """Found by seed 30048: with who was away, answers no longer fitted what products began from."""
    disturbances = (
        Disturbance(Kind.POWER, 1, at=8, rounds=12, amount=25),
        Disturbance(Kind.CUT, 3, at=17, rounds=9),
        Disturbance(Kind.LAG, 3, at=22, rounds=10),
    )
    engine = Engine(Schedule(30048, 4, Noise(), disturbances, ((4, "wrong-vector"),)))
    engine.run()
    check_shares(engine)
    state = engine.log.state
    refuted = state.opening(("S", 0))
    assert refuted.rounds[0].verdict is Verdict.ODD_V
    assert refuted.state is BatchState.COMPLETE
    assert state.status(("M", 0)).name.generation == 0
    contexts = {each.context for each in state.ever_opened if each.rule.key == ("M", 0)}
    assert len(contexts) == 2


@pytest.mark.parametrize(("at", "has_share"), [(2, True), (17, True), (22, False)])
def test_who_loses_its_vault_is_let_in_again_and_takes_part_where_that_can_be(at, has_share):
    lost = Disturbance(Kind.LOSE_VAULT, 3, at, rounds=3)
    engine = Engine(Schedule(5, 4, disturbances=(lost,)))
    engine.run()
    check_shares(engine)
    operator = engine.operators[3]
    assert not operator.steps.seat.is_out()
    assert engine.log.state.members.rejoins.keys() == {3}
    assert operator.steps.destruction.is_concluded()
    assert bool(operator.vault.read(KEY_SHARE)) == has_share


# -- the drill itself -----------------------------------------------------------------------------


def test_a_seed_gives_the_same_schedule_and_the_same_ceremony_again():
    schedule = draw_schedule(11, 4, LIES)
    assert schedule == draw_schedule(11, 4, LIES)
    drawn = draw_schedule(11, lies=LIES)
    assert drawn == draw_schedule(11, drawn.n, LIES)
    assert Engine(schedule).run() == Engine(schedule).run()


TRACED = """
import logging, structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
from infra.drill.engine import Engine
from infra.drill.schedule import draw_schedule
from mpc_core.adversary.registry import ADVERSARIES
for seed in {seeds}:
    print(Engine(draw_schedule(seed, 4, tuple(ADVERSARIES))).run().trace)
"""


def test_a_seed_gives_the_same_events_whatever_order_sets_of_bytes_have():
    seeds, here = (12, 13), os.environ.get("PYTHONHASHSEED")
    other = "1" if here != "1" else "2"
    child = subprocess.run(
        [sys.executable, "-c", TRACED.format(seeds=seeds)],
        env={**os.environ, "PYTHONHASHSEED": other},
        capture_output=True,
        text=True,
        check=True,
    )
    traces = [Engine(draw_schedule(seed, 4, LIES)).run().trace for seed in seeds]
    assert child.stdout.split() == traces
    assert len(set(traces)) == len(seeds)


def test_an_undisturbed_schedule_loses_nothing():
    engine = Engine(Schedule(1, 4))
    engine.run()
    assert engine.clock.now == 0.0
    assert engine.log.state.voids == ()
    assert not engine.log.state.members.absent


@pytest.mark.parametrize("n", [4, 7])
def test_the_bodies_of_a_micro_key_set_have_small_noise(n, monkeypatch):
    engine = Engine(Schedule(1, n))
    engine.run()
    check_bodies(engine)
    bodies = dict(engine.coordinator.bodies())
    first = min(bodies)
    bodies[first] = bodies[first] ^ np.uint64(1 << 60)
    monkeypatch.setattr(engine.coordinator, "bodies", lambda: bodies)
    with pytest.raises(AssertionError):
        check_bodies(engine)


def test_every_masked_vector_is_known_with_its_mask_and_a_second_one_is_noticed():
    engine = Engine(Schedule(1, 4))
    engine.run()
    masked = [key for key in engine.log.state.batches if key[0] in "NSM"]
    assert len(engine.watch.masks) == len(engine.watch.contexts) == len(masked) * 4
    (index, key), root = next(iter(engine.watch.masks.items()))
    context = engine.watch.contexts[index, key]
    operator = engine.operators[index]
    engine.watch.serves(operator, served(operator, root, Mask(key, context)), "N")
    with pytest.raises(BrokenError, match="two vectors under one mask"):
        engine.watch.serves(operator, served(operator, bytes(32), Mask(key, context)), "N")
    with pytest.raises(BrokenError, match="one mask for two contexts"):
        engine.watch.serves(operator, served(operator, root, Mask(key, bytes(32))), "N")


def served(operator, root, mask):
    return MemoryStagedBlob(operator.blobs, b"", root, mask)


LEFT_OUT = {
    "attempt": lambda context: replace(context, name=replace(context.name, attempt=0)),
    "generation": lambda context: replace(context, name=replace(context.name, generation=0)),
    "batch": lambda context: replace(context, name=replace(context.name, batch=0)),
    "dependencies": lambda context: replace(context, dependencies=()),
}


@pytest.mark.parametrize("part", LEFT_OUT)
def test_batch_keys_that_do_not_depend_on_the_whole_context_are_noticed(part, monkeypatch):
    """The liar has batches drawn anew: what masked the first must not come again."""

    def forgetful(work):
        return LEFT_OUT[part](work.context).encode(work.operator.plan.hash)

    monkeypatch.setattr(BatchWork, "context_bytes", property(forgetful))
    seed = 5 if part == "generation" else 1  # with which key bits are drawn anew, or noise
    with pytest.raises(BrokenError, match=r"under no known mask|one mask for two contexts"):
        Engine(Schedule(seed, 4, liars=((2, "corrections"),))).run()


def test_keys_of_another_batch_that_are_revealed_are_noticed():
    engine = Engine(Schedule(1, 4, liars=((2, "wrong-answer-unserved"),)))
    engine.run()
    burnt, other = (
        next(log.entry for log in engine.log.state.log if is_right(log))
        for is_right in (
            lambda log: isinstance(log.entry, Reveal) and log.author == 1,
            lambda log: isinstance(log.entry, Root) and log.author == 1,
        )
    )
    key = next(
        key
        for (index, key), context in engine.watch.contexts.items()
        if (index, context) == (1, other.context)
    )
    half = len(burnt.keys) // 2
    keys = burnt.keys[:half] + key + burnt.keys[half + len(key) :]
    sealed, engine.log.state.release.sealed = engine.log.state.release.sealed, None
    with pytest.raises(BrokenError, match="keys of another batch"):
        engine.watch._check_reveal(1, engine.log.state, replace(burnt, keys=keys))
    engine.log.state.release.sealed = sealed


def test_keys_that_are_destroyed_before_the_seal_are_noticed(monkeypatch):
    engine = Engine(Schedule(1, 4))
    for operator in engine.operators.values():
        operator.start()
    operator = engine.operators[1]
    while operator.log.state.setup.sealed_at is None:
        engine.round()
    with pytest.raises(WouldWaitError):
        operator.steps.destruction.secure()
    assert len(operator.vault.names("stage-keys")) == 4
    with pytest.raises(BrokenError, match="destroys stage-keys/N before the seal"):
        operator.vault.remove("stage-keys/N")


def test_what_is_left_of_keys_and_passing_shares_at_the_end_is_noticed():
    engine = Engine(Schedule(1, 4))
    engine.run()
    operator = engine.operators[1]
    for store, name in (
        (operator.vault, "stage-keys/O"),
        (operator.vault, "setup/strings-0"),
        (operator.vault, "shares-key"),
        (operator.work, "passing-shares/N-0000"),
    ):
        store.write(name, b"left")
        with pytest.raises(BrokenError, match=name):
            engine.ended()
        store.remove(name)
    engine.ended()


def test_a_root_of_what_is_masked_by_nothing_known_is_noticed():
    engine = Engine(Schedule(1, 4))
    engine.run()
    root = next(log.entry for log in engine.log.state.log if isinstance(log.entry, Root))
    with pytest.raises(BrokenError, match="under no known mask"):
        engine.watch.posts(engine.operators[1], replace(root, context=bytes(32)))


def test_an_honest_operator_that_confirms_against_another_or_corrects_itself_is_noticed():
    engine = Engine(Schedule(1, 4))
    engine.run()
    root = next(log.entry for log in engine.log.state.log if isinstance(log.entry, Root))
    about = (root.batch, root.context)
    for entry, says in (
        (Confirmation(2, "vector", *about, 0), "confirms against 2"),
        (Correction(*about), "admits a fault"),
    ):
        with pytest.raises(BrokenError, match=says):
            engine.watch.posts(engine.operators[1], entry)


def test_an_order_that_waited_in_a_process_that_is_gone_is_given_to_the_next_one():
    """Found by seed 1000695: what the old process had heard counted for the new one."""
    operator = Engine(Schedule(1, 4)).operators[1]
    operator.start()

    def wait(_):
        raise WouldWaitError

    task = Task("share", wait)
    operator.tasks.append(task)
    assert not task.run(operator.steps, 100, 0.0)
    assert not task.ready(100, 0.0)
    operator.end()
    operator.start()
    assert task.ready(0, 0.0)


def test_a_schedule_that_fails_is_made_simpler(monkeypatch):
    schedule = draw_schedule(3, 4)
    culprit = schedule.disturbances[-1]

    def run(engine):
        if culprit in engine.schedule.disturbances:
            raise RuntimeError("found")
        return original(engine)

    original = Engine.run
    monkeypatch.setattr(Engine, "run", run)
    simulation = Simulation()
    failure = simulation.fails(schedule)
    assert isinstance(failure, RuntimeError)
    simple = simulation.simplest(schedule, failure)
    assert simple == replace(schedule, noise=Noise(), disturbances=(culprit,))
