import pytest

from tests.enclave.chains import LINKS, chain


@pytest.fixture(scope="session")
def certificates():
    """A chain as AWS has them: root, region, zone, instance, leaf."""
    return chain(*LINKS)


@pytest.fixture(scope="session")
def root(certificates):
    return certificates[0].certificate
