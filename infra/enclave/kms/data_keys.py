"""Data keys of a key service, of which only an attested enclave sees the plaintext.

Each request carries an attestation document with the enclave's fresh RSA key; the service checks
the document against its key policy and encrypts the data key under that RSA key. The RSA key lives
as long as the process and never leaves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import structlog
from botocore.exceptions import BotoCoreError, ClientError
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from infra.enclave.kms.cms import open_reply
from infra.enclave.refusals import attestation_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infra.enclave.device import SecurityModule

__all__ = ["Context", "DataKeys", "KeyService", "WrappedKey", "asked"]

KEY_BYTES = 32
RSA_BITS = 2048
"""What AWS's own enclave library uses; larger ones are not promised to be accepted."""

RSA_EXPONENT = 65_537
ALGORITHM = "RSAES_OAEP_SHA_256"
NO_PLAN = bytes(32)
"""Stands for the plan's hash before there is a plan."""

MOST_WRAPPED = 6_144
"""Longest ciphertext that KMS takes for decryption."""

_log = structlog.get_logger()


class KeyService(Protocol):
    """What boto3's client of KMS does for us."""

    def generate_data_key(self, **request: Any) -> Mapping[str, Any]:
        """Return a new data key, wrapped and for the recipient."""
        ...

    def decrypt(self, **request: Any) -> Mapping[str, Any]:
        """Return a wrapped data key for the recipient."""
        ...

    def describe_key(self, **request: Any) -> Mapping[str, Any]:
        """Return the state of a key."""
        ...

    def schedule_key_deletion(self, **request: Any) -> Mapping[str, Any]:
        """Have a key deleted after a waiting time, in which nothing can use it."""
        ...


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key that only the service can unwrap.

    Attributes:
        kms_key: ARN of the service's key above it.
        ciphertext: what the service keeps no copy of.
    """

    kms_key: str
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class Context:
    """Whose data key it is; the service binds it to the ciphertext and writes it into its log."""

    plan_hash: bytes
    operator: str

    @classmethod
    def before_plan(cls, operator: str) -> Self:
        """Return the context of what an operator has before its plan: its identity key."""
        return cls(NO_PLAN, operator)

    @property
    def fields(self) -> dict[str, str]:
        """The encryption context of a request."""
        return {"ringforge:plan": self.plan_hash.hex(), "ringforge:operator": self.operator}


class DataKeys:
    """Makes and unwraps data keys for one enclave."""

    def __init__(self, service: KeyService, module: SecurityModule) -> None:
        """Ask `service` with documents of `module`."""
        self._service = service
        self._module = module
        self._key = rsa.generate_private_key(RSA_EXPONENT, RSA_BITS)
        self._public_key = self._key.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )

    def create(self, kms_key: str, context: Context) -> tuple[WrappedKey, bytes]:
        """Have a data key made.

        Args:
            kms_key: ARN of the key above it.
            context: whose it is.

        Returns:
            The wrapped key, and its plaintext of 32 bytes.

        Raises:
            CeremonyError: RF-KMS-001 to RF-KMS-004.

        Security: the service, and whoever can speak for it inside TLS, chooses or knows the key.
        """
        reply = asked(
            lambda: self._service.generate_data_key(
                KeyId=kms_key,
                KeySpec="AES_256",
                EncryptionContext=context.fields,
                Recipient=self._recipient(),
            )
        )
        plaintext = self._plaintext(reply, kms_key)
        ciphertext = reply.get("CiphertextBlob")
        if not isinstance(ciphertext, bytes) or not 0 < len(ciphertext) <= MOST_WRAPPED:
            raise _another_reply("a reply without a wrapped key")
        return WrappedKey(kms_key, ciphertext), plaintext

    def unwrap(self, wrapped: WrappedKey, context: Context) -> bytes:
        """Return the plaintext of a data key.

        Raises:
            CeremonyError: RF-KMS-001 to RF-KMS-004.

        Security: a false key is noticed when it opens nothing.
        """
        reply = asked(
            lambda: self._service.decrypt(
                KeyId=wrapped.kms_key,
                CiphertextBlob=wrapped.ciphertext,
                EncryptionContext=context.fields,
                Recipient=self._recipient(),
            )
        )
        return self._plaintext(reply, wrapped.kms_key)

    def _recipient(self) -> dict[str, object]:
        document = self._module.attest(user_data=None, nonce=None, public_key=self._public_key)
        return {"KeyEncryptionAlgorithm": ALGORITHM, "AttestationDocument": document}

    def _plaintext(self, reply: Mapping[str, Any], kms_key: str) -> bytes:
        if reply.get("Plaintext"):
            _log.error("the key service sent a key in the clear", kms_key=kms_key)
            raise attestation_error(
                "RF-KMS-001",
                "the key service sent a key in the clear",
                "a key that is encrypted for the enclave",
                "a key that the host of the enclave may have read",
                effect="the key is thrown away and nothing is sealed under it",
                next_step="see what answers in the service's place, and tell the other operators",
            )
        sealed = reply.get("CiphertextForRecipient")
        if not isinstance(sealed, bytes) or not sealed:
            raise _another_reply("a reply without a key for the enclave")
        if reply.get("KeyId") != kms_key:
            raise _another_reply("a reply under another key")
        plaintext = open_reply(sealed, self._key)
        if len(plaintext) != KEY_BYTES:
            raise _another_reply("a key of another length")
        return plaintext


def asked(question: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the service's answer to a request.

    Raises:
        CeremonyError: RF-KMS-003 if the service refuses, RF-KMS-004 if it cannot be asked.
    """
    try:
        return question()
    except ClientError as error:
        told = error.response.get("Error", {})
        raise attestation_error(
            "RF-KMS-003",
            "the key service refuses",
            "an answer",
            f"{told.get('Code')}: {str(told.get('Message'))[:200]}",
            effect="nothing was sealed or opened",
            next_step="compare the key's policy with `ringforge operator policy` and the role",
        ) from error
    except BotoCoreError as error:
        raise attestation_error(
            "RF-KMS-004",
            "the key service cannot be asked",
            "an answer over TLS",
            str(error)[:200],
            effect="nothing was sealed or opened",
            next_step="check the proxy on the enclave's host, the region and the credentials",
        ) from error


def _another_reply(found: str) -> Exception:
    return attestation_error(
        "RF-KMS-002",
        "the reply of the key service cannot be opened",
        "a data key of 32 bytes for this enclave, under the key that was asked for",
        found,
        effect="the reply is thrown away; no key came out of it",
        next_step="start the operator again; if it stays, see what answers in the service's place",
    )
