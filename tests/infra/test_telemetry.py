import logging

import pytest
import structlog

from infra.telemetry import configure_logging


@pytest.fixture
def logging_of_its_own():
    """Leave the logging of this test process as it was."""
    root, level = list(logging.root.handlers), logging.root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.root.handlers[:] = root
    logging.root.setLevel(level)


def _fail(share):
    raise ValueError(len(share))


@pytest.mark.usefixtures("logging_of_its_own")
def test_a_logged_error_shows_where_it_happened_and_no_local_variable(capsys):
    configure_logging("op-01")
    try:
        _fail("5ec2e7" * 4)
    except ValueError:
        structlog.get_logger().exception("unforeseen")
    told = capsys.readouterr().err
    assert "test_telemetry.py" in told
    assert "ValueError" in told
    assert "5ec2e7" not in told
