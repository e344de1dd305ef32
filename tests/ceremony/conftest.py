import pytest

from tests.support.simulation import Ceremony


@pytest.fixture(scope="session")
def undisturbed():
    """A ceremony of four in which nothing goes wrong."""
    ceremony = Ceremony()
    ceremony.run()
    return ceremony
