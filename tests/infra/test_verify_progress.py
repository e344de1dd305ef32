"""What a long verification says of itself."""

from infra.verify.progress import LONG, Progress


def lines(total, *sizes):
    said = []
    progress = Progress(said.append, total)
    for size in sizes:
        progress.add(size)
    return said


def test_few_bytes_are_not_worth_a_line():
    assert lines(LONG - 1, LONG - 1) == []


def test_every_twentieth_is_said_once():
    said = lines(LONG, *[LONG // 64] * 64)
    assert said == [f"{5 * step} % of {LONG} bytes" for step in range(1, 21)]


def test_bytes_beyond_what_the_manifest_lists_are_not_more_than_all():
    assert lines(LONG, LONG, LONG) == [f"100 % of {LONG} bytes"]
