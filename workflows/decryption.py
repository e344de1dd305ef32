"""Decryption of one compact list in a sandbox ceremony (PROTOCOL.md, "Assembly", test openings)."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.batch import BatchWorkflow
    from workflows.calls import Calls
    from workflows.contracts import (
        BatchInput,
        BatchView,
        DecryptionInput,
        DecryptionResult,
        Draft,
    )

__all__ = ["DecryptionWorkflow"]


@workflow.defn
class DecryptionWorkflow:
    """Agrees on the request, which uses up fresh flood noise, and opens the masked phases."""

    @workflow.run
    async def run(self, decryption: DecryptionInput) -> DecryptionResult:
        """Return the batch whose opening holds the masked phases."""
        calls = Calls(decryption.ceremony)
        request: Draft = await calls.state("decryption-request", decryption.ciphertext)
        batch = int(request.subject)
        view: BatchView = await workflow.execute_child_workflow(
            BatchWorkflow.run,
            BatchInput(ceremony=decryption.ceremony, stage="O", batch=batch),
            id=f"{decryption.ceremony.ceremony_id}/O-{batch:04d}",
        )
        return DecryptionResult(batch=batch, log_size=view.version)
