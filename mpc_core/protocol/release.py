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

    @property
    def openings_left(self) -> int:
        """Floods that further requests may use."""
        return self.plan.tests.decrypt_openings - self.openings_used

    def request_of(self, ciphertext: bytes) -> DecryptionRequest | None:
        """Return the request that opens the list with this Merkle root, if there is one."""
        same = (request for request in self.requests if request.ciphertext == ciphertext)
        return next(same, None)

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
        require(self.request_of(entry.ciphertext) is None, "this ciphertext was opened before")
        next_flood = self.first_flood + self.openings_used
        require(entry.first_flood == next_flood, "the floods are not the next ones")
        require(entry.openings <= self.openings_left, "the plan grants no more test openings")
        self.requests.append(entry)
