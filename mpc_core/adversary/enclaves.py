"""Lies about the enclave that an operator runs in: what its attestation documents say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mpc_core.adversary.twin import Twin, flipped

if TYPE_CHECKING:
    from mpc_core.adversary.twin import Claim

__all__ = [
    "BindsOtherKeys",
    "RunsInDebugMode",
    "RunsOtherSoftware",
    "ShowsNoDocument",
    "ShowsOldDocuments",
]

_APPLICATION = 2
_DAY = 86_400.0


class RunsOtherSoftware(Twin):
    """Its enclave runs an application that the plan does not name."""

    def attests(self, claim: Claim) -> Claim:
        """Measure another application."""
        registers = {**claim.registers, _APPLICATION: flipped(claim.registers[_APPLICATION])}
        return replace(claim, registers=registers)


class RunsInDebugMode(Twin):
    """Its enclave runs the right software in debug mode, in which its host reads everything."""

    def attests(self, claim: Claim) -> Claim:
        """Have the registers of debug mode."""
        registers = {index: bytes(len(value)) for index, value in claim.registers.items()}
        return replace(claim, registers=registers)


class ShowsOldDocuments(Twin):
    """It shows documents that its enclave made a day ago, and none of now."""

    def attests(self, claim: Claim) -> Claim:
        """Say what was true yesterday."""
        return replace(claim, seconds=claim.seconds - _DAY)


class BindsOtherKeys(Twin):
    """It shows documents of its enclave that bind other keys than it uses."""

    def attests(self, claim: Claim) -> Claim:
        """Bind something else."""
        return replace(claim, user_data=flipped(claim.user_data))


class ShowsNoDocument(Twin):
    """It runs outside any enclave and shows no document."""

    def attests(self, claim: Claim) -> None:
        """Say nothing."""
        del claim
