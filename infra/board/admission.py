"""What is an entry at its place: the rules that host and operators share.

"Sizes and number of entries per operator are limited by the plan; what exceeds them is not an
entry, and a head containing it is not signed" (PROTOCOL.md, "Model"). Whether an entry means
anything at its place is not decided here: an entry that is invalid there is void, and stays.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

from infra.board import wire
from mpc_core.protocol.entries import LogEntry
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import Frontier, leaf_hash

if TYPE_CHECKING:
    from mpc_core.protocol.plan import Plan

__all__ = ["Admission"]


class Admission:
    """The entries admitted so far, as far as later ones depend on them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._frontier = Frontier()
        self._positions: dict[bytes, int] = {}
        self._messages: Counter[int] = Counter()
        self._statements: Counter[bytes] = Counter()

    def position_of(self, data: bytes) -> int | None:
        """Return the place of these exact bytes, if they are an entry already."""
        return self._positions.get(leaf_hash(data))

    def messages_of(self, author: int) -> int:
        """Return how many messages of an operator were admitted."""
        return self._messages[author]

    def check(self, data: bytes) -> wire.SignedEntry:
        """Verify that the bytes may follow as the next entry.

        Raises:
            CeremonyError: RF-LOG-001 to -005 as `wire.decode`, -006 if the author has used up its
                entries, -007 if the bytes are an entry already or the statement was repeated too
                often.
        """
        signed = wire.decode(data, self._plan)
        if leaf_hash(data) in self._positions:
            raise _refused("RF-LOG-007", "the log holds these bytes already", "an entry once")
        if signed.is_statement:
            if self._statements[_digest(signed.body)] >= self._plan.count:
                raise _refused(
                    "RF-LOG-007",
                    f"the {signed.entry.kind} statement was posted too often",
                    f"the same statement at most {self._plan.count} times",
                )
        elif self._messages[signed.signers[0]] >= self._plan.limits.entries_per_operator:
            raise _refused(
                "RF-LOG-006",
                "the author has posted as many entries as the plan allows",
                f"at most {self._plan.limits.entries_per_operator} entries",
                operator=self._plan.name_of(signed.signers[0]),
            )
        return signed

    def admit(self, data: bytes, signed: wire.SignedEntry) -> LogEntry:
        """Take checked bytes as the next entry."""
        leaf, position = leaf_hash(data), self._frontier.size
        self._frontier.append(leaf)
        self._positions[leaf] = position
        if signed.is_statement:
            self._statements[_digest(signed.body)] += 1
        else:
            self._messages[signed.signers[0]] += 1
        return LogEntry(position, signed.signers, signed.entry, leaf, self._frontier.root())


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


def _refused(code: str, subject: str, expected: str, operator: str = "") -> CeremonyError:
    return CeremonyError(
        code,
        subject,
        expected=expected,
        effect="it is not an entry; a log that holds it is not signed",
        operator=operator,
        runbook="board-refuses",
    )
