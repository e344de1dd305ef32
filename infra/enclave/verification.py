"""When an attestation document is believed.

- It is a document in the one form that counts (`document`).
- Its certificates lead to the pinned root and were valid when it was signed (`chain`).
- Its signature is valid.
- The enclave is not in debug mode, in which its owner reads everything.
- It runs the software that the plan names (`measurement`).
- It answers the nonce of whoever asks, and is young.
- It names the keys of the operator that shows it (`binding`).

The first four need nothing but the document: `authenticate`. Whoever relies on a document wants
all of them: `verify_document`. The checks stand in this order, and the first that fails is named.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.enclave.chain import check_signature, signing_key
from infra.enclave.document import read_document
from infra.enclave.measurement import check_measurement, check_production
from infra.enclave.refusals import attestation_error

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from infra.enclave.document import Document
    from infra.enclave.measurement import Measurement
    from mpc_core.protocol.errors import CeremonyError

__all__ = ["MAXIMAL_AGE", "Expectation", "authenticate", "check_age", "verify_document"]

MAXIMAL_AGE = dt.timedelta(minutes=5)
"""Age up to which a document answers a question of now."""

CLOCK_DIFFERENCE = dt.timedelta(minutes=1)
"""How far the clock of a security module may be ahead of ours."""

_NOTHING_FOUND = "none"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a document must say to whoever asked for it.

    Attributes:
        measurement: the software that the plan names.
        nonce: what was asked with.
        user_data: of the operator's binding.
        public_key: DER of the key that the document must carry; None if it must carry none.
        operator: whose enclave it should be, for errors.
        maximal_age: oldest document that is an answer.
    """

    measurement: Measurement
    nonce: bytes
    user_data: bytes
    public_key: bytes | None = None
    operator: str = ""
    maximal_age: dt.timedelta = MAXIMAL_AGE


def authenticate(data: bytes, root: Certificate) -> Document:
    """Return the document that these bytes are, if a production enclave's module signed it.

    Args:
        data: an untagged COSE_Sign1.
        root: the pinned root.

    Raises:
        CeremonyError: RF-ATTEST-001 to RF-ATTEST-004.

    Security: says that some enclave of anybody had these registers at the document's own time,
        and nothing about which software that is or who asks.
    """
    document = read_document(data)
    key = signing_key(document.certificate, document.cabundle, root, document.time)
    check_signature(document.envelope, key)
    check_production(document.pcrs)
    return document


def verify_document(
    data: bytes, root: Certificate, expected: Expectation, now: dt.datetime
) -> Document:
    """Return the document that these bytes are, if it proves what is expected.

    Args:
        data: an untagged COSE_Sign1.
        root: the pinned root.
        expected: what it must prove.
        now: the time by this party's clock, with its time zone.

    Raises:
        CeremonyError: RF-ATTEST-001 to RF-ATTEST-008, for the first thing that it does not prove.

    Security: trusts AWS's module and its PKI for what runs, and nobody for freshness: the nonce is
        this party's own. The parent host can delay a document or keep it back, nothing else.
    """
    document = authenticate(data, root)
    check_measurement(document.pcrs, expected.measurement, expected.operator)
    if document.nonce != expected.nonce:
        raise attestation_error(
            "RF-ATTEST-006",
            "the attestation document answers another question",
            f"nonce {expected.nonce.hex()}",
            f"nonce {_shown(document.nonce)}",
            "ask again; a document answers one question",
            operator=expected.operator,
        )
    check_age(document, now, expected.maximal_age, expected.operator)
    if document.user_data != expected.user_data:
        raise _bound_to_another(
            "user data", expected.user_data, document.user_data, expected.operator
        )
    if document.public_key != expected.public_key:
        raise _bound_to_another(
            "public key", expected.public_key, document.public_key, expected.operator
        )
    return document


def check_age(
    document: Document,
    now: dt.datetime,
    maximal_age: dt.timedelta = MAXIMAL_AGE,
    operator: str = "",
) -> None:
    """Refuse a document that is old, or from the future.

    Raises:
        CeremonyError: RF-ATTEST-007.
    """
    age = now - document.time
    if -CLOCK_DIFFERENCE <= age <= maximal_age:
        return
    raise attestation_error(
        "RF-ATTEST-007",
        "the attestation document is not of now",
        f"one signed at most {maximal_age} before {now.isoformat(timespec='seconds')}",
        f"one signed at {document.time.isoformat(timespec='seconds')}",
        "ask for a new document; to read a kept one, say --at-document-time",
        operator=operator,
    )


def _bound_to_another(
    what: str, expected: bytes | None, found: bytes | None, operator: str
) -> CeremonyError:
    return attestation_error(
        "RF-ATTEST-008",
        f"the attestation document is bound to other keys than those of {operator or 'the caller'}",
        f"{what} {_shown(expected)}",
        f"{what} {_shown(found)}",
        "compare plan hash and identity keys with the operator by a second channel",
        operator=operator,
    )


def _shown(value: bytes | None) -> str:
    return _NOTHING_FOUND if value is None else value.hex()
