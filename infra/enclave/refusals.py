"""How attestation, key services and sealing refuse: every error has the same page."""

from __future__ import annotations

from mpc_core.protocol.errors import CeremonyError, PageErrors

__all__ = ["attestation_error", "malformed_document"]

attestation_error = PageErrors(
    effect="nothing is sent to whoever showed this document, and nothing of it is believed",
    runbook="attestation-refused",
)
"""Makes errors of area ATTEST, KMS or SEAL, all of which have one page."""


def malformed_document(expected: str, found: str) -> CeremonyError:
    """Return the error for bytes that are no attestation document."""
    return attestation_error(
        "RF-ATTEST-001",
        "the bytes are not an attestation document",
        expected,
        found,
        "ask the enclave for a new document; hand it over as it came from the device",
    )
