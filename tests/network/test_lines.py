"""The queue in time: delays, rates, losses. Time is passed in; nothing waits."""

import random
from itertools import pairwise

import pytest

from infra.network.lines import LEAST_QUEUE, QUEUE_SECONDS, Line, Lines, LinkShape, Losses
from infra.network.packets import Packet
from tests.network.test_packets import joined

HERE, THERE, THIRD = 0xC6120001, 0xC6120002, 0xC6120003
IDLE = LinkShape()


def packet(size=1000, source=HERE, destination=THERE):
    return Packet(bytes(10 + size), source, destination)


def two(first=IDLE, second=IDLE, seed=1):
    return Lines.of({HERE: first, THERE: second}, seed)


def arrivals(lines):
    """Return when packets arrive, and which."""
    found = []
    while (time := lines.next_due) is not None:
        found += [(time, each) for each in lines.due(time)]
    return found


# losses


def test_equal_seeds_lose_equal_packets_and_others_lose_others():
    drawn = [Losses(0.1, seed).among(1000) for seed in ("1", "1", "2")]
    assert drawn[0] == drawn[1] != drawn[2]


def test_losses_do_not_depend_on_how_packets_are_joined():
    whole = Losses(0.05, "s").among(2000)
    parts, losses, chance = [], Losses(0.05, "s"), random.Random(3)
    at = 0
    while at < 2000:
        step = min(chance.randrange(9), 2000 - at)
        parts += [at + each for each in losses.among(step)]
        at += step
    assert parts == whole


def test_as_many_packets_get_lost_as_the_line_says():
    lost = len(Losses(0.01, "rate").among(400_000))
    assert abs(lost - 4000) < 5 * (400_000 * 0.01 * 0.99) ** 0.5


def test_a_line_without_loss_loses_nothing():
    assert Losses(0.0, "s").among(10**6) == []


def test_lost_segments_are_missing_and_all_others_arrive_in_order():
    whole = joined(random.Random(5).randbytes(50_000), 100)
    lines = two(LinkShape(loss=0.1))
    lost = Losses(0.1, f"1/{HERE}").among(whole.segments)
    lines.offer(0.0, whole)
    found = [run for _, run in arrivals(lines)]
    singles = [run.run(at, at + 1).data for run in found for at in range(run.segments)]
    assert singles == [whole.run(at, at + 1).data for at in range(500) if at not in lost]
    assert 20 < len(lost) < 100


# delays


def test_what_a_party_sends_is_delayed_by_its_own_line():
    lines = two(LinkShape(delay=0.04), LinkShape(delay=0.1))
    lines.offer(1.0, packet())
    lines.offer(1.0, packet(source=THERE, destination=HERE))
    assert [(time, each.source) for time, each in arrivals(lines)] == [(1.04, HERE), (1.1, THERE)]


def test_packets_of_one_party_arrive_in_the_order_in_which_they_were_sent():
    lines = two(LinkShape(delay=0.04))
    sent = [packet(100 + at) for at in range(50)]
    for each in sent:
        lines.offer(2.0, each)
    assert [each for _, each in arrivals(lines)] == sent


def test_nothing_arrives_before_its_time():
    lines = two(LinkShape(delay=0.04))
    lines.offer(0.0, packet())
    assert list(lines.due(0.0399)) == []
    assert len(list(lines.due(0.0401))) == 1
    assert lines.next_due is None


# rates


def test_a_line_carries_what_its_rate_allows_and_no_more():
    line = Line(rate=8_000_000)
    times = [line.send(0.0, packet(1000)) for _ in range(10)]
    assert times == pytest.approx([0.001 * at for at in range(1, 11)])


def test_a_line_that_was_idle_does_not_catch_up():
    line = Line(rate=8_000_000)
    line.send(0.0, packet(1000))
    assert line.send(5.0, packet(1000)) == pytest.approx(5.001)


def test_the_slower_line_sets_the_pace():
    lines = two(LinkShape(rate=80_000_000), LinkShape(rate=8_000_000))
    for _ in range(20):
        lines.offer(0.0, packet(1000))
    times = [time for time, _ in arrivals(lines)]
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps == pytest.approx([0.001] * 19)


def test_two_senders_share_the_line_of_the_receiver():
    fast = LinkShape(rate=10**9)
    lines = Lines.of({HERE: fast, THIRD: fast, THERE: LinkShape(rate=8_000_000)}, 1)
    for _ in range(10):
        lines.offer(0.0, packet(1000))
        lines.offer(0.0, packet(1000, source=THIRD))
    assert arrivals(lines)[-1][0] == pytest.approx(0.020, abs=1e-4)


def test_headers_of_all_segments_take_their_time():
    whole = joined(bytes(10_000), 100)
    assert Line(rate=8_000_000).send(0.0, whole) == pytest.approx(100 * 140 / 1e6)


@pytest.mark.parametrize("rate", [1_000_000, 1_000_000_000])
def test_a_full_queue_drops_what_comes_on_top(rate):
    room = max(QUEUE_SECONDS * rate / 8, LEAST_QUEUE)
    lines = two(LinkShape(rate=rate))
    for _ in range(2 * int(room / 1000)):
        lines.offer(0.0, packet(1000))
    assert len(arrivals(lines)) == int(room / 1000)


def test_the_head_of_a_joined_packet_still_fits():
    lines = two(LinkShape(rate=1_000_000))
    for _ in range(LEAST_QUEUE // 1000 - 3):
        lines.offer(0.0, packet(1000))
    whole = joined(bytes(50_000), 960)
    lines.offer(0.0, whole)
    last = arrivals(lines)[-1][1]
    assert last.data == whole.run(0, 3).data


# strangers


def test_what_is_for_nobody_or_from_nobody_goes_nowhere():
    lines = two()
    lines.offer(0.0, packet(destination=THIRD))
    lines.offer(0.0, packet(source=THIRD))
    assert lines.next_due is None
