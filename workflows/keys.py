"""The stage "keys": every set of n-t operators gets a key that exactly its members know.

PROTOCOL.md, "PRSS keys". Nothing starts before everybody has announced a KEM key. From then on a
statement of n-t operators closes each step, so that an operator that never answers is a gap in the
log and not a wait.
"""

from __future__ import annotations

import asyncio

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.calls import Calls
    from workflows.contracts import CeremonyInput

__all__ = ["KeysWorkflow"]


@workflow.defn
class KeysWorkflow:
    """Runs the PRSS setup up to the setup seal."""

    @workflow.run
    async def run(self, ceremony: CeremonyInput) -> None:
        """Return when the log covers a valid setup seal."""
        calls = Calls(ceremony)
        everyone = [operator.index for operator in ceremony.operators]
        await calls.everyone("announce_kem_key", await calls.step("announce_kem_key"), everyone)
        for step, kind, subject in (
            ("contribute", "close", "contributions"),
            ("examine", "close", "complaints"),
            ("acknowledge", "setup-seal", ""),
        ):
            order = await calls.step(step)
            ordered = [calls.compute(index, step, order) for index in everyone]
            await calls.state(kind, subject)
            await asyncio.gather(*(handle for handle in ordered if handle.done()))
