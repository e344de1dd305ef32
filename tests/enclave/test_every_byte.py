"""A document whose file has any changed byte is refused, binary or in base64."""

import base64

import pytest

from infra.enclave.files import decode_file
from infra.enclave.verification import authenticate
from mpc_core.protocol.errors import CeremonyError
from tests.enclave.chains import document

BITS = tuple(1 << bit for bit in range(8))
REFUSALS = {"RF-ATTEST-001", "RF-ATTEST-002", "RF-ATTEST-003"}
"""Not a document, not below the root, not signed."""

SPARSE = 23
"""Every so many bytes one is changed in each run; all of them in the long one."""


@pytest.fixture(scope="module", params=[bytes, base64.b64encode, base64.encodebytes])
def file(request, certificates):
    """The file of a document: as it came from the device, in one line, in lines."""
    return request.param(document(certificates))


def verdict(data, root):
    """Return the code of the refusal, "" for a valid document."""
    try:
        authenticate(decode_file(data), root)
    except CeremonyError as error:
        return error.code
    return ""


def survivors(file, root, changes):
    """Return the changes, (place, bits), with which a file is still a valid document."""
    found = []
    for at, mask in changes:
        changed = bytearray(file)
        changed[at] ^= mask
        if verdict(bytes(changed), root) not in REFUSALS:
            found.append((at, mask))
    return found


def test_a_changed_byte_of_a_document_is_noticed(file, root):
    assert verdict(file, root) == ""
    places = [*range(0, len(file), SPARSE), len(file) - 2, len(file) - 1]
    changes = [(at, BITS[number % len(BITS)]) for number, at in enumerate(places)]
    assert survivors(file, root, changes) == []


@pytest.mark.long
def test_every_changed_bit_of_every_byte_of_a_document_is_noticed(file, root):
    changes = [(at, mask) for at in range(len(file)) for mask in BITS]
    assert survivors(file, root, changes) == []


def test_a_byte_more_or_less_is_noticed(file, root):
    for changed in (file[1:], file[:-2], b"\0" + file, file + b"\0", file + file):
        assert verdict(changed, root) in REFUSALS
