"""What workflows are told about the log: pure functions of the state and of this party's clock."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from mpc_core.protocol.batch import BatchState, next_step
from mpc_core.protocol.context import OFFLINE
from mpc_core.protocol.key_setup import SetupPhase
from mpc_core.protocol.statements import Due, current_summons, due_statement, overdue_slot
from workflows.contracts import BatchView, SealView, SetupView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mpc_core.protocol.batch import BatchKey
    from mpc_core.protocol.opening import Opening
    from mpc_core.protocol.state import CeremonyState

__all__ = ["batch_view", "is_overdue", "seal_view", "setup_view"]


def _version(*facts: object) -> int:
    """Return a number that changes when what a workflow acts on changes."""
    return zlib.crc32(repr(facts).encode())


def is_overdue(
    state: CeremonyState, kind: str, subject: str, covered: Callable[[int], float]
) -> bool:
    """Tell whether a statement is due and its deadline has run out on this party's clock."""
    due = due_statement(state, kind, subject)
    if not isinstance(due, Due):
        return False
    return due.since < 0 or covered(due.since) >= due.seconds(state.deadlines)


def batch_view(state: CeremonyState, key: BatchKey, covered: Callable[[int], float]) -> BatchView:
    """Return what a batch's workflow acts on."""
    status = state.status(key)
    step = next_step(status)
    opening = state.opening(key)
    awaited = _dependencies(state, key) if opening is None else [opening]
    close = "" if step == "settled" else _overdue(state, awaited, covered)
    present = sorted(state.members.awaited)
    shown = "answer" if step in ("vouch", "fetch") else step
    return BatchView(
        version=_version(status.name, shown, status.round, status.decoder, present, close),
        name=str(status.name),
        state=str(status.state),
        step=shown,
        round=status.round,
        decoder=status.decoder,
        present=present,
        missing=list(status.missing_answers or status.missing_roots),
        close=close,
    )


def setup_view(state: CeremonyState, covered: Callable[[int], float]) -> SetupView:
    """Return what the workflow of the key setup acts on."""
    setup = state.setup
    slot = {
        SetupPhase.CONTRIBUTIONS: f"contributions/{setup.closed}",
        SetupPhase.COMPLAINTS: "complaints",
    }.get(setup.phase, "")
    if setup.phase is SetupPhase.KEM_KEYS and is_overdue(state, "close", "kem-keys", covered):
        slot = "kem-keys"
    ready = isinstance(due_statement(state, "setup-seal", ""), Due)
    silent = [
        operator
        for operator in sorted(state.members.accountable)
        if not ready
        and setup.phase is SetupPhase.ACKNOWLEDGEMENTS
        and operator not in setup.acknowledgements
        and (
            current_summons(state, operator) is not None
            or is_overdue(state, "summons", str(operator), covered)
        )
    ]
    summoned = [operator for operator in silent if current_summons(state, operator) is not None]
    return SetupView(
        version=_version(str(setup.phase), slot, ready, silent),
        phase=str(setup.phase),
        slot=slot,
        ready=ready,
        silent=silent,
        summoned=summoned,
    )


def seal_view(state: CeremonyState, covered: Callable[[int], float]) -> SealView:
    """Return what the workflow of the seal acts on."""
    ready = state.justice.unsettled is None and all(
        state.status(key).state is BatchState.COMPLETE for key in state.batches if key[0] in OFFLINE
    )
    owing = {operator for operator in state.members.accountable if state.summonable(operator)}
    silent = sorted(owing - state.members.awaited)
    present = sorted(owing & state.members.awaited)
    summoned = [operator for operator in silent if current_summons(state, operator) is not None]
    overdue = [
        operator
        for operator in silent
        if operator in summoned or is_overdue(state, "summons", str(operator), covered)
    ]
    close = _overdue(state, state.openings, covered)
    return SealView(
        version=_version(ready, state.sealed is not None, present, overdue, close),
        ready=ready,
        sealed=state.sealed is not None,
        owing=present,
        silent=overdue,
        summoned=summoned,
        close=close,
    )


def _overdue(
    state: CeremonyState, openings: Iterable[Opening], covered: Callable[[int], float]
) -> str:
    """Return the first slot of these openings whose deadline has run out, "" if there is none."""
    return next(
        (
            slot
            for opening in openings
            if (slot := overdue_slot(opening, state.members))
            and is_overdue(state, "close", slot, covered)
        ),
        "",
    )


def _dependencies(state: CeremonyState, key: BatchKey) -> list[Opening]:
    """Return the live openings that a batch without a context waits for.

    Their own workflows may have ended before a blame or a late answer opened them again.
    """
    needed = state.batches[key].dependencies
    return [opening for opening in state.openings if opening.rule.key in needed]
