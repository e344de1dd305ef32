"""Replies of key services: what opens, and what is refused."""

import dataclasses
import socket
from pathlib import Path

import boto3
import pytest
from asn1crypto import algos, cms
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from moto.server import ThreadedMotoServer

from infra.enclave.kms.client import key_service
from infra.enclave.kms.cms import open_reply
from infra.enclave.kms.data_keys import Context, DataKeys, WrappedKey
from infra.enclave.kms.insecure_envelope import envelope_for
from mpc_core.protocol.errors import CeremonyError

VECTORS = Path(__file__).parent / "vectors"
"""Made by `openssl cms -encrypt -binary -aes-256-cbc -keyid -keyopt rsa_padding_mode:oaep -keyopt
rsa_oaep_md:sha256 -outform DER`, 32 times the letter k, with and without -stream."""

ARN = "arn:aws:kms:eu-central-1:000000000000:key/0123"


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(65537, 2048)


def _public(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("name", ["reply.der", "reply-indefinite.ber"])
def test_a_reply_that_openssl_made_opens_with_and_without_lengths(name):
    key = load_pem_private_key((VECTORS / "recipient.pem").read_bytes(), None)
    assert open_reply((VECTORS / name).read_bytes(), key) == b"k" * 32


def test_a_changed_reply_gives_a_refusal_or_another_key_and_nothing_else(key):
    reply = envelope_for(_public(key), b"k" * 32)
    outcomes = set()
    for at in range(len(reply)):
        changed = bytearray(reply)
        changed[at] ^= 1 << at % 8
        outcomes.add(_outcome(bytes(changed), key))
    assert "RF-KMS-002" in outcomes
    assert all(isinstance(each, bytes) or each == "RF-KMS-002" for each in outcomes)


def _outcome(reply, key):
    try:
        return open_reply(reply, key)
    except CeremonyError as error:
        return error.code


def test_a_reply_cannot_end_early_or_late(key):
    reply = envelope_for(_public(key), b"k" * 32)
    for other in (*(reply[:length] for length in range(0, len(reply), 7)), reply + b"\0"):
        with pytest.raises(CeremonyError, match="RF-KMS-002"):
            open_reply(other, key)
    with pytest.raises(CeremonyError, match="RF-KMS-002"):
        open_reply(b"\x30\x80" + bytes(10_000), key)


def test_a_reply_for_another_key_says_no_more_than_one_that_was_changed(key):
    other = rsa.generate_private_key(65537, 2048)
    reply = envelope_for(_public(other), b"k" * 32)
    changed = bytearray(envelope_for(_public(key), b"k" * 32))
    changed[-20] ^= 1
    errors = []
    for data in (reply, bytes(changed)):
        with pytest.raises(CeremonyError) as refusal:
            open_reply(data, key)
        assert refusal.value.__cause__ is None
        errors.append(refusal.value.render())
    assert errors[0] == errors[1]


def _structures():
    """Replies with one thing different, by what is different."""
    sha1 = {"algorithm": "sha1"}
    sha256 = {"algorithm": "sha256"}

    def oaep(digest, mask):
        mask = {"algorithm": "mgf1", "parameters": mask}
        return algos.RSAESOAEPParams({"hash_algorithm": digest, "mask_gen_algorithm": mask})

    def recipient(**changes):
        made = {
            "version": "v2",
            "rid": {"subject_key_identifier": b"id"},
            "key_encryption_algorithm": {
                "algorithm": "rsaes_oaep",
                "parameters": oaep(sha256, sha256),
            },
            "encrypted_key": b"x" * 256,
            **changes,
        }
        return cms.RecipientInfo({"ktri": made})

    def reply(recipients, version="v2", **body):
        made = {
            "content_type": "data",
            "content_encryption_algorithm": {"algorithm": "aes256_cbc", "parameters": bytes(16)},
            "encrypted_content": bytes(48),
            **body,
        }
        content = {
            "version": version,
            "recipient_infos": recipients,
            "encrypted_content_info": made,
        }
        return cms.ContentInfo({"content_type": "enveloped_data", "content": content}).dump()

    yield "two", reply([recipient(), recipient()])
    yield "none", reply([])
    yield "version", reply([recipient()], "v0")
    yield "recipient", reply([recipient(version="v0")])
    for digests in ((sha1, sha256), (sha256, sha1)):
        algorithm = {"algorithm": "rsaes_oaep", "parameters": oaep(*digests)}
        yield str(digests), reply([recipient(key_encryption_algorithm=algorithm)])
    yield "pkcs1", reply([recipient(key_encryption_algorithm={"algorithm": "rsaes_pkcs1v15"})])
    smaller = {"algorithm": "aes128_cbc", "parameters": bytes(16)}
    yield "aes-128", reply([recipient()], content_encryption_algorithm=smaller)
    yield "type", reply([recipient()], content_type="signed_data")
    yield "blocks", reply([recipient()], encrypted_content=bytes(47))
    yield "empty", reply([recipient()], encrypted_content=b"")
    yield "signed", cms.ContentInfo({"content_type": "data", "content": b"k" * 32}).dump()


@pytest.mark.parametrize(("what", "reply"), list(_structures()), ids=lambda it: str(it)[:20])
def test_another_structure_is_refused(key, what, reply):
    with pytest.raises(CeremonyError) as refusal:
        open_reply(reply, key)
    assert refusal.value.found == "bytes that are not that"


class Service:
    """A key service that answers what the test wants; `{}` in the place of CMS is filled in."""

    def __init__(self, **changes):
        self.changes = changes
        self.requests = []

    def _reply(self, request):
        self.requests.append(request)
        public_key = _document(request)
        sealed = envelope_for(public_key, self.changes.get("data_key", b"k" * 32))
        reply = {"KeyId": ARN, "CiphertextBlob": b"wrapped", "CiphertextForRecipient": sealed}
        reply |= {name: value for name, value in self.changes.items() if name != "data_key"}
        return {name: value for name, value in reply.items() if value is not None}

    def generate_data_key(self, **request):
        return self._reply(request)

    decrypt = generate_data_key


def _document(request):
    return request["Recipient"]["AttestationDocument"]


class Module:
    """A security module whose documents are the public key alone."""

    def attest(self, *, user_data, nonce, public_key):
        return public_key


@pytest.fixture(scope="module")
def context(signed_plan):
    return Context(signed_plan[0].plan.hash, "op-02")


def test_requests_name_recipient_and_context(context):
    service = Service()
    keys = DataKeys(service, Module())
    wrapped, data_key = keys.create(ARN, context)
    assert (wrapped, data_key) == (WrappedKey(ARN, b"wrapped"), b"k" * 32)
    assert keys.unwrap(wrapped, context) == data_key
    for request in service.requests:
        assert request["KeyId"] == ARN
        assert request["Recipient"]["KeyEncryptionAlgorithm"] == "RSAES_OAEP_SHA_256"
        assert request["EncryptionContext"]["ringforge:operator"] == "op-02"


@pytest.mark.parametrize("plaintext", [b"", None])
def test_an_empty_plaintext_is_no_plaintext(context, plaintext):
    assert DataKeys(Service(Plaintext=plaintext), Module()).create(ARN, context)


@pytest.mark.parametrize("sealed", [None, b"sealed"])
def test_a_reply_that_carries_plaintext_is_refused_and_shows_nothing(context, sealed, capsys):
    changes = {} if sealed else {"CiphertextForRecipient": None}
    keys = DataKeys(Service(Plaintext=b"P" * 32, **changes), Module())
    for ask in (
        lambda: keys.create(ARN, context),
        lambda: keys.unwrap(WrappedKey(ARN, b"wrapped"), context),
    ):
        with pytest.raises(CeremonyError) as refusal:
            ask()
        assert refusal.value.code == "RF-KMS-001"
        assert "PPP" not in refusal.value.render()
    reported = capsys.readouterr()
    assert "in the clear" in reported.out + reported.err
    assert "PPP" not in reported.out + reported.err


@pytest.mark.parametrize(
    "changes",
    [
        {"CiphertextForRecipient": None},
        {"CiphertextForRecipient": b""},
        {"CiphertextForRecipient": b"sealed"},
        {"CiphertextBlob": None},
        {"CiphertextBlob": b""},
        {"CiphertextBlob": bytes(6_145)},
        {"KeyId": ARN + "4"},
        {"KeyId": None},
        {"data_key": b"k" * 16},
        {"data_key": b"k" * 33},
    ],
    ids=str,
)
def test_another_reply_is_refused(context, changes):
    with pytest.raises(CeremonyError, match="RF-KMS-002"):
        DataKeys(Service(**changes), Module()).create(ARN, context)


def test_the_emulator_that_ignores_recipients_is_refused(context, site):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        session = boto3.Session("key", "secret", region_name="eu-central-1")
        client = session.client("kms", endpoint_url=f"http://{host}:{port}")
        arn = client.create_key()["KeyMetadata"]["Arn"]
        with pytest.raises(CeremonyError, match="RF-KMS-001"):
            DataKeys(client, site.module()).create(arn, context)
    finally:
        server.stop()


def test_a_service_that_is_away_is_an_error_that_says_so(context):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        session = boto3.Session("key", "secret", region_name="eu-central-1")
        client = session.client(
            "kms",
            endpoint_url=f"http://127.0.0.1:{taken.getsockname()[1]}",
            config=Config(retries={"total_max_attempts": 1}),
        )
        with pytest.raises(CeremonyError, match="RF-KMS-004"):
            DataKeys(client, Module()).create(ARN, context)


def test_another_endpoint_is_for_sandboxes_with_software_enclaves(signed_plan):
    plan = dataclasses.replace(signed_plan[0].plan, insecure=())
    with pytest.raises(CeremonyError, match="RF-ATTEST-011"):
        key_service(plan, ARN, "http://127.0.0.1:1")
    assert key_service(plan, ARN).meta.endpoint_url == "https://kms.eu-central-1.amazonaws.com"


@pytest.mark.parametrize("name", ["", "alias/key", "0123", ARN + "\n", ARN.replace("kms", "s3")])
def test_a_key_is_named_by_its_arn(signed_plan, name):
    with pytest.raises(CeremonyError, match="RF-KMS-005"):
        key_service(signed_plan[0].plan, name)
