"""An order in the namespace of the operator that is to follow it.

Activities cannot leave the namespace of their workflow. So the ceremony's workflow has the
coordinator's process carry the order over, where this workflow gives it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from workflows.contracts import Errand

__all__ = ["ErrandWorkflow"]

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(milliseconds=500), timedelta(seconds=10)


@workflow.defn
class ErrandWorkflow:
    """Gives one order."""

    @workflow.run
    async def run(self, errand: Errand) -> Any:
        """Return what the operator answers."""
        return await workflow.execute_activity(
            errand.activity,
            errand.argument,
            task_queue=errand.queue,
            schedule_to_start_timeout=timedelta(seconds=errand.start_seconds),
            start_to_close_timeout=timedelta(seconds=errand.run_seconds),
            heartbeat_timeout=timedelta(seconds=errand.heartbeat_seconds),
            retry_policy=RetryPolicy(
                initial_interval=_FIRST_PAUSE,
                maximum_interval=_LONGEST_PAUSE,
                maximum_attempts=errand.attempts,
            ),
        )
