"""A signature in an image is one of that image, or the image is refused."""

import hashlib

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from infra.image.registers import measure
from mpc_core.protocol.errors import CeremonyError
from tests.image.signing import CURVES, ENDS, PCR0, entry, section, signed_image


def _measured(data):
    return measure(memoryview(signed_image(data)))


@pytest.mark.parametrize("curve", CURVES)
def test_register_8_is_over_the_certificate_that_signed(curve):
    one = entry(curve=curve)
    der = x509.load_pem_x509_certificate(bytes(one["signing_certificate"])).public_bytes(
        Encoding.DER
    )
    found = _measured(section(one))
    assert found.pcrs[8] == hashlib.sha384(bytes(48) + hashlib.sha384(der).digest()).digest()
    assert found.pcrs[0] == PCR0
    assert (found.signature.subject, found.signature.until) == ("CN=Release team", ENDS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"pcr0": bytes(48)},
        {"index": 1},
        {"other_key": True},
        {"algorithm": -7},
        {"algorithm": -36},
        {"unprotected": {1: 2}},
        {"pem": b"no certificate"},
        {"pem": b""},
        {"value": bytes(48)},
    ],
    ids=str,
)
def test_a_signature_that_is_not_of_this_image_is_refused(wrong):
    with pytest.raises(CeremonyError, match="RF-IMAGE-002"):
        _measured(section(entry(**wrong)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        section(),
        section(entry(), entry()),
        section({**entry(), "more": 1}),
        section({**entry(), "signature": 1 << 40}),
        section({**entry(), "signature": [256]}),
        section({**entry(), "signature": [1]}),
        section({**entry(), "signature": "text"}),
        section({**entry(), "signing_certificate": 1 << 62}),
        section([]),
        cbor2.dumps(cbor2.CBORTag(61, [entry()])),
        section(entry()) + b"\0",
    ],
    ids=range(13),
)
def test_a_signature_section_of_another_form_is_refused(data):
    with pytest.raises(CeremonyError, match="RF-IMAGE-002"):
        _measured(data)
