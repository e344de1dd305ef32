"""How dealings with a key service fail."""

from __future__ import annotations

from mpc_core.protocol.errors import CeremonyError

__all__ = ["key_service_error"]


def key_service_error(
    code: str, subject: str, expected: str, found: str, *, effect: str, next_step: str
) -> CeremonyError:
    """Return an error of area KMS or SEAL."""
    return CeremonyError(
        code,
        subject,
        expected=expected,
        found=found,
        effect=effect,
        next_step=next_step,
        runbook="attestation-refused",
    )
