"""What an operator signs about the log, and what it never signs.

- A head is signed only if it is exactly the root over bytes held here, every entry verified.
- Within one epoch no two heads are signed of which neither extends the other: the last head is in
  the vault before its signature leaves, and later heads extend it.
- A certificate is signed only for a head of the log held here that n-t operators signed; the
  highest one is in the vault before the signature leaves (PROTOCOL.md, "Model").

A refusal is an error with its reason. Signing the same again is not a second head: a host that
lost signatures asks again and gets the same bytes.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from infra.board import strict
from infra.board.notes import Checkpoint, Head, HeadSignature, sign_certificate, sign_head
from infra.files import SECRET_FILE, disk_errors, write_atomic
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.board.replica import Replica

__all__ = ["FileVault", "Witness", "WitnessState", "WitnessVault"]


@dataclass(frozen=True, slots=True)
class WitnessState:
    """What an operator must remember to stay honest."""

    epoch: int = 0
    signed: Head | None = None
    certified: Checkpoint | None = None


class WitnessVault(Protocol):
    """Durable storage that is not rolled back."""

    def load(self) -> WitnessState:
        """Return the state saved last, or a fresh one."""
        ...

    def save(self, state: WitnessState) -> None:
        """Return when the state survives a power failure."""
        ...


class FileVault:
    """The state in a file of the operator's vault."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> WitnessState:
        """Return the state saved last, or a fresh one.

        Raises:
            CeremonyError: RF-LOG-027 if the file is damaged: without it nothing may be signed.
        """
        with disk_errors(self._path):
            try:
                data = self._path.read_bytes()
            except FileNotFoundError:
                return WitnessState()
        try:
            return strict.decode(WitnessState, data)
        except strict.Malformed as error:
            raise CeremonyError(
                "RF-LOG-027",
                "the operator's record of what it signed is damaged",
                expected=f"the file {self._path.name} as it was written last",
                found="bytes that do not decode",
                effect="this operator signs nothing: it might contradict itself",
                next_step="restore the vault, or rejoin as an operator that lost its state",
                runbook="lost-state",
            ) from error

    def save(self, state: WitnessState) -> None:
        """Replace the file; return when it is durable."""
        write_atomic(self._path, strict.encode(state), SECRET_FILE)


class Witness:
    """One operator's signing of heads and certificates."""

    def __init__(
        self, replica: Replica, index: int, key: Ed25519PrivateKey, vault: WitnessVault
    ) -> None:
        self.replica = replica
        self.index = index
        self._key = key
        self._vault = vault
        self._lock = threading.Lock()
        self._state = vault.load()

    @property
    def state(self) -> WitnessState:
        """What this operator signed last."""
        return self._state

    def sign_head(self, head: Head) -> HeadSignature:
        """Sign a head of the log held here.

        Raises:
            CeremonyError: RF-LOG-020 if it is not the root over the bytes held here or does not
                extend the last head signed, -021 if it is shorter, -022 if bytes are missing,
                -023 if it is of another epoch.
        """
        with self._lock:
            self._require_epoch(head)
            if head.size > self.replica.held:
                raise _refused(
                    "RF-LOG-022",
                    "the host proposes a head over entries that it has not sent",
                    f"at most {self.replica.held} entries",
                    f"{head.size} entries",
                )
            self._require_extension(head)
            if head != self._state.signed:
                self.replica.flush()
                self._save(replace(self._state, signed=head))
            return sign_head(self.replica.plan, head, self.index, self._key)

    def sign_certificate(self, certified: Checkpoint) -> HeadSignature:
        """Sign the certificate of a certified head of the log held here.

        Raises:
            CeremonyError: RF-LOG-023 if it is of another epoch; otherwise as
                `Replica.verify_certified`.
        """
        with self._lock:
            head = certified.head
            self._require_epoch(head)
            self.replica.verify_certified(certified)
            highest = self._state.certified
            if highest is None or (head.epoch, head.size) > (highest.head.epoch, highest.head.size):
                kept = Checkpoint(head, certified.head_signatures)
                self._save(replace(self._state, certified=kept))
            return sign_certificate(self.replica.plan, head, self.index, self._key)

    def _save(self, state: WitnessState) -> None:
        self._vault.save(state)
        self._state = state

    def _require_epoch(self, head: Head) -> None:
        if head.epoch != self._state.epoch:
            raise _refused(
                "RF-LOG-023",
                "the head is of another epoch",
                f"epoch {self._state.epoch}",
                f"epoch {head.epoch}",
            )

    def _require_extension(self, head: Head) -> None:
        signed = self._state.signed
        if signed is not None and head.size < signed.size:
            raise _refused(
                "RF-LOG-021",
                "the host proposes a log that is shorter than one it showed before",
                f"at least {signed.size} entries",
                f"{head.size} entries",
            )
        if signed is not None and self.replica.root(signed.size) != signed.root:
            raise _refused(
                "RF-LOG-020",
                "the log is a fork: it does not extend the head that this operator signed",
                f"root {signed.root.hex()} over {signed.size} entries",
                f"root {self.replica.root(signed.size).hex()}",
            )
        held = self.replica.root(head.size)
        if held != head.root:
            raise _refused(
                "RF-LOG-020",
                "the head is not that of the entries which the host sent",
                f"root {held.hex()} over {head.size} entries",
                f"root {head.root.hex()}",
            )


def _refused(code: str, subject: str, expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        code,
        subject,
        expected=expected,
        found=found,
        effect="this operator does not sign; the ceremony goes on if n-t others do",
        next_step="ask the coordinator; operators can move the log to another host",
        runbook="forked-log",
    )
