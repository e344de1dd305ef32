"""All fuzz targets, by name."""

from tests.fuzz import board, enclave, evidence, images, keys, log, peers, plans  # noqa: F401 - registers their targets
from tests.fuzz.registry import TARGETS

__all__ = ["TARGETS"]
