import pytest

from tests.support.sandbox import run_ceremony, seeded
from tests.support.simulation import Ceremony


@pytest.fixture(scope="session")
def undisturbed():
    """A ceremony of four in which nothing goes wrong."""
    ceremony = Ceremony()
    ceremony.run()
    return ceremony


@pytest.fixture(scope="session")
def ceremony(tmp_path_factory):
    """A ceremony of real processes in which nothing goes wrong."""
    return run_ceremony(tmp_path_factory.mktemp("undisturbed"), "undisturbed", *seeded())


@pytest.fixture(scope="session")
def announced(ceremony):
    """The folder of a finished ceremony of real processes; copy it before changing anything."""
    return ceremony.folder.root
