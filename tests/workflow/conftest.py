"""One real Temporal server for all tests of the workflows."""

from __future__ import annotations

import pytest

from infra.temporal.client import connect
from infra.temporal.server import open_server


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with open_server(tmp_path_factory.mktemp("temporal"), report=print, environment=_own()) as own:
        yield own.address


def _own():
    """Return the variables of this process without a server of its user."""
    import os

    return {k: v for k, v in os.environ.items() if not k.startswith("TEMPORAL_")}


@pytest.fixture
async def client(server):
    return await connect(server, identity="test")
