import pytest
import structlog

from infra.telemetry import configure_logging


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
