"""Which documents are believed: chain, signature, measurement, freshness, bound keys."""

import dataclasses
import datetime as dt

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.enclave.binding import Binding
from infra.enclave.chain import aws_root
from infra.enclave.measurement import Measurement, read_measurement
from infra.enclave.verification import Expectation, authenticate, verify_document
from mpc_core.protocol.errors import CeremonyError
from tests.enclave.chains import (
    APPROVED,
    INSTANCE,
    LEAF,
    LINKS,
    MEASURED,
    NOW,
    REGION,
    ROOT,
    ZONE,
    chain,
    document,
    fields,
    renumbered,
    signed,
)

EXPECTED = Expectation(APPROVED, b"n" * 20, b"u" * 32, b"a key in DER", "op-02")


def _refused(check, *arguments):
    with pytest.raises(CeremonyError) as refusal:
        check(*arguments)
    assert refusal.value.runbook == "attestation-refused"
    return refusal.value


def _verified(certificates, expected=EXPECTED, now=NOW, **changes):
    return verify_document(
        document(certificates, **changes), certificates[0].certificate, expected, now
    )


def test_a_document_that_proves_everything_is_believed(certificates):
    assert _verified(certificates).nonce == EXPECTED.nonce


def test_the_root_is_the_one_that_aws_publishes():
    assert aws_root().subject.rfc4514_string() == "CN=aws.nitro-enclaves,OU=AWS,O=Amazon,C=US"


def test_a_chain_below_another_root_is_refused(certificates):
    error = _refused(authenticate, document(certificates), aws_root())
    assert error.code == "RF-ATTEST-002"


def test_a_chain_that_only_shows_the_pinned_root_is_refused(certificates, root):
    others = chain(*LINKS)
    error = _refused(authenticate, document([certificates[0], *others[1:]]), root)
    assert error.code == "RF-ATTEST-002"


LATE = dt.timedelta(hours=1)


@pytest.mark.parametrize(
    "links",
    [
        (ROOT, REGION, ZONE, INSTANCE, dataclasses.replace(LEAF, digital_signature=False)),
        (ROOT, REGION, ZONE, INSTANCE, dataclasses.replace(LEAF, cert_sign=True)),
        (ROOT, REGION, ZONE, INSTANCE, dataclasses.replace(LEAF, key_usage=False)),
        (ROOT, REGION, ZONE, INSTANCE, dataclasses.replace(LEAF, ca=True, cert_sign=True)),
        (ROOT, REGION, ZONE, INSTANCE, dataclasses.replace(LEAF, curve=ec.SECP256R1())),
        (ROOT, REGION, ZONE, INSTANCE, dataclasses.replace(LEAF, digest=SHA256())),
        (ROOT, REGION, ZONE, INSTANCE, dataclasses.replace(LEAF, starts=LATE)),
        (ROOT, REGION, ZONE, INSTANCE, dataclasses.replace(LEAF, life=dt.timedelta(minutes=29))),
        (ROOT, REGION, ZONE, dataclasses.replace(INSTANCE, starts=LATE), LEAF),
        (ROOT, REGION, ZONE, dataclasses.replace(INSTANCE, life=dt.timedelta(minutes=29)), LEAF),
        (ROOT, REGION, ZONE, dataclasses.replace(INSTANCE, ca=False, path_length=None), LEAF),
        (ROOT, REGION, ZONE, dataclasses.replace(INSTANCE, cert_sign=False), LEAF),
        (ROOT, REGION, ZONE, dataclasses.replace(INSTANCE, basic_constraints=False), LEAF),
        (ROOT, REGION, ZONE, dataclasses.replace(INSTANCE, curve=ec.SECP256R1()), LEAF),
        (ROOT, REGION, dataclasses.replace(ZONE, path_length=0), INSTANCE, LEAF),
        (ROOT, dataclasses.replace(REGION, path_length=1), ZONE, INSTANCE, LEAF),
        (ROOT, dataclasses.replace(REGION, digest=SHA256()), ZONE, INSTANCE, LEAF),
        (dataclasses.replace(ROOT, life=dt.timedelta(minutes=29)), REGION, ZONE, INSTANCE, LEAF),
    ],
    ids=range(18),
)
def test_a_chain_with_one_wrong_certificate_is_refused(links):
    certificates = chain(*links)
    error = _refused(authenticate, document(certificates), certificates[0].certificate)
    assert error.code == "RF-ATTEST-002"


def test_certificates_stand_in_their_order_and_none_is_left_over(certificates, root):
    ders = [each.der for each in certificates]
    key = certificates[-1].key
    stranger = chain(*LINKS)[1].der
    for bundle in (
        [ders[0], ders[2], ders[1], ders[3]],
        [*ders[1:4], ders[0]],
        [ders[0], ders[1], ders[3]],
        [*ders[:4], stranger],
        [ders[0], ders[1], ders[1], ders[2], ders[3]],
        [ders[0]],
    ):
        error = _refused(authenticate, document(certificates, cabundle=bundle), root)
        assert error.code == "RF-ATTEST-002"
    assert authenticate(signed(_payload(certificates), key), root)


@pytest.mark.parametrize("first", ["another root", "bytes", "the next one"])
def test_the_first_certificate_is_the_pinned_root_and_nothing_else(certificates, root, first):
    """No path leads through the first one, since its place is the root's: what stands there is."""
    ders = [each.der for each in certificates]
    stands = {"another root": chain(ROOT)[0].der, "bytes": b"anything", "the next one": ders[1]}
    data = document(certificates, cabundle=[stands[first], *ders[1:4]])
    error = _refused(authenticate, data, root)
    assert error.code == "RF-ATTEST-002"
    assert error.expected == "the pinned root as first certificate"


@given(leaf=st.binary(min_size=1, max_size=600), above=st.binary(min_size=1, max_size=600))
@settings(max_examples=200, deadline=None)
def test_bytes_that_are_no_certificates_are_refused(certificates, root, leaf, above):
    bundle = [certificates[0].der, above]
    data = document(certificates, certificate=leaf, cabundle=bundle)
    assert _refused(authenticate, data, root).code == "RF-ATTEST-002"


@given(at=st.integers(0, 2000), bit=st.integers(0, 7), which=st.integers(1, 4))
@settings(max_examples=300, deadline=None)
def test_a_certificate_with_a_changed_bit_is_refused(certificates, root, at, bit, which):
    ders = [bytearray(each.der) for each in certificates]
    ders[which][at % len(ders[which])] ^= 1 << bit
    *bundle, leaf = map(bytes, ders)
    data = document(certificates, certificate=leaf, cabundle=bundle)
    assert _refused(authenticate, data, root).code in {"RF-ATTEST-002", "RF-ATTEST-003"}


@pytest.mark.parametrize("which", [1, 3, 4])
@pytest.mark.parametrize("serial", [1, (1 << 159) - 1, 0, -1, -(1 << 127)])
def test_a_serial_number_that_is_not_positive_is_refused_by_ourselves(
    certificates, root, which, serial
):
    """Whatever the library does about it. Numbers of AWS that fill their bytes begin with a 0."""
    ders = [each.der for each in certificates]
    ders[which] = renumbered(certificates[which], certificates[which - 1], serial)
    *bundle, leaf = ders
    data = document(certificates, certificate=leaf, cabundle=bundle)
    if serial > 0:
        assert authenticate(data, root)
    else:
        assert "serial number" in _refused(authenticate, data, root).found


@pytest.mark.parametrize("which", range(1, 5))
def test_a_signature_with_unused_bits_is_refused(certificates, root, which):
    ders = [bytearray(each.der) for each in certificates]
    signature = certificates[which].certificate.signature
    ders[which][-len(signature) - 1] ^= 1
    *bundle, leaf = map(bytes, ders)
    data = document(certificates, certificate=leaf, cabundle=bundle)
    assert _refused(authenticate, data, root).code == "RF-ATTEST-002"


def _payload(certificates):
    return cbor2.dumps(fields(certificates))


def test_a_signature_by_another_key_is_refused(certificates, root):
    data = signed(_payload(certificates), certificates[-2].key)
    assert _refused(authenticate, data, root).code == "RF-ATTEST-003"


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_debug_enclave_is_refused(certificates, root, index):
    pcrs = {**MEASURED, index: bytes(48)}
    assert _refused(authenticate, document(certificates, pcrs=pcrs), root).code == "RF-ATTEST-004"
    del pcrs[index]
    assert _refused(authenticate, document(certificates, pcrs=pcrs), root).code == "RF-ATTEST-004"


@pytest.mark.parametrize("index", [0, 1, 2, 8])
def test_software_that_the_plan_does_not_name_is_refused_by_name(certificates, index):
    pcrs = {**MEASURED, index: b"\1" * 48}
    error = _refused(lambda: _verified(certificates, pcrs=pcrs))
    assert error.code == "RF-ATTEST-005"
    assert "op-02" in error.subject
    assert error.found == f"PCR{index} {'01' * 48}"


def test_an_unsigned_image_is_not_a_signed_one(certificates):
    pcrs = {index: value for index, value in MEASURED.items() if index != 8}
    assert _refused(lambda: _verified(certificates, pcrs=pcrs)).code == "RF-ATTEST-005"


@pytest.mark.parametrize(
    "pcrs",
    [
        {},
        {0: MEASURED[0]},
        {8: MEASURED[8]},
        {0: MEASURED[0], 1: MEASURED[1]},
        {0: bytes(48), 1: MEASURED[1], 2: MEASURED[2]},
        {**{index: MEASURED[index] for index in (0, 1, 2)}, 8: bytes(48)},
        {0: b"short", 1: MEASURED[1], 2: MEASURED[2]},
        MEASURED,
    ],
)
def test_a_policy_that_leaves_open_what_may_run_is_refused(pcrs):
    assert _refused(Measurement, pcrs).code == "RF-ATTEST-009"


def _toml(pcrs):
    lines = [f'pcr{index} = "{value.hex()}"' for index, value in pcrs.items()]
    return "\n".join(["version = 1", "[measurement]", *lines]).encode()


def test_a_policy_is_the_measurement_of_a_plan():
    assert read_measurement(_toml(APPROVED.pcrs)) == APPROVED
    unsigned = {index: MEASURED[index] for index in (0, 1, 2)}
    assert read_measurement(_toml(unsigned)).pcrs == unsigned


@pytest.mark.parametrize(
    "toml",
    [
        b"",
        b"version = 1",
        b"[measurement]",
        _toml({0: MEASURED[0]}),
        _toml({**APPROVED.pcrs, 3: MEASURED[3]}),
        _toml({**APPROVED.pcrs, 0: bytes(48)}),
        _toml({**APPROVED.pcrs, 0: b"short"}),
        b"measurement = 1",
        b"\xff",
        b"[" * 10_000,
        b"#" * 65_537,
    ],
    ids=range(11),
)
def test_a_plan_without_a_whole_measurement_is_no_policy(toml):
    assert _refused(read_measurement, toml).code == "RF-ATTEST-009"


@pytest.mark.parametrize("nonce", [b"m" * 20, b"", None])
def test_an_answer_to_another_question_is_refused(certificates, nonce):
    assert _refused(lambda: _verified(certificates, nonce=nonce)).code == "RF-ATTEST-006"


def test_an_old_document_and_one_of_the_future_are_refused(certificates):
    late = NOW + EXPECTED.maximal_age + dt.timedelta(seconds=1)
    assert _refused(lambda: _verified(certificates, now=late)).code == "RF-ATTEST-007"
    early = NOW - dt.timedelta(minutes=2)
    assert _refused(lambda: _verified(certificates, now=early)).code == "RF-ATTEST-007"
    assert _verified(certificates, now=NOW + EXPECTED.maximal_age)


@pytest.mark.parametrize(
    "changes",
    [{"user_data": b"v" * 32}, {"user_data": None}, {"public_key": b"k"}, {"public_key": None}],
    ids=str,
)
def test_a_document_bound_to_other_keys_is_refused(certificates, changes):
    assert _refused(lambda: _verified(certificates, **changes)).code == "RF-ATTEST-008"


def test_a_key_that_nobody_expects_is_refused(certificates):
    expected = dataclasses.replace(EXPECTED, public_key=None)
    assert _refused(lambda: _verified(certificates, expected)).code == "RF-ATTEST-008"


BINDING = Binding(bytes(32), "op-02", (b"a" * 32, b"b" * 1952), b"tls", b"kem")


@pytest.mark.parametrize(
    "changes",
    [
        {"plan_hash": b"\1" * 32},
        {"operator": "op-03"},
        {"identity_keys": (b"a" * 32,)},
        {"identity_keys": (b"b" * 1952, b"a" * 32)},
        {"tls_key": b"tl", "kem_key": b"skem"},
        {"kem_key": b""},
    ],
    ids=str,
)
def test_a_binding_covers_every_field(changes):
    assert len(BINDING.user_data) == 32
    assert dataclasses.replace(BINDING, **changes).user_data != BINDING.user_data
