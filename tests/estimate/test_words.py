"""Times and sizes as people read them."""

import pytest

from infra.estimate.words import seconds_text, size_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (9.96, "10.0 s"),
        (10.4, "10 s"),
        (59.7, "1 min 0 s"),
        (119.6, "2 min 0 s"),
        (3599.6, "1 h 0 min"),
        (12_000, "3 h 20 min"),
    ],
)
def test_times(seconds, text):
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1300, "1.3 kB"),
        (250_000, "250 kB"),
        (20.04e9, "20.0 GB"),
        (5e15, "5000 TB"),
    ],
)
def test_sizes(size, text):
    assert size_text(size) == text
