"""Enclave images, and what is said of their releases."""

from __future__ import annotations

from infra.image.registers import measure
from infra.image.signature import read_signature
from tests.fuzz.registry import target
from tests.image.images import image
from tests.image.signing import PCR0, entry, section, signed_image


def _images():
    yield image()
    yield signed_image(section(entry()))


@target(seeds=_images)
def enclave_image(data):
    """Whatever the file says of itself, its registers are those of all its bytes."""
    found = measure(memoryview(data))
    assert found.size == len(data)
    assert {0, 1, 2} <= found.pcrs.keys() <= {0, 1, 2, 8}
    assert (8 in found.pcrs) == (found.signature is not None)


@target(seeds=lambda: [section(entry())])
def image_signature(data):
    """Behind no checksum, so that every change reaches the decoder."""
    read_signature(data, PCR0)
