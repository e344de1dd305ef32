"""Enclave images, and what is said of their releases."""

from __future__ import annotations

import base64
import dataclasses

from infra.image.launch import Launch, read_launch
from infra.image.registers import measure
from infra.image.release import read_release, sign_release
from infra.image.signature import read_signature
from infra.image.start import relays_of
from infra.plan.keys import create_hybrid_identity
from tests.fuzz.registry import target
from tests.image.images import image
from tests.image.signing import PCR0, entry, section, signed_image
from tests.image.test_release import RELEASE
from tests.image.test_start import document, enrolment_document


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


def _manifests():
    identity = create_hybrid_identity()
    yield sign_release(RELEASE, identity)
    bare = {at: value for at, value in RELEASE.pcrs.items() if at < 3}
    yield sign_release(dataclasses.replace(RELEASE, pcrs=bare), identity)


@target(seeds=_manifests)
def release_manifest(data):
    """What is read is rendered as it was."""
    found = read_release(data)
    assert data.startswith(found.release.body)
    assert data.endswith(base64.b64encode(found.signature) + b"\n")


@target(seeds=lambda: [document(), enrolment_document()])
def launch_document(data):
    """What the parent says: ports and addresses, of which none is reached twice."""
    found = read_launch(data)
    assert len(set(relays_of(found))) == len(found.ways) + isinstance(found, Launch)
