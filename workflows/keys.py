"""The stage "keys": every set of n-t operators gets a key that exactly its members know.

PROTOCOL.md, "PRSS keys". A statement of n-t operators closes each step, so that an operator that
never answers is a gap in the log and not a wait.
"""

from __future__ import annotations

import asyncio

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.calls import Calls
    from workflows.contracts import CeremonyInput, SetupView

__all__ = ["KeysWorkflow"]

_STEP_OF_PHASE = {
    "kem-keys": "announce_kem_key",
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
        ordered, version = "", -1
        while True:
            view: SetupView = await calls.coordinator("observe_setup", version, SetupView)
            if view.phase == "sealed":
                return
            if view.phase in _STEP_OF_PHASE and _occasion(view) != ordered:
                order = await calls.step(_STEP_OF_PHASE[view.phase])
                for index in everyone:
                    calls.compute(index, "step", order)
                ordered = _occasion(view)
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


def _occasion(view: SetupView) -> str:
    """Return what tells one time of a step from another: a replacement is examined again."""
    return view.phase if view.phase == "kem-keys" else f"{view.phase} {view.slot}"
