"""`ringforge operator admit`: people let an operator in again that lost its vault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.rejoin import approval_name, plea_name
from infra.governance.speaking import place_of, representative_identity
from infra.homes import Home
from infra.party.approvals import sign_approval
from infra.plan import load_signed_plan
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Approval", "admit"]

KEY_DIGEST_BYTES = 32

_WARNING = """\
{name} says that it lost its vault and asks for its seat, and with it for all its keys.
Whoever holds that key gets them. Before you approve it:
  - attest the machine on which {name} runs now (in a sandbox there is nothing to attest);
  - call the people who run {name}, at a number that you knew before, and have them read the key.
The key that this operator was shown:
  {key}
"""
_GIVEN = "Approved. This operator signs it when {name} asks again; n-t operators have to.\n"
_WAITS = "If it is the key that they read to you, give this command again with --key and the key.\n"
_UNHEARD = "none yet: start {name} with --rejoin, and this operator"


@dataclass(frozen=True, slots=True)
class Approval:
    """What was approved, or what there is to approve.

    Attributes:
        operator: who asks.
        shown: the key that it showed to this operator, in hex; "" if it has not asked.
        given: whether the approval is in the vault now.
    """

    operator: str
    shown: str
    given: bool

    @property
    def text(self) -> str:
        """What a person reads."""
        name = self.operator
        shown = self.shown or _UNHEARD.format(name=name)
        end = _GIVEN.format(name=name) if self.given else _WAITS
        return _WARNING.format(name=name, key=shown) + end

    def as_dict(self) -> dict[str, object]:
        """Return the fields by name, for `--json`."""
        return {"operator": self.operator, "key": self.shown, "approved": self.given}


def admit(path: Path, name: str, key: str, representative: Path | None = None) -> Approval:
    """Approve an operator's return with the key that its people read out, or show what it asks.

    The process of this home may run meanwhile: an approval is a file that it looks for. Where the
    operator's vault lies in a bucket, its people need no more of its home than the signed plan,
    and leave the approval in the bucket. Where the plan names somebody who speaks for it, an
    approval counts under that signature only.

    Args:
        path: home of the operator whose people approve.
        name: who lost its vault.
        key: digest of its new key in hex; "" to look first.
        representative: home of who speaks for the approving operator, if the plan names somebody.

    Raises:
        CeremonyError: RF-RECOVER-010 if there is nobody of that name to let in, RF-RECOVER-011 if
            the key is not the one that was shown, RF-GOVERN-010 or RF-PLAN-010 if somebody else
            speaks for the operator.
    """
    home = Home(path.resolve())
    home.check()
    plan = load_signed_plan(home.path).plan
    found = [each.index for each in plan.operators if each.name == name != home.name]
    if not found:
        raise _refused(
            "RF-RECOVER-010",
            "there is no such operator to let in",
            ", ".join(each.name for each in plan.operators if each.name != home.name),
            name,
        )
    place = place_of(home, plan)
    plea = place.pleas.read(plea_name(found[0]))
    shown = "" if plea is None else plea.hex()
    if not key:
        return Approval(name, shown, given=False)
    if len(key) != 2 * KEY_DIGEST_BYTES or key.lower() != (shown or key.lower()):
        raise _refused("RF-RECOVER-011", f"{name} shows another key", shown or "64 digits", key)
    try:
        digest = bytes.fromhex(key)
    except ValueError as error:
        raise _refused("RF-RECOVER-011", "the key cannot be read", "64 hex digits", key) from error
    speaker = representative_identity(home, plan, representative)
    giver = plan.index_of(home.name)
    signed = digest if speaker is None else sign_approval(plan, giver, found[0], digest, speaker)
    place.approvals.write(approval_name(found[0]), signed)
    return Approval(name, digest.hex(), given=True)


def _refused(code: str, subject: str, expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        code,
        subject,
        expected=expected,
        found=repr(found[:80]),
        effect="nothing was approved",
        next_step="call the people who run that operator; if it is not theirs, approve nothing",
        runbook="lost-state",
    )
