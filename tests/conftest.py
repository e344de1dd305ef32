"""No test judges by time; and which tests stay together when several run at once (`-n 2`)."""

from __future__ import annotations

import hypothesis
import pytest

hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")

_REAL_PROCESSES = (
    "test_canary",
    "test_chaos",
    "test_decrypt_processes",
    "test_moved_board",
    "test_readme",
    "test_sandbox",
)
"""Beginnings of the files whose tests start whole ceremonies of processes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests in one worker, for its fixtures, and run one real ceremony at a time.

    Two at once on two cores would wait for deadlines that have nothing to do with what is tested.
    """
    for item in items:
        name = item.path.stem
        group = "processes" if name.startswith(_REAL_PROCESSES) else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
