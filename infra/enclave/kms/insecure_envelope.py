"""INSECURE: the reply of the local key service, in the structure of KMS's (see `cms`)."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from asn1crypto import algos, cms
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import load_der_public_key

from infra.enclave.kms.cms import OAEP_SHA256

__all__ = ["envelope_for"]

SHA256 = {"algorithm": "sha256"}

# The library has no types.
_CONTENT: Any = cms.ContentInfo
_RECIPIENT: Any = cms.RecipientInfo
_OAEP_PARAMETERS: Any = algos.RSAESOAEPParams


def envelope_for(public_key: bytes, plaintext: bytes) -> bytes:
    """Return the CMS ContentInfo that only the holder of a key opens.

    Args:
        public_key: DER of an RSA key.
        plaintext: a data key.

    Raises:
        ValueError: if it is no RSA key.
    """
    try:
        key = load_der_public_key(public_key)
    except UnsupportedAlgorithm as error:
        raise ValueError("another key") from error
    if not isinstance(key, RSAPublicKey):
        raise ValueError("another key")  # noqa: TRY004 - of the caller's bytes, not of our types
    content_key, vector = secrets.token_bytes(32), secrets.token_bytes(16)
    padder = PKCS7(128).padder()
    padded = padder.update(plaintext) + padder.finalize()
    encryptor = Cipher(AES256(content_key), CBC(vector)).encryptor()
    mask = {"algorithm": "mgf1", "parameters": SHA256}
    oaep = _OAEP_PARAMETERS({"hash_algorithm": SHA256, "mask_gen_algorithm": mask})
    recipient = {
        "version": "v2",
        "rid": {"subject_key_identifier": hashlib.sha256(public_key).digest()},
        "key_encryption_algorithm": {"algorithm": "rsaes_oaep", "parameters": oaep},
        "encrypted_key": key.encrypt(content_key, OAEP_SHA256),
    }
    body = {
        "content_type": "data",
        "content_encryption_algorithm": {"algorithm": "aes256_cbc", "parameters": vector},
        "encrypted_content": encryptor.update(padded) + encryptor.finalize(),
    }
    enveloped = {
        "version": "v2",
        "recipient_infos": [_RECIPIENT({"ktri": recipient})],
        "encrypted_content_info": body,
    }
    encoded: bytes = _CONTENT({"content_type": "enveloped_data", "content": enveloped}).dump()
    return encoded
