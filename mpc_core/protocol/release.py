"""After the seal: the digest of the key set, its announcement, test decryptions.

PROTOCOL.md, "Assembly": one key set and one audit; the announcement names that key set; each
test decryption uses fresh, consecutive floods of those the plan reserved, and no ciphertext twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mpc_core.protocol.rules import require

if TYPE_CHECKING:
    from mpc_core.protocol.entries import Announcement, DecryptionRequest, KeySet, LogEntry
    from mpc_core.protocol.plan import Plan

__all__ = ["Release"]

DIGEST_BYTES = 32


@dataclass(slots=True)
class Release:
    """What the log says about the key set.

    Attributes:
        plan: the plan, with the number of floods for requests.
        first_flood: the first flood that requests may use.
        sealed: the seal of N, S and M.
        key_set: the one key set's digest.
        announcement: its announcement.
        requests: the valid decryption requests.
    """

    plan: Plan
    first_flood: int
    sealed: LogEntry | None = None
    key_set: LogEntry | None = None
    announcement: LogEntry | None = None
    digest: bytes = b""
    requests: list[DecryptionRequest] = field(default_factory=list)

    @property
    def openings_used(self) -> int:
        """Floods that requests have used up."""
        return sum(request.openings for request in self.requests)

    def take_key_set(self, log: LogEntry, entry: KeySet) -> None:
        """Take the digest that n-t operators rebuilt."""
        require(self.sealed is not None, "nothing is sealed")
        require(self.key_set is None, "the key set is named")
        require(len(entry.digest) == DIGEST_BYTES, "a digest has 32 bytes")
        self.key_set, self.digest = log, entry.digest

    def announce(self, log: LogEntry, entry: Announcement) -> None:
        """Announce the key set that was audited."""
        require(self.key_set is not None, "no key set is named")
        require(self.announcement is None, "the key set is announced")
        require(entry.digest == self.digest, "it is another key set")
        self.announcement = log

    def request(self, entry: DecryptionRequest) -> None:
        """Grant test openings of a ciphertext, each with the next fresh flood."""
        require(self.announcement is not None, "the key set is not announced")
        require(self.plan.sandbox, "this plan is no sandbox")
        require(entry.serial == len(self.requests), "the serial is not the next one")
        require(entry.openings > 0, "nothing is to be opened")
        require(
            all(request.ciphertext != entry.ciphertext for request in self.requests),
            "this ciphertext was opened before",
        )
        used = self.openings_used
        require(entry.first_flood == self.first_flood + used, "the floods are not the next ones")
        require(
            used + entry.openings <= self.plan.tests.decrypt_openings,
            "the plan grants no more test openings",
        )
        self.requests.append(entry)
