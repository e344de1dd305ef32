"""The port to an enclave's security module: it measures, signs and gives random bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Register", "SecurityModule"]


@dataclass(frozen=True, slots=True)
class Register:
    """A platform configuration register; a locked one cannot change any more."""

    value: bytes
    locked: bool


class SecurityModule(Protocol):
    """What an enclave asks the machine below it."""

    def attest(
        self, *, user_data: bytes | None, nonce: bytes | None, public_key: bytes | None
    ) -> bytes:
        """Return a signed attestation document with these fields.

        Raises:
            CeremonyError: RF-ATTEST-010 if the device refuses.
        """
        ...

    def describe(self, index: int) -> Register:
        """Return a register.

        Raises:
            CeremonyError: RF-ATTEST-010 if the device refuses.
        """
        ...

    def random(self, count: int) -> bytes:
        """Return random bytes of the device.

        Raises:
            CeremonyError: RF-ATTEST-010 if the device refuses.
        """
        ...
