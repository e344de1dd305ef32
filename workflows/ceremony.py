"""The agenda of a ceremony (PROTOCOL.md, "Stages and sealing" and "Assembly").

signatures under the plan -> keys -> noise, and key bits then products -> seal -> seed -> bodies ->
key set -> zero audit and test decryptions -> announcement. Nothing of the assembly is opened before
the seal.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from contextlib import suppress
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from workflows.calls import Calls
    from workflows.contracts import (
        CeremonyInput,
        CeremonyResult,
        Draft,
        PlanSignature,
        StageInput,
    )
    from workflows.keys import KeysWorkflow
    from workflows.seal import SealWorkflow
    from workflows.stage import StageWorkflow

__all__ = ["CeremonyWorkflow"]

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two looks at who is present."""
_SEED = 1
"""Assembly batch 0 opens the public seed, on which all others rest."""
_SIGNATURE_BYTES = (64, 64 + 3309)
"""Of Ed25519 alone, and with ML-DSA-65."""


@workflow.defn
class CeremonyWorkflow:
    """Creates one key set."""

    @workflow.init
    def __init__(self, ceremony: CeremonyInput) -> None:
        """Take signatures from the first moment on."""
        self._ceremony = ceremony
        self._signatures: dict[str, bytes] = {}

    @workflow.run
    async def run(self, ceremony: CeremonyInput) -> CeremonyResult:
        """Return the digest of the announced key set."""
        calls = Calls(ceremony)
        await workflow.wait_condition(lambda: not self.unsigned())
        await self._keys(ceremony)
        await asyncio.gather(
            self._stage(ceremony, "N"),
            self._key_bits_and_products(ceremony),
        )
        await workflow.execute_child_workflow(
            SealWorkflow.run, ceremony, id=f"{ceremony.ceremony_id}/seal"
        )
        await self._everyone_present(calls, "secure")
        await self._stage(ceremony, "O", last=_SEED)
        await self._stage(ceremony, "O", first=_SEED, last=ceremony.batches["bodies"])
        await self._accept(calls, ceremony)
        announced: Draft = await calls.state("announcement")
        await self._everyone_present(calls, "conclude", patience=ceremony.timeouts.waiting)
        result: CeremonyResult = await calls.coordinator(
            "publish", announced.subject, CeremonyResult
        )
        return result

    # -- signatures under the plan ----------------------------------------------------------------

    @workflow.update
    async def hand_in_signature(self, note: PlanSignature, signature: bytes) -> list[str]:
        """Take a party's signature under the plan; return who has yet to sign."""
        if note.name not in self._signatures:
            await Calls(self._ceremony).check_signature(note, signature)
            self._signatures.setdefault(note.name, signature)
        return self.unsigned()

    @hand_in_signature.validator
    def _may_be_one(self, note: PlanSignature, signature: bytes) -> None:
        """Refuse, without a trace in the history, what cannot be a signature that is waited for."""
        if note.plan_hash != self._ceremony.plan_hash:
            raise _not_taken("it is under another plan than this ceremony's")
        if note.name not in self._ceremony.signers:
            raise _not_taken("the plan names nobody of that name who signs it")
        if len(signature) not in _SIGNATURE_BYTES:
            raise _not_taken("it has another length than a signature")

    @workflow.query
    def unsigned(self) -> list[str]:
        """Return who has yet to sign, in the order of the plan."""
        return [name for name in self._ceremony.signers if name not in self._signatures]

    @workflow.query
    def signatures(self) -> dict[str, str]:
        """Return what was handed in, base64, by name; who reads it checks it."""
        return {name: b64encode(data).decode() for name, data in self._signatures.items()}

    # -- the agenda -------------------------------------------------------------------------------

    async def _keys(self, ceremony: CeremonyInput) -> None:
        await workflow.execute_child_workflow(
            KeysWorkflow.run, ceremony, id=f"{ceremony.ceremony_id}/keys"
        )

    async def _key_bits_and_products(self, ceremony: CeremonyInput) -> None:
        await self._stage(ceremony, "S")
        await self._stage(ceremony, "M")

    async def _stage(
        self, ceremony: CeremonyInput, stage: str, *, first: int = 0, last: int | None = None
    ) -> None:
        end = ceremony.batches[stage] if last is None else last
        await workflow.execute_child_workflow(
            StageWorkflow.run,
            StageInput(ceremony=ceremony, stage=stage, first=first, last=end),
            id=f"{ceremony.ceremony_id}/{stage}/{first}",
        )

    async def _accept(self, calls: Calls, ceremony: CeremonyInput) -> None:
        """Agree on the key set's digest, then open the zero audit and the test decryptions."""
        await self._everyone_present(calls, "rebuild")
        await calls.state("key-set")
        await self._stage(ceremony, "O", first=ceremony.batches["bodies"])

    async def _everyone_present(
        self, calls: Calls, step: str, *, patience: float | None = None
    ) -> None:
        """Order a step, once, from whoever is or becomes present; go on when n-t have done it.

        The others get the time of a step, or as long as `patience`: nothing comes after the last
        step, in which everybody makes its key share, and a slow operator must not miss it.
        """
        order = await calls.step(step)
        ordered: dict[int, workflow.ActivityHandle[Any]] = {}

        def is_done() -> bool:
            return sum(handle.done() for handle in ordered.values()) >= calls.ceremony.quorum

        pause = _FIRST_PAUSE
        while not is_done():
            present: list[int] = await calls.coordinator("present_operators", None, list)
            for index in present:
                if index not in ordered:
                    ordered[index] = calls.compute(index, "step", order)
            with suppress(TimeoutError):  # then somebody may be present who was not
                await workflow.wait_condition(is_done, timeout=pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        await workflow.wait(ordered.values(), timeout=patience or calls.ceremony.timeouts.step)


def _not_taken(why: str) -> ApplicationError:
    return ApplicationError(
        f"RF-GOVERN-005  the signature is not taken: {why}", type="RF-GOVERN-005"
    )
