"""What was decided in a ceremony, as people read it: from a log, or from an enclave's note of it.

An operator in an enclave keeps its log in memory. So it leaves on its desk, signed by its identity,
what people must know to decide something: what was decided before, and who wants what.

Security: only that operator's enclave can sign it. Who keeps the desk can show an older one: what
people sign after that is for an occasion that has passed, and counts nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.board import strict, wire
from infra.governance.refusals import governance_error
from mpc_core.protocol.decisions import Decisions, Taken
from mpc_core.protocol.entries import WriteOff

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from mpc_core.protocol.errors import CeremonyError
    from mpc_core.protocol.plan import Plan
    from mpc_core.protocol.state import CeremonyState

__all__ = ["MOST_BYTES", "STANDING", "Open", "Standing", "read_standing", "sign_standing"]

STANDING = "decisions"
"""Name under which it lies on the desk."""

DOMAIN = b"ringforge/decisions/v1\0"
MOST_BYTES = 1 << 22
ANNOUNCED = "the key set is announced"


@dataclass(frozen=True, slots=True)
class Open:
    """Voices for something that is not decided: operator and reason of each."""

    what: str
    seconds: int
    voices: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What was decided, and what may be.

    Attributes:
        taken: decisions in the order of the log.
        open: what voices were raised for since the last of them.
        write_offs: log position, operator and signers of each that counts.
        over: 1 once there is nothing left to decide.
    """

    taken: tuple[Taken, ...]
    open: tuple[Open, ...]
    write_offs: tuple[tuple[int, int, tuple[int, ...]], ...]
    over: int

    @classmethod
    def of(cls, state: CeremonyState) -> Standing:
        """Return how things stand at the end of a log."""
        void = {each.position for each in state.voids}
        return cls(
            tuple(state.decisions.taken),
            tuple(
                Open(what, seconds, tuple(voices.items()))
                for (what, seconds), voices in state.decisions.open.items()
            ),
            tuple(
                (log.position, log.entry.operator, tuple(log.signers))
                for log in state.log
                if isinstance(log.entry, WriteOff) and log.position not in void
            ),
            int(state.release.announcement is not None),
        )

    def decisions(self, plan: Plan) -> Decisions:
        """Return the bookkeeping that says what can be decided now."""
        found = {(each.what, each.seconds): dict(each.voices) for each in self.open}
        return Decisions(plan, list(self.taken), found)

    @property
    def objection(self) -> str:
        """Why nothing can be decided any more, "" if something can."""
        return ANNOUNCED if self.over else ""


@dataclass(frozen=True, slots=True)
class _Signed:
    standing: bytes
    signature: bytes


def sign_standing(standing: Standing, plan: Plan, key: Ed25519PrivateKey) -> bytes:
    """Return what an operator leaves for its people.

    Args:
        standing: how things stand on its log.
        plan: the signed plan.
        key: its identity key.
    """
    body = strict.encode(standing)
    return strict.encode(_Signed(body, key.sign(DOMAIN + plan.hash + body)))


def read_standing(data: bytes, plan: Plan, operator: int) -> Standing:
    """Return how things stand, as the enclave of an operator says.

    Raises:
        CeremonyError: RF-GOVERN-009 if that operator did not sign it under this plan.
    """
    if not data:
        raise _refused("nothing", plan, operator)
    if len(data) > MOST_BYTES:
        raise _refused(f"{len(data)} bytes", plan, operator)
    try:
        signed = strict.decode(_Signed, data)
        standing = strict.decode(Standing, signed.standing)
    except strict.Malformed as error:
        raise _refused(str(error), plan, operator) from error
    key = plan.operators[operator - 1].identity_key
    if not wire.verify_signature(key, DOMAIN + plan.hash + signed.standing, signed.signature):
        raise _refused("a signature that does not match", plan, operator)
    return standing


def _refused(found: str, plan: Plan, operator: int) -> CeremonyError:
    name = plan.name_of(operator)
    return governance_error(
        "RF-GOVERN-009",
        f"what lies on the desk of {name} is not what its enclave says of decisions",
        f"a note that {name} signed under this plan",
        found,
        "wait until its enclave runs; if it does, ask who can write into its bucket",
        effect="nothing was signed",
        operator=name,
    )
