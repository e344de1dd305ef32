"""One stage: its batches, several in flight at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.batch import BatchWorkflow
    from workflows.contracts import BatchInput, StageInput

__all__ = ["StageWorkflow"]


@workflow.defn
class StageWorkflow:
    """Runs the batches of one stage and ends when each is settled."""

    @workflow.run
    async def run(self, stage: StageInput) -> None:
        """Settle batches `first` to `last`; a long stage goes on in a fresh history."""
        last = min(stage.last, stage.first + stage.batches_a_run)
        in_flight = asyncio.Semaphore(stage.ceremony.batches_in_flight)

        async def settle(batch: int) -> None:
            async with in_flight:
                await workflow.execute_child_workflow(
                    BatchWorkflow.run,
                    BatchInput(ceremony=stage.ceremony, stage=stage.stage, batch=batch),
                    id=f"{stage.ceremony.ceremony_id}/{stage.stage}-{batch:04d}",
                )

        await asyncio.gather(*(settle(batch) for batch in range(stage.first, last)))
        if last < stage.last:
            workflow.continue_as_new(replace(stage, first=last))
