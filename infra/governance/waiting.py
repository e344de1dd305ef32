"""Wait until everybody has signed the plan: hand in the own signature, fetch those of the others.

Security: signatures come from Temporal, which nobody trusts. Each is verified against the keys of
the plan in this home before it is written down, so a lie of the server costs time only.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from functools import partial
from typing import TYPE_CHECKING

from temporalio.client import WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from infra.governance.gathering import open_draft
from infra.governance.refusals import governance_error
from infra.party.queues import ceremony_workflow
from infra.plan.document import render_plan
from infra.plan.hybrid import signing_parties
from infra.plan.signing import is_signed_by
from infra.temporal.client import connect, patiently
from infra.temporal.codec import converter_for
from workflows.ceremony import CeremonyWorkflow
from workflows.contracts import PlanSignature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from temporalio.client import Client, WorkflowHandle

    from infra.governance.gathering import Draft
    from infra.homes import Home
    from mpc_core.protocol.errors import CeremonyError
    from mpc_core.protocol.plan import Plan
    from workflows.contracts import CeremonyResult

__all__ = ["ceremony_handle", "complete_signatures", "hand_in", "wait_for_signatures"]

_PAUSE_SECONDS = 1.0
_NOT_YET = frozenset({RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION})
"""What a question ends with before the workflow begins, or while its coordinator is away."""


def ceremony_handle(client: Client, plan: Plan) -> WorkflowHandle[CeremonyWorkflow, CeremonyResult]:
    """Return the handle of a plan's ceremony, begun or not."""
    return client.get_workflow_handle_for(CeremonyWorkflow.run, ceremony_workflow(plan))


async def hand_in(
    handle: WorkflowHandle[CeremonyWorkflow, CeremonyResult],
    plan: Plan,
    signatures: Mapping[str, bytes],
) -> list[str]:
    """Hand signatures in to a ceremony that runs; return who has yet to sign.

    Raises:
        CeremonyError: RF-GOVERN-005 if one is not taken.
    """
    unsigned = await patiently(lambda: handle.query(CeremonyWorkflow.unsigned))
    for name in [name for name in unsigned if name in signatures]:
        note = PlanSignature(name, plan.hash.hex())
        update = partial(
            handle.execute_update,
            CeremonyWorkflow.hand_in_signature,
            args=[note, signatures[name]],
        )
        try:
            unsigned = await patiently(update)
        except WorkflowUpdateFailedError as error:
            raise _not_taken(name, error) from error
    return unsigned


async def complete_signatures(home: Home, temporal: str) -> None:
    """Return when plan.sig in this home has everybody's signature; at once if it has.

    Raises:
        CeremonyError: RF-PLAN-* if plan or signatures are not valid, RF-TEMP-004 if there is no
            Temporal server, RF-GOVERN-005 if this party's own signature is not taken.
    """
    draft = open_draft(home.path)
    if draft.missing:
        converter = converter_for(render_plan(draft.document))
        client = await connect(
            temporal, identity=home.name, converter=converter, insecure_clear=draft.plan.sandbox
        )
        await wait_for_signatures(home, client)


async def wait_for_signatures(home: Home, client: Client) -> None:
    """Hand in what this home has and fetch what it lacks until nobody is missing."""
    draft = open_draft(home.path)
    handle = ceremony_handle(client, draft.plan)
    told: tuple[str, ...] = ()
    while draft.missing:
        if draft.missing != told:
            told = draft.missing
            event = {"event": "progress", "stage": "plan", "waiting_for": list(told)}
            print(json.dumps(event), flush=True)  # noqa: T201 - the event stream
        try:
            await hand_in(handle, draft.plan, draft.signatures)
            draft = _with(draft, await handle.query(CeremonyWorkflow.signatures))
        except (RPCError, WorkflowQueryFailedError) as error:
            if isinstance(error, RPCError) and error.status not in _NOT_YET:
                raise
        if draft.missing:
            await asyncio.sleep(_PAUSE_SECONDS)


def _with(draft: Draft, handed_in: Mapping[str, str]) -> Draft:
    """Take the valid ones of what the workflow says."""
    parties, found = signing_parties(draft.plan), {}
    for name in draft.missing:
        try:
            signature = base64.b64decode(handed_in.get(name, ""), validate=True)
        except binascii.Error:
            continue
        if is_signed_by(draft.plan, parties[name], signature):
            found[name] = signature
    return draft.with_signatures(found) if found else draft


def _not_taken(name: str, error: WorkflowUpdateFailedError) -> CeremonyError:
    cause: BaseException | None = error.cause
    while isinstance(cause, ActivityError):
        cause = cause.cause
    why = cause.message if isinstance(cause, ApplicationError) else str(cause)
    return governance_error(
        "RF-GOVERN-005",
        f"the signature of {name} is not taken",
        "a signature under the plan of this ceremony, by a party that signs it",
        why[:200],
        "ringforge plan check on both sides: the coordinator may have another version of the plan",
        effect="the ceremony does not begin",
        operator=name,
    )
