import subprocess
import sys

import pytest

from tests.support.simulation import SEED, Ceremony


@pytest.fixture(scope="session")
def undisturbed():
    """A ceremony of four in which nothing goes wrong."""
    ceremony = Ceremony()
    ceremony.run()
    return ceremony


@pytest.fixture(scope="session")
def announced(tmp_path_factory):
    """The folder of a finished ceremony of real processes; copy it before changing anything."""
    directory = tmp_path_factory.mktemp("ceremonies")
    options = ["--dir", str(directory), "--id", "one", "--insecure-setup-seed", SEED]
    subprocess.run(
        [sys.executable, "-m", "infra.cli", "sandbox", *options], check=True, stdout=sys.stderr
    )
    return directory / "one"
