"""One batch, from its share vectors to a settled opening (PROTOCOL.md, "Opening a batch").

The log decides, the workflow only gives orders: it looks at the batch's view, orders whatever the
view waits for, and looks again. An operator that does not answer costs one deadline, which n-t
operators close; the batch is then settled without it. While answers contradict one another there is
nothing to order: operators settle it by themselves, and the view then shows the batch's next try.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.calls import Calls
    from workflows.contracts import BatchInput, BatchOrder, BatchView

__all__ = ["BatchWorkflow"]


@workflow.defn
class BatchWorkflow:
    """Opens one batch."""

    def __init__(self) -> None:
        self._ordered: dict[tuple[str, str, int, int], workflow.ActivityHandle[Any]] = {}

    @workflow.run
    async def run(self, batch: BatchInput) -> BatchView:
        """Return the view of the settled batch."""
        calls = Calls(batch.ceremony)
        view = await self._look(calls, batch, known=-1)
        order = BatchOrder(batch.stage, batch.batch, view.envelope)
        while view.step != "settled":
            self._give_orders(calls, order, view)
            if view.close:
                await calls.state("close", view.close)
            view = await self._look(calls, batch, known=view.version)
        return view

    async def _look(self, calls: Calls, batch: BatchInput, known: int) -> BatchView:
        look = [batch.stage, batch.batch, known]
        view: BatchView = await calls.coordinator("observe_batch", look, BatchView)
        return view

    def _give_orders(self, calls: Calls, order: BatchOrder, view: BatchView) -> None:
        if view.step == "share":
            for index in view.present:
                self._once(calls, (view.name, "share", index, 0), order)
        elif view.step == "decode" and view.decoder:
            self._once(calls, (view.name, "decode", view.decoder, view.round), order)
        elif view.step == "answer":
            for index in view.present:
                self._once(calls, (view.name, "answer", index, view.round), order)

    def _once(self, calls: Calls, key: tuple[str, str, int, int], order: BatchOrder) -> None:
        """Give an order unless it was given: try of the batch, step, operator and round."""
        if key not in self._ordered:
            _, step, index, round_ = key
            self._ordered[key] = calls.compute(index, step, replace(order, round=round_))
