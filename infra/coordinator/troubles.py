"""What fails again and again, as Temporal has it: whose step, with which code, since when.

A step that fails is tried again until it works, and nobody would ever see why it does not. Here it
is seen: an operator without room on its disk, or one with a fault that nobody foresaw.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from temporalio.service import RPCError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from temporalio.api.failure.v1 import Failure
    from temporalio.api.workflow.v1 import PendingActivityInfo
    from temporalio.client import Client

__all__ = ["Trouble", "Troubles"]

LOOK_SECONDS = 5.0
LEAST_ATTEMPTS = 3
"""The attempt in which a step is that has failed twice."""

NOBODY, TEMPORAL = "nobody", "Temporal"
UNFORESEEN, TIMED_OUT, SERVER_AWAY = "RF-ORDER-003", "RF-ORDER-004", "RF-TEMP-004"
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Trouble:
    """One party's steps that fail for one reason.

    Attributes:
        party: whose.
        code: of the error; RF-ORDER-003 is an unforeseen one, RF-ORDER-004 an end without a word.
        since: when it was seen first, as ISO time.
        times: how often the step that failed most has failed.
    """

    party: str
    code: str
    since: str
    times: int


class Troubles:
    """Looks at the running workflows of a ceremony from time to time."""

    def __init__(
        self,
        client: Client,
        ceremony_id: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Look at the workflows whose names begin with the ceremony's identifier."""
        self._client = client
        self._prefix = f"{ceremony_id}/"
        self._now = now
        self._since: dict[tuple[str, str], str] = {}
        self.found: tuple[Trouble, ...] = ()

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                self.note([pending async for pending in self._pending()])
            except RPCError as error:
                _log.info("Temporal does not say what fails", reason=str(error))
                self._hold({(TEMPORAL, SERVER_AWAY): 1})
            await asyncio.sleep(LOOK_SECONDS)

    def note(self, pending: Iterable[PendingActivityInfo]) -> None:
        """Take note of all steps that Temporal holds now."""
        failing: dict[tuple[str, str], int] = {}
        for step in pending:
            if step.attempt >= LEAST_ATTEMPTS and step.HasField("last_failure"):
                key = (step.last_worker_identity or NOBODY, _code_of(step.last_failure))
                failing[key] = max(failing.get(key, 0), step.attempt - 1)
        self._hold(failing)

    def _hold(self, failing: dict[tuple[str, str], int]) -> None:
        now = self._now().isoformat(timespec="seconds")
        self._since = {key: self._since.get(key, now) for key in failing}
        self.found = tuple(
            Trouble(party, code, self._since[party, code], failing[party, code])
            for party, code in sorted(failing)
        )

    async def _pending(self) -> AsyncIterator[PendingActivityInfo]:
        async for each in self._client.list_workflows('ExecutionStatus = "Running"'):
            if each.id.startswith(self._prefix):
                described = await self._client.get_workflow_handle(each.id).describe()
                for step in described.raw_description.pending_activities:
                    await self._read(step)
                    yield step

    async def _read(self, step: PendingActivityInfo) -> None:
        """Decrypt the message of a failure, which says its code."""
        codec = self._client.data_converter.payload_codec
        if codec is not None and step.last_failure.HasField("encoded_attributes"):
            (said,) = await codec.decode([step.last_failure.encoded_attributes])
            attributes = self._client.data_converter.payload_converter.from_payload(said)
            if isinstance(attributes, dict):
                step.last_failure.message = str(attributes.get("message", ""))


def _code_of(failure: Failure) -> str:
    """Return the code of an error; who ends without a word leaves a timeout."""
    named = re.match(r"RF-[A-Z]+-[0-9]{3}", failure.message)
    if named:
        return named[0]
    return UNFORESEEN if failure.HasField("application_failure_info") else TIMED_OUT
