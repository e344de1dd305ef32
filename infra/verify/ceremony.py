"""The rules of the ceremony, applied to the whole log: setup, batches, seal, announcement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.party.rules import batch_rules, examiner_for
from infra.publish.files import batch_keys
from infra.verify.arithmetic import AuditArithmetic
from infra.verify.verdict import invalid
from mpc_core.protocol.batch import BatchState
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.entries import Answer, LogEntry
from mpc_core.protocol.state import CeremonyState

if TYPE_CHECKING:
    from infra.verify.evidence import Rules
    from infra.verify.openings import Openings
    from mpc_core.protocol.batch import BatchKey

__all__ = ["check_announcement", "check_batches", "check_seal", "check_setup", "fold"]

Log = tuple[LogEntry, ...]
ACCEPTANCE = ("audit", "tests")
"""Purposes of batches that examine the key set once the log names it."""


def fold(rules: Rules, log: Log, openings: Openings) -> tuple[CeremonyState, str]:
    """Fold the log as every operator does, and check that nobody was caught lying."""
    state = CeremonyState(
        rules.plan,
        batch_rules(rules.layout),
        AuditArithmetic(rules, openings),
        acceptance_floods=len(rules.plan.tests.plaintexts),
        examine=examiner_for(rules.plan),
    )
    for entry in log:
        state.apply(entry)
    if unsettled := state.contradictions:
        keys = [opening.rule.key for opening in unsettled]
        where = ", ".join(map(str, _answers(log, keys)))
        named = f"answers in batch {BatchName(*keys[0])} contradict one another"
        raise invalid(
            "RF-VERIFY-030",
            named + (f", entries {where} of the log" if where else ""),
            expected="answers that agree, or a blame entry",
            found=f"{len(keys)} batches whose answers do not",
        )
    voids = state.voids
    void = "none is void" if not voids else f"void: {', '.join(str(v.position) for v in voids)}"
    return state, f"{len(log)} entries follow the rules; {void}"


def check_setup(rules: Rules, state: CeremonyState) -> tuple[bool, str]:
    """Check that the setup is sealed: every stage key has one reference value."""
    if state.setup.sealed_at is None or state.setup.references is None:
        raise invalid(
            "RF-VERIFY-031",
            "the key setup is not sealed",
            expected=f"a setup seal of {rules.plan.quorum} operators over all references",
            found=f"{len(state.setup.acknowledgements)} acknowledgements",
        )
    differing = [rules.plan.name_of(index) for index in state.setup.differing]
    but = f"; other values at {', '.join(differing)}" if differing else ""
    keys = len(state.setup.references)
    return True, f"entry {state.setup.sealed_at} seals {keys} stage keys{but}"


def check_batches(rules: Rules, state: CeremonyState, openings: Openings) -> tuple[Openings, str]:
    """Check that noise, key bits and products are complete and the assembly is opened.

    Returns:
        The openings, of which each is one that holds or was refuted.
    """
    opened = 0
    for key in batch_keys(rules.layout):
        status = state.status(key)
        found = status.state
        enough = {BatchState.COMPLETE} | ({BatchState.PROVISIONAL} if key[0] == "O" else set())
        if found not in enough:
            raise invalid(
                "RF-VERIFY-032",
                f"batch {status.name} is {found}",
                expected=" or ".join(sorted(enough)),
                found=str(found),
            )
        opened += 1
    later = len(state.release.requests)
    extra = f"; {later} later decryptions are no part of the key set" if later else ""
    return openings, f"{opened} batches are opened as the rules demand{extra}"


def check_seal(rules: Rules, state: CeremonyState) -> tuple[bool, str]:
    """Check the one seal of N, S and M."""
    seal = state.sealed
    if seal is None:
        raise invalid(
            "RF-VERIFY-033",
            "noise, key bits and products are not sealed",
            expected=f"a valid seal of {rules.plan.quorum} operators",
            found="none in the log",
        )
    names = [rules.plan.name_of(index) for index in sorted(state.members.written_off)]
    lost = f"; written off: {', '.join(names)}" if names else ""
    return True, f"entry {seal.position}, signed by {_signers(rules, seal)}{lost}"


def check_announcement(rules: Rules, state: CeremonyState) -> tuple[bool, str]:
    """Check that n-t operators announced the key set, and only after it had passed its tests."""
    named, announced = state.release.key_set, state.release.announcement
    if named is None or announced is None:
        raise invalid(
            "RF-VERIFY-034",
            "the key set is not announced",
            expected=f"an announcement of {rules.plan.quorum} operators",
            found="none in the log",
        )
    for batch in rules.layout.assembly:
        opening = state.opening((batch.stage, batch.index))
        held = None if opening is None else opening.held
        opened = -1 if opening is None or held is None else opening.rounds[held].position
        first = named.position if batch.purpose in ACCEPTANCE else -1
        if not first < opened < announced.position:
            raise invalid(
                "RF-VERIFY-035",
                f"batch O-{batch.index:04d} was opened out of turn",
                expected=f"an entry after {first} and before {announced.position}",
                found=f"entry {opened} of the log",
            )
    return True, f"entry {announced.position}, signed by {_signers(rules, announced)}"


def _signers(rules: Rules, entry: LogEntry) -> str:
    return ", ".join(map(rules.plan.name_of, entry.signers))


def _answers(log: Log, keys: list[BatchKey]) -> list[int]:
    return [
        entry.position
        for entry in log
        if isinstance(entry.entry, Answer)
        and (entry.entry.batch.stage, entry.entry.batch.batch) in keys
    ]
