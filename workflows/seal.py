"""The one seal of N, S and M: wait for everybody, or write off who stays silent.

PROTOCOL.md, "Stages and sealing". After the seal the keys of the preprocessing are destroyed.
"""

from __future__ import annotations

import asyncio

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.calls import Calls
    from workflows.contracts import CeremonyInput, SealView

__all__ = ["SealWorkflow"]


@workflow.defn
class SealWorkflow:
    """Brings every batch to completion and gathers the seal."""

    @workflow.run
    async def run(self, ceremony: CeremonyInput) -> None:
        """Return when a valid seal entry is under a co-signed checkpoint."""
        calls = Calls(ceremony)
        catch_up = await calls.step("catch_up")
        version, asked = -1, set[int]()
        while True:
            view: SealView = await calls.coordinator("observe_seal", version, SealView)
            if view.sealed:
                return
            asked -= set(view.silent)
            for index in sorted(set(view.owing) - asked):
                calls.compute(index, "step", catch_up)
                asked.add(index)
            if view.ready:
                await calls.state("seal")
            elif view.close:
                await calls.state("close", view.close)
            elif view.silent and not view.owing:
                await asyncio.gather(
                    *(
                        calls.write_off(index, summoned=index in view.summoned)
                        for index in view.silent
                    )
                )
            version = view.version
