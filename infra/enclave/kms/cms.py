"""The reply of a key service to an enclave: CMS EnvelopedData, version 2 (RFC 5652, section 6).

One recipient, by subject key identifier, RSAES-OAEP with SHA-256 and MGF1 with SHA-256, content in
AES-256-CBC; anything else is refused. AWS sends BER with indefinite lengths, which is why the
bytes are not compared with a canonical encoding. The identifier is not compared with the key:
AWS does not publish how it is computed, and another key opens nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asn1crypto import cms
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.padding import PKCS7

from infra.enclave.refusals import attestation_error

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from mpc_core.protocol.errors import CeremonyError

__all__ = ["MOST_BYTES", "OAEP_SHA256", "open_reply"]

MOST_BYTES = 8_192
"""Longest reply; one with a data key takes less than 600 bytes."""

OAEP_SHA256 = OAEP(MGF1(SHA256()), SHA256(), label=None)

_BLOCK_BYTES = 16

_LIBRARY_REFUSES = (
    AttributeError,  # of types that the library knows by number only
    IndexError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)


def open_reply(reply: bytes, key: RSAPrivateKey) -> bytes:
    """Return the plaintext of a reply.

    Args:
        reply: CMS ContentInfo in BER.
        key: the private key whose public key was in the attestation document.

    Raises:
        CeremonyError: RF-KMS-002 if it is no such reply or is not for this key; one message for
            every way in which decryption fails.

    Security: CBC has no integrity. Whoever can change a reply inside its TLS connection chooses
        the plaintext without being noticed here, so nothing but a key is read from one, and what
        that key sealed authenticates itself.
    """
    if len(reply) > MOST_BYTES:
        raise _unreadable(f"{len(reply)} bytes")
    try:
        encrypted_key, vector, content = _parts(reply)
    except _LIBRARY_REFUSES as error:
        raise _unreadable("bytes that are not that") from error
    try:
        content_key = key.decrypt(encrypted_key, OAEP_SHA256)
        decryptor = Cipher(AES256(content_key), CBC(vector)).decryptor()
        padded = decryptor.update(content) + decryptor.finalize()
        unpadder = PKCS7(8 * _BLOCK_BYTES).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise _unreadable("one that this enclave's key does not open") from None


def _parts(reply: bytes) -> tuple[bytes, bytes, bytes]:
    """Return encrypted content key, initialisation vector and encrypted content."""
    library: Any = cms.ContentInfo
    outer = library.load(reply, strict=True)
    _demand(outer["content_type"].native == "enveloped_data")
    enveloped = outer["content"]
    _demand(enveloped["version"].native == "v2")
    _demand(len(enveloped["recipient_infos"]) == 1)
    _demand(enveloped["originator_info"].native is None)
    _demand(enveloped["unprotected_attrs"].native is None)
    info = enveloped["recipient_infos"][0]
    _demand(info.name == "ktri")
    recipient = info.chosen
    _demand(recipient["version"].native == "v2")
    _demand(recipient["rid"].name == "subject_key_identifier")
    _demand(_is_oaep_sha256(recipient["key_encryption_algorithm"].native))
    body = enveloped["encrypted_content_info"]
    _demand(body["content_type"].native == "data")
    algorithm = body["content_encryption_algorithm"].native
    _demand(algorithm["algorithm"] == "aes256_cbc")
    vector, content = algorithm["parameters"], body["encrypted_content"].native
    encrypted_key = recipient["encrypted_key"].native
    _demand(all(isinstance(part, bytes) for part in (vector, content, encrypted_key)))
    _demand(len(vector) == _BLOCK_BYTES)
    _demand(len(content) > 0 and len(content) % _BLOCK_BYTES == 0)
    return encrypted_key, vector, content


def _is_oaep_sha256(algorithm: Any) -> bool:
    parameters = algorithm["parameters"]
    return bool(
        algorithm["algorithm"] == "rsaes_oaep"
        and parameters["hash_algorithm"]["algorithm"] == "sha256"
        and parameters["mask_gen_algorithm"]["algorithm"] == "mgf1"
        and parameters["mask_gen_algorithm"]["parameters"]["algorithm"] == "sha256"
        and parameters["p_source_algorithm"]["parameters"] == b""
    )


def _demand(truth: bool) -> None:
    if not truth:
        raise ValueError("another structure")


def _unreadable(found: str) -> CeremonyError:
    return attestation_error(
        "RF-KMS-002",
        "the reply of the key service cannot be opened",
        "CMS EnvelopedData for the key in the attestation document",
        found,
        effect="the reply is thrown away; no key came out of it",
        next_step="start the operator again; if it stays, see what answers in the service's place",
    )
