"""The local key service holds documents against policies as KMS does, over its protocol."""

import dataclasses
import json
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from infra.enclave.kms.insecure_local import InsecureLocalKms
from infra.enclave.kms.insecure_policy import Caller, allows
from infra.enclave.kms.insecure_server import serving
from infra.enclave.kms.policy import KeyHolder, key_policy
from infra.enclave.measurement import Measurement
from mpc_core.protocol.errors import CeremonyError
from tests.enclave.chains import APPROVED, MEASURED
from tests.enclave.site import ADMINISTRATOR, HOLDER, PRINCIPALS, ROLE, STRANGER

OTHER = Measurement({**APPROVED.pcrs, 2: b"\1" * 48})


def _code(request, **arguments):
    with pytest.raises(ClientError) as refusal:
        request(**arguments)
    return refusal.value.response["Error"]["Code"]


def test_the_measured_image_gets_a_data_key_and_gets_it_again(site):
    wrapped, key = site.keys().create(site.create_key(), site.context())
    assert len(key) == 32
    assert site.keys().unwrap(wrapped, site.context()) == key


@pytest.mark.parametrize("index", [0, 1, 2, 8])
def test_another_image_gets_no_data_key(site, index):
    other = Measurement({**APPROVED.pcrs, index: b"\1" * 48})
    arn = site.create_key()
    wrapped, _ = site.keys().create(arn, site.context())
    for ask in (
        lambda: site.keys(other).create(arn, site.context()),
        lambda: site.keys(other).unwrap(wrapped, site.context()),
    ):
        with pytest.raises(CeremonyError) as refusal:
            ask()
        assert refusal.value.code == "RF-KMS-003"
        assert "AccessDenied" in refusal.value.found


@pytest.mark.parametrize("caller", ["ENCLAVE", "ADMIN", "STRANGER"])
def test_nobody_gets_a_data_key_without_a_document(site, caller):
    arn = site.create_key()
    wrapped, _ = site.keys().create(arn, site.context())
    context = site.context().fields
    client = site.client(caller)
    generate = {"KeyId": arn, "KeySpec": "AES_256", "EncryptionContext": context}
    assert _code(client.generate_data_key, **generate) == "AccessDeniedException"
    decrypt = {"CiphertextBlob": wrapped.ciphertext, "EncryptionContext": context}
    assert _code(client.decrypt, **decrypt) == "AccessDeniedException"


@pytest.mark.parametrize("caller", ["ADMIN", "STRANGER"])
def test_a_document_does_not_help_another_role(site, caller):
    with pytest.raises(CeremonyError, match="RF-KMS-003"):
        site.keys(access_key=caller).create(site.create_key(), site.context())


def test_no_administrator_can_change_the_policy(site):
    arn = site.create_key()
    open_to_all = {
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": "kms:*",
        "Resource": "*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [open_to_all]})
    assert _code(site.client("ADMIN").put_key_policy, KeyId=arn, Policy=policy) == (
        "AccessDeniedException"
    )
    loose = site.client("ADMIN").create_key(Policy=policy)["KeyMetadata"]["Arn"]
    site.client("ADMIN").put_key_policy(KeyId=loose, Policy=policy)


def _with_everything_allowed(principal):
    """Return an operator's policy to which somebody has added that this principal may do all."""
    policy = key_policy(APPROVED, "op-02", HOLDER)
    policy["Statement"].append(
        {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "kms:*", "Resource": "*"}
    )
    return policy


@pytest.mark.parametrize("principal", [ADMINISTRATOR, ROLE, "*"])
@pytest.mark.parametrize(
    "action",
    [
        "CancelKeyDeletion",
        "CreateGrant",
        "DeriveSharedSecret",
        "Encrypt",
        "GenerateDataKeyPair",
        "GenerateDataKeyPairWithoutPlaintext",
        "GenerateDataKeyWithoutPlaintext",
        "PutKeyPolicy",
        "ReEncryptFrom",
        "ReEncryptTo",
        "ReplicateKey",
    ],
)
def test_nobody_who_is_allowed_everything_can_get_round_the_policy(action, principal):
    policy = _with_everything_allowed(principal)
    for caller in (ADMINISTRATOR, ROLE, STRANGER):
        assert not allows(policy, action, Caller(caller, APPROVED.pcrs))
    assert allows(policy, "ScheduleKeyDeletion", Caller(ADMINISTRATOR, {}))


def test_an_administrator_who_is_allowed_everything_cannot_change_the_policy(site):
    policy = json.dumps(_with_everything_allowed(ADMINISTRATOR))
    admin = site.client("ADMIN")
    arn = admin.create_key(Policy=policy)["KeyMetadata"]["Arn"]
    assert _code(admin.put_key_policy, KeyId=arn, Policy=policy) == "AccessDeniedException"
    assert admin.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] == "Enabled"


def test_a_statement_that_allows_does_not_undo_one_that_denies(site):
    policy = _with_everything_allowed(ROLE)
    created = site.client("ADMIN").create_key(Policy=json.dumps(policy))
    arn = created["KeyMetadata"]["Arn"]
    generate = {"KeyId": arn, "KeySpec": "AES_256"}
    assert _code(site.client().generate_data_key, **generate) == "AccessDeniedException"
    with pytest.raises(CeremonyError, match="RF-KMS-003"):
        site.keys(OTHER).create(arn, site.context())


def test_a_wrapped_key_is_bound_to_plan_and_operator(site):
    wrapped, _ = site.keys().create(site.create_key(), site.context())
    for other in (site.context("op-03"), dataclasses.replace(site.context(), plan_hash=bytes(32))):
        with pytest.raises(CeremonyError) as refusal:
            site.keys().unwrap(wrapped, other)
        assert "InvalidCiphertext" in refusal.value.found


def test_a_wrapped_key_opens_under_its_own_key_only(site):
    wrapped, _ = site.keys().create(site.create_key(), site.context())
    moved = dataclasses.replace(wrapped, kms_key=site.create_key())
    with pytest.raises(CeremonyError, match="RF-KMS-003"):
        site.keys().unwrap(moved, site.context())


def _recipient(document, algorithm="RSAES_OAEP_SHA_256"):
    return {"KeyEncryptionAlgorithm": algorithm, "AttestationDocument": document}


def test_only_a_valid_document_with_an_rsa_key_counts(site):
    arn = site.create_key()
    module = site.module()
    no_key = module.attest(user_data=None, nonce=None, public_key=None)
    no_rsa = module.attest(user_data=None, nonce=None, public_key=b"key")
    changed = no_rsa[:-1] + bytes([no_rsa[-1] ^ 1])
    for document in (no_key, no_rsa, changed, b"document"):
        code = _code(
            site.client().generate_data_key,
            KeyId=arn,
            KeySpec="AES_256",
            Recipient=_recipient(document),
        )
        assert code == "ValidationException"


@pytest.mark.parametrize(("minutes", "counts"), [(4, True), (6, False), (-6, False)])
def test_a_document_that_was_right_at_its_time_counts_for_minutes(site, minutes, counts):
    arn = site.create_key()
    rsa_key = rsa.generate_private_key(65_537, 2_048).public_key()
    der = rsa_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    made = site.module().attest(user_data=None, nonce=None, public_key=der)
    generate = site.client().generate_data_key
    asked = {"KeyId": arn, "KeySpec": "AES_256", "Recipient": _recipient(made)}
    assert "CiphertextForRecipient" in generate(**asked)
    site.clock.pass_by(minutes=minutes)
    if counts:
        assert "CiphertextForRecipient" in generate(**asked)
        return
    with pytest.raises(ClientError) as refusal:
        generate(**asked)
    assert refusal.value.response["Error"]["Code"] == "ValidationException"
    assert "RF-ATTEST-007" in str(refusal.value)


def test_a_key_pending_deletion_opens_nothing_and_then_is_gone(site):
    arn = site.create_key()
    wrapped, _ = site.keys().create(arn, site.context())
    schedule = site.client("ADMIN").schedule_key_deletion
    assert _code(schedule, KeyId=arn, PendingWindowInDays=6) == "ValidationException"
    assert schedule(KeyId=arn, PendingWindowInDays=7)["KeyState"] == "PendingDeletion"
    assert _code(schedule, KeyId=arn, PendingWindowInDays=7) == "KMSInvalidStateException"
    for ask in (
        lambda: site.keys().unwrap(wrapped, site.context()),
        lambda: site.keys().create(arn, site.context()),
    ):
        with pytest.raises(CeremonyError) as refusal:
            ask()
        assert "KMSInvalidState" in refusal.value.found
    site.clock.pass_by(days=8)
    assert _code(site.client("ADMIN").describe_key, KeyId=arn) == "NotFoundException"
    assert not list((site.folder / "kms").glob("*.json"))


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"Statement": []},
        {"Statement": ["allow"]},
        {"Statement": [{"Effect": "Allow"}]},
        {"Statement": [{"NotAction": "kms:*"}]},
    ],
)
def test_a_policy_that_is_not_understood_is_refused(site, policy):
    code = _code(site.client("ADMIN").create_key, Policy=json.dumps(policy))
    assert code == "MalformedPolicyDocumentException"


@pytest.mark.parametrize(
    "changes",
    [
        {"Effect": "Maybe"},
        {"Resource": "arn:aws:kms:*"},
        {"Principal": "*"},
        {"NotPrincipal": {"AWS": ROLE}},
        {"Condition": {"StringEquals": {"kms:ViaService": "s3"}}},
        {"Condition": {"StringEqualsIgnoreCase": {"kms:ViaService": "s3"}}},
        {"Condition": []},
    ],
    ids=str,
)
def test_a_statement_that_is_not_understood_is_refused(site, changes):
    policy = key_policy(APPROVED, "op-02", HOLDER)
    policy["Statement"][0] |= changes
    code = _code(site.client("ADMIN").create_key, Policy=json.dumps(policy))
    assert code == "MalformedPolicyDocumentException"


def _post(url, headers, body=b"{}"):
    request = urllib.request.Request(url, body, headers)
    try:
        urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        with error:
            return json.loads(error.read())["__type"]
    return None


def test_a_request_must_be_signed_by_somebody_known(site):
    target = {"X-Amz-Target": "TrentService.DescribeKey"}
    signed = "AWS4-HMAC-SHA256 Credential={}/20260304/local/kms/aws4_request, SignedHeaders=x"
    assert _post(site.url, target) == "MissingAuthenticationTokenException"
    unknown = {**target, "Authorization": signed.format("NOBODY")}
    assert _post(site.url, unknown) == "UnrecognizedClientException"
    known = {**target, "Authorization": signed.format("ADMIN")}
    assert _post(site.url, known, b"{") == "SerializationException"
    assert _post(site.url, known, b"[]") == "SerializationException"
    assert _post(site.url, known) == "ValidationException"
    other = {**known, "X-Amz-Target": "TrentService.CancelKeyDeletion"}
    assert _post(site.url, other) == "UnknownOperationException"


@pytest.mark.parametrize("changes", [{"insecure": ()}, {"sandbox": False}])
def test_the_local_service_starts_in_no_other_plan(site, changes):
    plan = dataclasses.replace(site.plan, **changes)
    with pytest.raises(CeremonyError, match="RF-ATTEST-011"):
        InsecureLocalKms(plan, site.folder / "kms", site.root.certificate, PRINCIPALS)


def test_keys_survive_a_restart_of_the_local_service(site):
    wrapped, key = site.keys().create(site.create_key(), site.context())
    again = InsecureLocalKms(
        site.plan, site.folder / "kms", site.root.certificate, PRINCIPALS, site.clock
    )
    with serving(again) as url:
        assert dataclasses.replace(site, url=url).keys().unwrap(wrapped, site.context()) == key


@pytest.mark.parametrize(
    ("role", "administrator"),
    [(ROLE, ROLE), ("*", ADMINISTRATOR), (ROLE, "arn:aws:iam::*:root"), (ROLE, "")],
)
def test_a_policy_names_a_role_and_another_administrator(role, administrator):
    with pytest.raises(CeremonyError, match="RF-KMS-006"):
        KeyHolder(role, administrator)


def test_a_policy_names_every_register_that_the_plan_names():
    unsigned = Measurement({index: MEASURED[index] for index in (0, 1, 2)})
    for measurement in (APPROVED, unsigned):
        statements = key_policy(measurement, "op-02", HOLDER)["Statement"]
        keys = {f"kms:RecipientAttestation:PCR{index}" for index in measurement.pcrs}
        assert statements[0]["Condition"]["StringEqualsIgnoreCase"].keys() == keys
        denied = [each for each in statements if each["Sid"].startswith("NobodyWithout")]
        assert {
            key for each in denied for key in each["Condition"]["StringNotEqualsIgnoreCase"]
        } == keys
