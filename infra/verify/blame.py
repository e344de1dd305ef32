"""Every exclusion, repeated: what was confirmed is proven again from the public files alone.

t+1 confirmations on the log mean that an honest operator checked the evidence; here nobody has to
take its word. Ground "recomputed" follows from the batch keys on the log and the opened values that
the burnt batch consumed; grounds "vector" and "decoder" from the files of evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from activities.evidence import evidence_holds, proven_evidence
from activities.operator import Operator
from activities.recomputation import lies
from infra.publish.files import evidence_path
from infra.verify.verdict import invalid
from mpc_core.protocol.justice import RECOMPUTED
from mpc_core.protocol.merkle import chunk_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from infra.verify.evidence import Evidence, Rules
    from infra.verify.openings import Openings
    from mpc_core.protocol import entries
    from mpc_core.protocol.justice import Accusation, Burn
    from mpc_core.protocol.opening import Opening
    from mpc_core.protocol.state import CeremonyState

__all__ = ["NO_PORT", "check_blame", "is_proven", "lies_in", "seat_of"]


class _NoPort:
    """Stands for what an auditor does not have: a log to post to, peers, stores."""


NO_PORT = cast("Any", _NoPort())


def seat_of(rules: Rules, index: int) -> Operator:
    """Return an operator's seat as far as plan and layout fix it: enough to recompute its part."""
    return Operator(
        plan=rules.plan,
        index=index,
        parameters=rules.parameters,
        layout=rules.layout,
        log=NO_PORT,
        known=NO_PORT,
        blobs=NO_PORT,
        peers=NO_PORT,
        vault=NO_PORT,
        work=NO_PORT,
        cache=NO_PORT,
        random=NO_PORT,
    )


def lies_in(
    rules: Rules, burn: Burn, accused: int, opened: Callable[[Opening], memoryview]
) -> tuple[int, ...]:
    """Return the rounds in which an operator answered otherwise than the posted keys say.

    Raises:
        CeremonyError: RF-VERIFY-050, while keys are missing.
    """
    for revealed in burn.revealed:
        if revealed.right is None:
            raise invalid(
                "RF-VERIFY-050",
                f"the keys of batch {revealed.opening.name} are not all posted",
                expected=f"{rules.plan.threshold + 1} members that post the same value of each key",
                found=f"keys of {len(revealed.posted)} operators",
            )
    return lies(seat_of(rules, accused), burn, opened)


def is_proven(
    evidence: Evidence, rules: Rules, state: CeremonyState, openings: Openings, what: Accusation
) -> bool:
    """Tell whether an accusation is proven by the public files."""
    if what.ground == RECOMPUTED:
        burn = next(b for b in state.justice.burns if b.opening.context == what.context)
        return what.round in lies_in(rules, burn, what.accused, openings.value_of)
    return any(
        _holds(evidence, rules, shown.entry, opening)
        for shown, opening in proven_evidence(state)
        if (shown.entry.accused, shown.entry.ground, shown.entry.context, shown.entry.round)
        == (what.accused, what.ground, what.context, what.round)
    )


def _holds(evidence: Evidence, rules: Rules, entry: entries.Evidence, opening: Opening) -> bool:
    """Tell whether the transcript holds what an accusation names, and that proves it."""
    name = evidence_path(entry.root)
    if not (evidence.folder / name).is_file():
        return False
    data, batch = evidence.view(name), rules.layout.batch(*opening.rule.key)
    right = chunk_root(data, rules.plan.layout.leaf_bytes) == entry.root
    return right and evidence_holds(entry, data, opening, batch, rules.plan)


def check_blame(
    evidence: Evidence, rules: Rules, state: CeremonyState, openings: Openings
) -> tuple[bool, str]:
    """Check that every exclusion, and every blame, was right."""
    for burn in state.justice.burns:
        if state.justice.unsettled is burn:
            raise invalid(
                "RF-VERIFY-051",
                f"nobody was excluded by the blame of batch {burn.opening.name}",
                expected="an operator whose answers are not those of the posted keys",
                found=f"a blame, entry {burn.position} of the log, that is not settled",
            )
    said = []
    for accusation, position in sorted(state.justice.proven.items(), key=lambda item: item[1]):
        name = rules.plan.name_of(accusation.accused)
        batch = next(o.name for o in state.ever_opened if o.context == accusation.context)
        if not is_proven(evidence, rules, state, openings, accusation):
            raise invalid(
                "RF-VERIFY-052",
                f"the exclusion of {name} is not proven, entry {position} of the log",
                expected=f"evidence of ground {accusation.ground} in batch {batch}",
                found="none that holds",
            )
        said.append(f"{name} by {accusation.ground} in {batch}, entry {position}")
    if not said:
        return True, "nobody was excluded, nothing was burnt"
    return True, f"{len(state.justice.burns)} batches burnt; excluded: {'; '.join(said)}"
