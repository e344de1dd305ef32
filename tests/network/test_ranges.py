"""How many connections a fetch is split over."""

import pytest

from infra.network.ranges import MOST_RANGES, parallel_ranges


@pytest.mark.parametrize(
    ("rate", "round_trip", "loss", "algorithm", "ranges"),
    [
        (1e9, 0.08, 0.01, "bbr", 1),
        (1e9, 0.08, 0.0, "cubic", 1),
        (1e9, 0.0, 0.01, "cubic", 1),
        (1e9, 0.08, 0.01, "cubic", MOST_RANGES),
        (None, 0.08, 0.01, "cubic", MOST_RANGES),
        # One connection: 8 * 1448 bits / 20 ms * sqrt(1.5 / 0.0001) = 70.9 Mbit/s.
        (70e6, 0.02, 0.0001, "reno", 1),
        (71e6, 0.02, 0.0001, "reno", 2),
        (283e6, 0.02, 0.0001, "cubic", 4),
        (284e6, 0.02, 0.0001, "cubic", 5),
    ],
)
def test_losses_are_made_up_for_by_as_many_connections_as_the_formula_says(
    rate, round_trip, loss, algorithm, ranges
):
    assert parallel_ranges(rate, round_trip, loss, algorithm) == ranges
