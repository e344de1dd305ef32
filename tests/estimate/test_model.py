"""The prediction follows from counts, costs and machines, and from nothing else."""

from dataclasses import fields, replace

import pytest

from infra.estimate.calibration import FREE, NOTHING, Run, fit
from infra.estimate.costs import OVERHEADS, Machine
from infra.estimate.log import COORDINATOR, log_entries
from infra.estimate.model import WAITING, estimate
from infra.estimate.nominal import NOMINAL
from infra.estimate.storage import storage_of
from infra.estimate.work import key_set_bytes
from mpc_core.protocol.quorum import Quorum
from mpc_core.tfhe.parameters import lookup
from tests.estimate.conftest import made

HERE = Machine(bandwidth=0.0, rtt=0.0, cores=2, operators=4, sandbox=True)
APART = Machine(bandwidth=1e9, rtt=0.08, cores=64)


def _phase(found, name):
    return next(phase for phase in found.phases if phase.name == name)


def _estimate(ceremony, machine, costs=NOMINAL, overheads=OVERHEADS):
    return estimate(*ceremony, costs, overheads, machine)


def test_free_work_takes_no_time_on_a_perfect_network(small):
    found = _estimate(small, HERE, FREE, NOTHING)
    assert found.cpu_seconds == 0
    assert found.wall_seconds < 1  # the host gathers entries


def test_entries_are_charged_to_everybody_who_folds_them(small):
    found = _estimate(small, HERE, FREE, replace(NOTHING, entry_operator=1.0))
    entries = sum(posted.author >= 0 for posted in _expanded(small[1]))
    assert found.spent(1).cpu_seconds == found.spent(4).cpu_seconds == entries
    assert found.spent(COORDINATOR).cpu_seconds == 0


def _expanded(layout):
    """Yield an entry for every entry: root, voucher and answer stand as one in the count."""
    for posted in log_entries(layout, Quorum(4, 1)):
        together = posted.stage in "NSMO" and posted.author != COORDINATOR
        decoded = posted.size < 300
        yield from [posted] * (3 if together and not decoded else 1)


def test_on_one_machine_all_processes_share_the_cores(small):
    found = _estimate(small, HERE)
    phase = _phase(found, "N, S, M")
    alone = _estimate(small, replace(HERE, operators=1, sandbox=False))
    assert phase.bounds["cores"] > 3 * _phase(alone, "N, S, M").bounds["cores"]
    assert phase.bound == "cores"


def test_twice_the_cores_halve_what_the_cores_bound(small):
    nothing_polls = replace(OVERHEADS, second_operator=0, second_coordinator=0, second_server=0)
    two, four = (
        _estimate(small, replace(HERE, cores=cores), overheads=nothing_polls) for cores in (2, 4)
    )
    assert _phase(four, "N, S, M").bounds["cores"] == pytest.approx(
        _phase(two, "N, S, M").bounds["cores"] / 2
    )
    assert four.cpu_seconds == two.cpu_seconds


def test_a_slow_link_is_what_a_large_ceremony_waits_for(large):
    found = _estimate(large, replace(APART, bandwidth=1e7))
    phase = _phase(found, "N, S, M")
    busiest = max(
        max(spent.traffic.out, spent.traffic.into)
        for spent in (found.spent(index, ("N", "S", "M")) for index in range(5))
    )
    assert phase.bound == "link"
    assert phase.seconds == pytest.approx(8 * busiest / 1e7)


def test_round_trips_are_what_a_small_ceremony_waits_for(small):
    near, far = (_estimate(small, replace(APART, rtt=rtt)) for rtt in (0.1, 0.2))
    assert _phase(far, "N, S, M").bound == "log"
    grown = far.wall_seconds - near.wall_seconds
    assert 0.1 * 50 < grown < 0.1 * 300


def test_a_batch_in_flight_more_means_fewer_waits(small):
    plan, layout = small
    one = replace(plan, layout=replace(plan.layout, batches_in_flight=1))
    waits = [_phase(_estimate((each, layout), APART), "O").bounds["log"] for each in (plan, one)]
    assert waits[1] > 2 * waits[0]


def test_storage_of_the_large_set_fits_what_the_plan_promises(large):
    storage = _estimate(large, HERE).storage
    assert 11e9 < storage.openings < 11.5e9
    assert storage.machine_disk(4) < 25e9
    assert storage.operator_memory < 3e9


def test_sums_are_noted_by_large_committees_only(large):
    assert _estimate(large, HERE).storage.sums == 0
    plan, layout = made("mainnet", 13, 4)
    storage = storage_of(lookup("mainnet"), layout, Quorum.of(plan), 6)
    of_noise = sorted((b.bits * 4 * b.word_bits // 8 for b in layout.noise), reverse=True)
    of_key_bits = sum(b.bits * 4 * b.word_bits // 8 for b in layout.secrets)
    assert storage.sums == sum(of_noise[:6]) + of_key_bits
    assert storage.operator_disk > storage.openings + storage.sums
    more = storage_of(lookup("mainnet"), layout, Quorum.of(plan), 12)
    assert storage.sums < more.sums < 2 * storage.sums


def test_key_files_are_as_long_as_published_ones():
    published = 8_458 + 2_656_809 + 2_661_241
    assert key_set_bytes(lookup("test")) == pytest.approx(published, rel=0.01)


def test_what_polls_all_the_time_takes_its_part_of_every_second(small):
    asked = replace(NOTHING, second_operator=0.1, second_coordinator=0.2, second_server=0.4)
    quiet, found = (
        _estimate(small, HERE, overheads=NOTHING),
        _estimate(small, HERE, overheads=asked),
    )
    assert found.spent(1, [WAITING]).cpu_seconds == pytest.approx(0.1 * found.wall_seconds)
    assert found.spent(COORDINATOR, [WAITING]).cpu_seconds == pytest.approx(
        0.2 * found.wall_seconds
    )
    assert found.server_cpu_seconds == pytest.approx(0.4 * found.wall_seconds)
    free = HERE.cores - 4 * 0.1 - 0.2 - 0.4
    assert _phase(found, "N, S, M").bounds["cores"] * free == pytest.approx(
        _phase(quiet, "N, S, M").bounds["cores"] * HERE.cores
    )


def test_a_calibration_finds_the_overheads_that_made_the_runs():
    truth = replace(
        OVERHEADS,
        entry_operator=2 * OVERHEADS.entry_operator,
        second_operator=2 * OVERHEADS.second_operator,
        entry_coordinator=OVERHEADS.entry_coordinator / 2,
        second_coordinator=OVERHEADS.second_coordinator / 2,
        order_server=1.1 * OVERHEADS.order_server,
        second_server=1.1 * OVERHEADS.second_server,
        idle_seconds=7.0,
    )
    runs = []
    for n, t in ((4, 1), (7, 2)):
        plan, layout = made("test", n, t)
        machine = Machine(0.0, 0.0, 2, n, sandbox=True)
        found = estimate(plan, layout, NOMINAL, truth, machine)
        operators = [found.spent(index).cpu_seconds for index in range(1, n + 1)]
        runs.append(
            Run(
                plan=plan,
                costs=NOMINAL,
                cores=2,
                wall_seconds=found.wall_seconds,
                operator_cpu_seconds=sum(operators) / n,
                coordinator_cpu_seconds=found.spent(COORDINATOR).cpu_seconds,
                other_cpu_seconds=found.server_cpu_seconds,
            )
        )
    known = replace(
        NOTHING,
        start_operator=truth.start_operator,
        start_coordinator=truth.start_coordinator,
    )
    found = fit(runs, known)
    for each in fields(truth):
        assert getattr(found, each.name) == pytest.approx(getattr(truth, each.name), rel=1e-6)


def test_a_calibration_never_finds_a_negative_cost():
    plan, _ = made("test")
    other, _ = made("test", 7, 2)
    odd = [
        Run(plan, FREE, 2, 10.0, 10.0, 10.0, 5.0),
        Run(other, FREE, 2, 10.0, 1.0, 1.0, 5.0),
    ]
    found = fit(odd, replace(NOTHING, start_operator=100.0))
    assert all(getattr(found, each.name) >= 0 for each in fields(found))
    assert found.entry_operator == found.second_operator == 0
    assert found.entry_coordinator > 0
