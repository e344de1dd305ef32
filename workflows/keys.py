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
    from workflows.contracts import CeremonyInput, SetupView

__all__ = ["KeysWorkflow"]

_STEP_OF_PHASE = {
    "contributions": "contribute",
    "complaints": "examine",
    "acknowledgements": "acknowledge",
}


@workflow.defn
class KeysWorkflow:
    """Runs the PRSS setup up to the setup seal."""

    @workflow.run
    async def run(self, ceremony: CeremonyInput) -> None:
        """Return when the log covers a valid setup seal."""
        calls = Calls(ceremony)
        everyone = [operator.index for operator in ceremony.operators]
        await calls.everyone(await calls.step("announce_kem_key"), everyone)
        ordered = set[tuple[str, str]]()
        version = -1
        while True:
            view: SetupView = await calls.coordinator("observe_setup", version, SetupView)
            if view.phase == "sealed":
                return
            if view.phase in _STEP_OF_PHASE and (view.phase, view.slot) not in ordered:
                order = await calls.step(_STEP_OF_PHASE[view.phase])
                for index in everyone:
                    calls.compute(index, "step", order)
                ordered.add((view.phase, view.slot))
            await self._move_on(calls, view)
            version = view.version

    async def _move_on(self, calls: Calls, view: SetupView) -> None:
        if view.slot:
            await calls.state("close", view.slot)
        elif view.ready:
            await calls.state("setup-seal")
        else:
            await asyncio.gather(
                *(calls.write_off(index, summoned=index in view.summoned) for index in view.silent)
            )
