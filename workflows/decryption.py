"""Decryption of one compact list in a sandbox ceremony (PROTOCOL.md, "Assembly", test openings).

The request on the log owns its floods. Whoever is interrupted starts again: the log has the request
then, and the same batch goes on; no flood serves twice.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.batch import BatchWorkflow
    from workflows.calls import Calls
    from workflows.contracts import (
        BatchInput,
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
        ceremony = decryption.ceremony
        request: Draft = await Calls(ceremony).state(
            "decryption-request",
            f"{decryption.ciphertext}/{decryption.size}/{decryption.openings}",
        )
        batch = ceremony.batches["O"] + int(request.subject)
        await workflow.execute_child_workflow(
            BatchWorkflow.run, BatchInput(ceremony=ceremony, stage="O", batch=batch)
        )
        return DecryptionResult(batch=batch)
