"""How attestation, key services and sealing refuse: every error has the same page."""

from __future__ import annotations

from mpc_core.protocol.errors import CeremonyError

__all__ = ["attestation_error", "malformed_document"]

REFUSED = "nothing is sent to whoever showed this document, and nothing of it is believed"


def attestation_error(
    code: str,
    subject: str,
    expected: str,
    found: str,
    next_step: str,
    *,
    effect: str = REFUSED,
    operator: str = "",
) -> CeremonyError:
    """Return an error of area ATTEST, KMS or SEAL, all of which have one page."""
    return CeremonyError(
        code,
        subject,
        expected=expected,
        found=found,
        effect=effect,
        next_step=next_step,
        runbook="attestation-refused",
        operator=operator,
    )


def malformed_document(expected: str, found: str) -> CeremonyError:
    """Return the error for bytes that are no attestation document."""
    return attestation_error(
        "RF-ATTEST-001",
        "the bytes are not an attestation document",
        expected,
        found,
        "ask the enclave for a new document; hand it over as it came from the device",
    )
