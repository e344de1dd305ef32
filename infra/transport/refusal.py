"""Why a peer was refused or given up, in the words of a person.

Codes: RF-PEER-001 not signed by the pinned key, -002 expired or not yet valid, -003 another member
or another ceremony, -005 no certificate, -006 the other side refused us, -009 anything else, -021
a certificate without its key.
Nobody was refused: -007 the connection got lost, -013 the peer is too slow.
"""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING

import structlog

from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "RefusedDocumentError",
    "SparingLog",
    "foreign_certificate",
    "is_without_key",
    "lost",
    "missing_certificate",
    "refusal",
]

_SIGNATURE_FAILURE = 7
_NOT_YET_VALID = 9
_EXPIRED = 10
_HOST_NAME_MISMATCH = 62
_MOST_PER_PERIOD, _PERIOD_SECONDS = 30, 60.0

_log = structlog.get_logger()


class RefusedDocumentError(ssl.SSLError):
    """The handshake was fine, the peer's attestation document is not.

    Attributes:
        meaning: why the document does not count.
    """

    def __init__(self, meaning: CeremonyError) -> None:
        """Wrap a reason into what ends a connection."""
        super().__init__(str(meaning))
        self.meaning = meaning


class SparingLog:
    """Logs refusals, a limited number a minute: strangers can call as often as they like."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing told."""
        self._clock = clock
        self._since = clock()
        self._told = self._withheld = 0

    def tell(self, error: CeremonyError) -> None:
        """Log a refusal with how many were not logged before it, or do not log it."""
        now = self._clock()
        if now - self._since >= _PERIOD_SECONDS:
            self._since, self._told = now, 0
        if self._told == _MOST_PER_PERIOD:
            self._withheld += 1
            return
        self._told += 1
        facts = {key: text for key, text in error.as_dict().items() if text}
        _log.warning("peer refused", **facts, not_logged_before=self._withheld)
        self._withheld = 0


def foreign_certificate(code: str, peer: str, *, found: str) -> CeremonyError:
    """Return the error for a certificate that does not come from the identity it should."""
    return CeremonyError(
        code,
        "a peer has not proved an identity of this plan",
        expected=f"a certificate for this ceremony, signed by the plan's key of {peer}"
        if peer
        else "a certificate for this ceremony, signed by a key of the plan",
        found=found,
        effect="the connection was closed; nothing was sent or accepted",
        next_step="compare the plan hash on both sides and the address at which the peer is called",
        runbook="peer-refused",
        operator=peer,
    )


def missing_certificate() -> CeremonyError:
    """Return the error for a peer that did not say who it is."""
    return CeremonyError(
        "RF-PEER-005",
        "a caller presented no certificate",
        expected="mutual TLS 1.3 with an identity of the plan",
        found="no certificate",
        effect="the connection was closed; nothing was sent or accepted",
        next_step="only members of the ceremony can call; use `ringforge` to talk to this port",
        runbook="peer-refused",
    )


def is_without_key(error: ssl.SSLError) -> bool:
    """Tell whether a handshake failed since the other end lacks the key of its certificate."""
    return error.reason == "BAD_SIGNATURE"


def _stolen_certificate(owner: str) -> CeremonyError:
    """Return the error for somebody who shows a certificate and does not have its key.

    Args:
        owner: the member whose certificate it is, "" if that is not known; it did nothing.
    """
    return CeremonyError(
        "RF-PEER-021",
        f"somebody shows the certificate of {owner or 'a member'} and does not have its key",
        expected="a handshake signed with the key of the certificate",
        found="another key's signature",
        effect="the connection was closed; nothing was sent or accepted",
        next_step=f"tell {owner or 'the others'}: who calls is not the member that it plays",
        runbook="peer-refused",
        operator=owner,
    )


def refusal(error: ssl.SSLError, *, peer: str) -> CeremonyError:
    """Return what a failed handshake means.

    Args:
        error: what OpenSSL reported.
        peer: the member that was called, or "" at a server, which any member may call; whose
            certificate was shown there, if its key was missing.
    """
    if isinstance(error, RefusedDocumentError):
        return error.meaning
    if isinstance(error, ssl.SSLCertVerificationError):
        return _invalid_certificate(error, peer)
    if is_without_key(error):
        return _stolen_certificate(peer)
    reason = error.reason or error.strerror or type(error).__name__
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return missing_certificate()
    if "ALERT" in reason:
        return CeremonyError(
            "RF-PEER-006",
            "the other side refused this process during the handshake",
            expected="that it accepts this process's identity",
            found=reason,
            effect="the connection was closed; nothing was sent or accepted",
            next_step="read the log of the other side: it names the reason",
            runbook="peer-refused",
            operator=peer,
        )
    return CeremonyError(
        "RF-PEER-009",
        "the TLS handshake failed",
        expected="TLS 1.3 with mutual authentication",
        found=reason,
        effect="the connection was closed; nothing was sent or accepted",
        next_step="check that the address and port belong to a process of this ceremony",
        runbook="peer-refused",
        operator=peer,
    )


def _invalid_certificate(error: ssl.SSLCertVerificationError, peer: str) -> CeremonyError:
    if error.verify_code in {_NOT_YET_VALID, _EXPIRED}:
        return CeremonyError(
            "RF-PEER-002",
            "a peer's certificate is not valid at this time",
            expected="a certificate that is valid now; every process makes a new one at its start",
            found=error.verify_message,
            effect="the connection was closed; nothing was sent or accepted",
            next_step="compare the clocks of both machines (date -u); differences over a day fail",
            runbook="clock-skew",
            operator=peer,
        )
    wrong_member = bool(peer) and error.verify_code != _SIGNATURE_FAILURE
    code = "RF-PEER-003" if wrong_member else "RF-PEER-001"
    found = (
        "a certificate for another member or another ceremony"
        if error.verify_code == _HOST_NAME_MISMATCH
        else error.verify_message
    )
    return foreign_certificate(code, peer, found=found)


def lost(peer: str, address: str, error: BaseException, attempts: int) -> CeremonyError:
    """Return the error for a peer of which the last of several attempts got no whole answer."""
    slow = isinstance(error, TimeoutError)
    return CeremonyError(
        "RF-PEER-013" if slow else "RF-PEER-007",
        f"{peer} answers too slowly" if slow else f"{peer} cannot be reached",
        expected=f"an answer from {address}",
        found=f"{type(error).__name__} in attempt {attempts} of {attempts}: {error}".rstrip(": "),
        effect="the work is tried again later; what arrived so far is kept",
        next_step=f"check that {peer} runs; if it does, its log says whether it refused us",
        runbook="peer-unreachable",
        operator=peer,
    )
