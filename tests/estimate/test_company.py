"""What is measured is measured beside cores that work, and nothing goes on working afterwards."""

import os

import pytest

from infra.estimate.company import in_company


def wait_until_nobody_writes(ours, theirs):
    os.close(theirs)
    while os.read(ours, 1 << 16):
        pass
    os.close(ours)


def test_every_companion_repeats_the_task_until_the_block_ends():
    ours, theirs = os.pipe()
    with in_company(lambda: os.write(theirs, os.getpid().to_bytes(4, "big")), companions=2):
        seen = []
        while len(set(seen)) < 2 or len(seen) < 5:
            seen.append(int.from_bytes(os.read(ours, 4), "big"))
    assert os.getpid() not in seen
    wait_until_nobody_writes(ours, theirs)


def test_companions_end_although_what_is_measured_fails():
    ours, theirs = os.pipe()

    def fail():
        with in_company(lambda: os.write(theirs, b"x"), companions=1):
            assert os.read(ours, 1) == b"x"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    wait_until_nobody_writes(ours, theirs)


def test_companions_end_with_a_parent_that_is_killed():
    ours, theirs = os.pipe()
    parent = os.fork()
    if not parent:
        with in_company(lambda: os.write(theirs, b"x"), companions=1):
            os.read(ours, 1)
            os.kill(os.getpid(), 9)
    os.waitpid(parent, 0)
    wait_until_nobody_writes(ours, theirs)
