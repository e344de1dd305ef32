"""What tests of the transport have in common."""

import pytest

from tests.support.transport import World


@pytest.fixture
def world():
    return World()


@pytest.fixture
def target(tmp_path):
    """Return where a fetched blob goes."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work" / "value"
