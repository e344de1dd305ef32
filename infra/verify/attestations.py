"""The documents of enclaves on the log, read again by somebody who was not there.

Each one is verified anew, offline and at its own time: its certificates ended long ago. That it was
young when it was shown only the peers saw, who spoke with its author then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.enclave.peers import check_posted
from infra.verify.verdict import invalid
from mpc_core.protocol.entries import Attestation
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from infra.verify.evidence import Rules
    from mpc_core.protocol.attestations import Refusal
    from mpc_core.protocol.plan import Plan
    from mpc_core.protocol.state import CeremonyState

__all__ = ["check_attestations", "refusals_by_code"]


def check_attestations(rules: Rules, state: CeremonyState) -> tuple[bool, str]:
    """Verify every document that counts, and say which do not and who was refused.

    Raises:
        CeremonyError: RF-VERIFY-070 if a document counts that proves nothing, or an operator's KEM
            key counts without one.

    Security: says that at those times enclaves with the plan's measurement held the keys that the
        secrets of the setup were sealed to. That such software keeps secrets is what its release
        is examined for; the vendor's root is trusted for the rest.
    """
    plan = rules.plan
    if plan.attestation is None:
        return True, "the plan asks for no enclaves"
    proved = set()
    for shown in state.attestations.shown:
        try:
            check_posted(plan, shown.operator, shown.entry)
        except CeremonyError as error:
            raise _unproved(
                plan, shown.operator, f"{error.code}, entry {shown.position}"
            ) from error
        proved.add((shown.operator, shown.entry.kem_key))
    keys = state.setup.kem_keys | state.setup.changed_keys
    for operator, key in keys.items():
        if (operator, key) not in proved:
            raise _unproved(plan, operator, "a KEM key that no document binds")
    said = [f"{len(state.attestations.shown)} documents of {len({o for o, _ in proved})} operators"]
    said += [
        f"void: entry {void.position} by {plan.name_of(void.signers[0])}, {void.reason}"
        for void in state.voids
        if void.kind == Attestation.kind
    ]
    for (operator, code), refusals in refusals_by_code(state).items():
        by = ", ".join(plan.name_of(each.by) for each in refusals)
        name = plan.name_of(operator)
        played = refusals[0].is_of_another
        who = f"somebody who played {name} (which did nothing)" if played else name
        said.append(f"{who} refused by {by}: {code}")
    for operator, position in state.attestations.destroyed.items():
        said.append(f"{plan.name_of(operator)} destroyed what it had sealed: entry {position}")
    return True, "; ".join(said)


def refusals_by_code(state: CeremonyState) -> dict[tuple[int, str], list[Refusal]]:
    """Return who was refused by which code, and by whom, in the order of the log."""
    found: dict[tuple[int, str], list[Refusal]] = {}
    for refusal in state.attestations.refusals:
        found.setdefault((refusal.operator, refusal.code), []).append(refusal)
    return found


def _unproved(plan: Plan, operator: int, found: str) -> CeremonyError:
    return invalid(
        "RF-VERIFY-070",
        f"it is not proved what the enclave of {plan.name_of(operator)} ran",
        expected="a document with the plan's measurement that binds this operator's keys",
        found=found,
    )
