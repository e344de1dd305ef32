"""No test judges by time; and which tests stay together when several run at once (`-n 3`)."""

from __future__ import annotations

import logging
from pathlib import PurePosixPath

import hypothesis
import pytest
import structlog
from xdist.scheduler import LoadScopeScheduling

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


_PROCESSES = "processes"


class FilesTogether(LoadScopeScheduling):
    """Keep a file's tests in one worker, for its fixtures, and run one real ceremony at a time.

    Two at once on two cores would wait for deadlines that have nothing to do with what is tested.
    They take longest, so they begin first.
    """

    def _assign_work_unit(self, node):
        if _PROCESSES in self.workqueue:
            self.workqueue.move_to_end(_PROCESSES, last=False)
        super()._assign_work_unit(node)

    def _split_scope(self, nodeid):
        file = PurePosixPath(nodeid.partition("::")[0])
        return _PROCESSES if file.stem.startswith(_REAL_PROCESSES) else str(file)


def pytest_xdist_make_scheduler(config, log):
    """Return what hands the tests out."""
    return FilesTogether(config, log)


@pytest.fixture
def logging_of_its_own():
    """Leave the logging of this test process as it was."""
    root, level = list(logging.root.handlers), logging.root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.root.handlers[:] = root
    logging.root.setLevel(level)
