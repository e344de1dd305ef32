"""What enclaves have proved on the log, and which operators refuse which.

The rules (PROTOCOL.md, "Attestation"):

- where the plan asks for attestation, an operator posts the document of its enclave, and a new one
  whenever it renews it; a document that does not prove what the plan asks for is void;
- a KEM key counts only if the author's last document binds it, so nothing secret is ever sealed to
  a key that no approved enclave holds;
- who refuses a peer, or somebody that plays one, says so, once for each reason; nothing follows
  from it by rule.

Whether a document proves it is judged outside (`Examine`), at the document's own time: a function
of plan and entry, so everybody who reads the log judges alike, whenever.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mpc_core.protocol.entries import Attestation, KemKey
from mpc_core.protocol.rules import require

if TYPE_CHECKING:
    from mpc_core.protocol.entries import Destruction, LogEntry, Refused
    from mpc_core.protocol.plan import Plan

__all__ = [
    "CODE",
    "MOST_DOCUMENT_BYTES",
    "MOST_REFUSALS",
    "PLAYED",
    "Attestations",
    "Examine",
    "Refusal",
    "Shown",
]

Examine = Callable[[int, Attestation], str]
"""Judges the document of an operator's entry: "" if it proves what it must, else why not."""

MOST_DOCUMENT_BYTES = 16_496
MOST_KEY_BYTES = 2_048
DIGEST_BYTES, MOST_WRAPPED_KEYS, MOST_NAME_LETTERS = 32, 16, 2_048
MOST_REFUSALS = 8
"""Reasons for which one operator may refuse another on the log."""

PLAYED = "RF-PEER-021"
"""The code under which somebody is refused that plays the operator named, which did nothing."""

CODE = re.compile(rf"RF-ATTEST-[0-9]{{3}}|RF-STORE-004|{PLAYED}")
"""Codes of refusals: for what a peer did not prove, for an older vault, or of who only plays it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A document that counts, at its place in the log."""

    position: int
    operator: int
    entry: Attestation


@dataclass(frozen=True, slots=True)
class Refusal:
    """Who refused whom, by which code, at its place in the log."""

    position: int
    by: int
    operator: int
    code: str

    @property
    def is_of_another(self) -> bool:
        """Tell whether somebody else was refused, who showed the operator's certificate."""
        return self.code == PLAYED


@dataclass(slots=True)
class Attestations:
    """Bookkeeping of documents, refusals, and what was destroyed along the log.

    Attributes:
        plan: the signed plan.
        examine: judges documents.
        shown: every document that counts, in log order.
        refusals: every refusal, in log order.
        destroyed: where operators said that they leave, by operator.
    """

    plan: Plan
    examine: Examine | None
    shown: list[Shown] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    destroyed: dict[int, int] = field(default_factory=dict)
    _latest: dict[int, Shown] = field(default_factory=dict)

    def latest(self, operator: int) -> Shown | None:
        """Return the last document of an operator."""
        return self._latest.get(operator)

    def post(self, log: LogEntry, entry: Attestation) -> None:
        """Take a document, if it proves what the plan asks for.

        Security: what is examined is bounded by the lengths here and by the plan's limit on the
            number of entries. That it is young is for the peers to see, which speak with its
            author now; on the log it is read for ever.
        """
        require(self.plan.attestation is not None, "the plan asks for no attestation")
        last = self._latest.get(log.author)
        serial = 0 if last is None else last.entry.serial + 1
        require(entry.serial == serial, "another document is the next one")
        require(len(entry.document) <= MOST_DOCUMENT_BYTES, "the document is too long")
        keys = (entry.tls_key, entry.kem_key)
        require(all(len(key) <= MOST_KEY_BYTES for key in keys), "a key is too long")
        assert self.examine is not None, "whoever reads such a log brings what judges documents"
        objection = self.examine(log.author, entry)
        require(not objection, f"the document does not count: {objection}")
        self._latest[log.author] = Shown(log.position, log.author, entry)
        self.shown.append(self._latest[log.author])

    def check_kem_key(self, author: int, entry: KemKey) -> None:
        """Void a KEM key that no enclave of its author has proved to hold."""
        if self.plan.attestation is None:
            return
        last = self._latest.get(author)
        bound = last is not None and last.entry.kem_key == entry.public_key
        require(bound, "no document of the author binds this KEM key")

    def destroy(self, log: LogEntry, entry: Destruction) -> None:
        """Note that an operator leaves and gives the key above what it sealed to deletion."""
        require(log.author not in self.destroyed, "the author has said so already")
        require(0 < len(entry.kms_key) <= MOST_NAME_LETTERS, "there is no such key")
        require(0 < len(entry.wrapped_keys) <= MOST_WRAPPED_KEYS, "so many keys nobody has")
        sizes = {len(each) for each in entry.wrapped_keys}
        require(sizes == {DIGEST_BYTES}, "what names a wrapped key is no digest")
        self.destroyed[log.author] = log.position

    def refuse(self, log: LogEntry, entry: Refused) -> None:
        """Note that an operator refuses another one; t liars can fill their own share only."""
        require(1 <= entry.operator <= self.plan.count, "the refused is not in the plan")
        require(entry.operator != log.author, "nobody refuses itself")
        require(CODE.fullmatch(entry.code) is not None, "there is no such code")
        pair = (log.author, entry.operator)
        known = [each.code for each in self.refusals if (each.by, each.operator) == pair]
        require(entry.code not in known, "the author has said so already")
        require(len(known) < MOST_REFUSALS, "the author has given enough reasons")
        self.refusals.append(Refusal(log.position, log.author, entry.operator, entry.code))
