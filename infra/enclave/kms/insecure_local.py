"""INSECURE: a key service on this machine that speaks KMS's protocol, for sandboxes and tests.

No emulator looks at `Recipient`; this one does what KMS does with it: it verifies the document,
holds its registers against the key policy, and answers with CMS for the key in the document. It
wants signed requests and does not check the signatures, and its keys lie in plain files: it starts
only under the plan of a sandbox that names the shortcut `software-enclave`.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from infra.enclave.insecure_software import check_software_allowed
from infra.enclave.kms.insecure_envelope import envelope_for
from infra.enclave.kms.insecure_keys import InsecureKeys, LocalKey, NoSuchKey, NotUsable
from infra.enclave.kms.insecure_policy import Caller, MalformedPolicy, allows, check_policy
from infra.enclave.verification import authenticate, check_age
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cryptography.x509 import Certificate

    from mpc_core.protocol.plan import Plan

__all__ = ["InsecureLocalKms"]

MOST_BODY = 65_536
SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=([A-Za-z0-9]{1,128})/[^,]+/kms/aws4_request, ?.*")
SHORTEST_WAIT, LONGEST_WAIT = 7, 30


class _Refusal(Exception):  # noqa: N818 - it becomes AWS's name of an error
    """An error of the protocol: its type and message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class _Request:
    """A request of a known caller."""

    body: Mapping[str, Any]
    caller: Caller
    public_key: bytes | None

    def text(self, name: str) -> str:
        value = self.body.get(name)
        if not isinstance(value, str):
            raise _Refusal("ValidationException", f"{name} is missing")
        return value

    @property
    def context(self) -> Mapping[str, str]:
        context = self.body.get("EncryptionContext") or {}
        if not isinstance(context, dict):
            raise _Refusal("ValidationException", "EncryptionContext is no map")
        return context


class InsecureLocalKms:
    """The key service of one sandbox."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        root: Certificate,
        principals: Mapping[str, str],
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        """Serve keys of a sandbox.

        Args:
            plan: the signed plan, which must allow it.
            folder: where the keys lie.
            root: of the attestation documents that count.
            principals: ARN of the caller by access key.
            now: the clock.

        Raises:
            CeremonyError: RF-ATTEST-011 if the plan does not allow it.
        """
        check_software_allowed(plan)
        self._keys = InsecureKeys(folder, now)
        self._root = root
        self._principals = principals
        self._now = now
        self._actions: Mapping[str, Callable[[_Request], Mapping[str, object]]] = {
            "CreateKey": self._create_key,
            "Decrypt": self._decrypt,
            "DescribeKey": self._describe_key,
            "GenerateDataKey": self._generate_data_key,
            "PutKeyPolicy": self._put_key_policy,
            "ScheduleKeyDeletion": self._schedule_key_deletion,
        }

    def application(self) -> web.Application:
        """Return the application that answers requests."""
        application = web.Application(client_max_size=MOST_BODY)
        application.router.add_post("/", self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            act = self._action(request.headers.get("X-Amz-Target", ""))
            reply = act(self._read(request, await request.read()))
        except _Refusal as refusal:
            return _json({"__type": refusal.kind, "message": str(refusal)}, status=400)
        except NoSuchKey as error:
            return _json({"__type": "NotFoundException", "message": str(error)}, status=400)
        return _json(reply)

    def _action(self, target: str) -> Callable[[_Request], Mapping[str, object]]:
        act = self._actions.get(target.removeprefix("TrentService."))
        if act is None:
            raise _Refusal("UnknownOperationException", "another operation")
        return act

    def _read(self, request: web.Request, data: bytes) -> _Request:
        signed = SIGNED.fullmatch(request.headers.get("Authorization", ""))
        if signed is None:
            raise _Refusal("MissingAuthenticationTokenException", "the request is not signed")
        arn = self._principals.get(signed[1])
        if arn is None:
            raise _Refusal("UnrecognizedClientException", "nobody has this access key")
        try:
            body = json.loads(data)
        except ValueError as error:
            raise _Refusal("SerializationException", "no JSON") from error
        if not isinstance(body, dict):
            raise _Refusal("SerializationException", "no JSON object")
        pcrs, public_key = self._recipient(body.get("Recipient"))
        return _Request(body, Caller(arn, pcrs), public_key)

    def _recipient(self, recipient: object) -> tuple[Mapping[int, bytes], bytes | None]:
        """Return registers and public key of the document in a request, if there is one."""
        if recipient is None:
            return {}, None
        if not isinstance(recipient, dict):
            raise _Refusal("ValidationException", "Recipient is no map")
        if recipient.get("KeyEncryptionAlgorithm") != "RSAES_OAEP_SHA_256":
            raise _Refusal("ValidationException", "another KeyEncryptionAlgorithm")
        try:
            document = authenticate(_blob(recipient.get("AttestationDocument")), self._root)
            check_age(document, self._now())
        except CeremonyError as error:
            raise _Refusal("ValidationException", f"attestation document: {error}") from error
        if document.public_key is None:
            raise _Refusal("ValidationException", "a document without a public key")
        return document.pcrs, document.public_key

    def _permitted(self, request: _Request, action: str, key: LocalKey) -> None:
        if not allows(key.policy, action, request.caller):
            message = f"{request.caller.arn} is not authorized to perform kms:{action}"
            raise _Refusal("AccessDeniedException", message)

    def _create_key(self, request: _Request) -> Mapping[str, object]:
        return {"KeyMetadata": _metadata(self._keys.create(_policy(request)))}

    def _describe_key(self, request: _Request) -> Mapping[str, object]:
        key = self._keys.find(request.text("KeyId"))
        self._permitted(request, "DescribeKey", key)
        return {"KeyMetadata": _metadata(key)}

    def _put_key_policy(self, request: _Request) -> Mapping[str, object]:
        key = self._keys.find(request.text("KeyId"))
        self._permitted(request, "PutKeyPolicy", key)
        self._keys.put_policy(key, _policy(request))
        return {}

    def _schedule_key_deletion(self, request: _Request) -> Mapping[str, object]:
        key = self._keys.find(request.text("KeyId"))
        self._permitted(request, "ScheduleKeyDeletion", key)
        days = request.body.get("PendingWindowInDays", LONGEST_WAIT)
        if type(days) is not int or not SHORTEST_WAIT <= days <= LONGEST_WAIT:
            raise _Refusal("ValidationException", "PendingWindowInDays is 7 to 30")
        if key.deletion is not None:
            raise _Refusal("KMSInvalidStateException", f"{key.arn} is pending deletion.")
        waiting = self._keys.schedule_deletion(key, days)
        return {
            "KeyId": waiting.arn,
            "KeyState": "PendingDeletion",
            "DeletionDate": waiting.deletion,
            "PendingWindowInDays": days,
        }

    def _generate_data_key(self, request: _Request) -> Mapping[str, object]:
        if request.text("KeySpec") != "AES_256":
            raise _Refusal("ValidationException", "KeySpec is AES_256")
        key = self._keys.find(request.text("KeyId"))
        self._permitted(request, "GenerateDataKey", key)
        data_key = secrets.token_bytes(32)
        try:
            wrapped = self._keys.wrap(key, data_key, request.context)
        except NotUsable as error:
            raise _Refusal("KMSInvalidStateException", str(error)) from error
        reply = self._reply(key, data_key, request)
        return {**reply, "CiphertextBlob": base64.b64encode(wrapped).decode()}

    def _decrypt(self, request: _Request) -> Mapping[str, object]:
        ciphertext = _blob(request.body.get("CiphertextBlob"))
        name = request.body.get("KeyId")
        try:
            key, data_key = self._keys.unwrap(name, ciphertext, request.context)
        except NotUsable as error:
            pending = str(error).endswith("pending deletion.")
            kind = "KMSInvalidStateException" if pending else "InvalidCiphertextException"
            raise _Refusal(kind, str(error)) from error
        self._permitted(request, "Decrypt", key)
        return self._reply(key, data_key, request)

    def _reply(self, key: LocalKey, data_key: bytes, request: _Request) -> Mapping[str, object]:
        """Return a data key as KMS does: for the recipient if there is one, else in the clear."""
        if request.public_key is None:
            return {"KeyId": key.arn, "Plaintext": base64.b64encode(data_key).decode()}
        try:
            envelope = envelope_for(request.public_key, data_key)
        except ValueError as error:
            raise _Refusal("ValidationException", "the document's key is no RSA key") from error
        encoded = base64.b64encode(envelope).decode()
        return {"KeyId": key.arn, "CiphertextForRecipient": encoded}


def _policy(request: _Request) -> Mapping[str, Any]:
    try:
        policy = json.loads(request.text("Policy"))
        check_policy(policy)
    except (MalformedPolicy, ValueError) as error:
        raise _Refusal("MalformedPolicyDocumentException", str(error)) from error
    found: Mapping[str, Any] = policy
    return found


def _metadata(key: LocalKey) -> Mapping[str, object]:
    state = "Enabled" if key.deletion is None else "PendingDeletion"
    due = {} if key.deletion is None else {"DeletionDate": key.deletion}
    return {"KeyId": key.identifier, "Arn": key.arn, "KeyState": state, **due}


def _blob(value: object) -> bytes:
    try:
        return base64.b64decode(str(value), validate=True)
    except binascii.Error as error:
        raise _Refusal("SerializationException", "no base64") from error


def _json(body: Mapping[str, object], status: int = 200) -> web.Response:
    data = json.dumps(body).encode()
    return web.Response(body=data, status=status, content_type="application/x-amz-json-1.1")
