"""Who speaks for an operator, and where what is said is left for its process.

The identity of an operator in an enclave never leaves it, so the plan names somebody who speaks for
it. What that person signs lies on the operator's desk: in its home, or in its bucket.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.evidence.source import open_source
from infra.governance.refusals import governance_error
from infra.governance.standing import STANDING, Standing, read_standing
from infra.homes import Home
from infra.party.vault import STEPS, identity_of
from infra.plan.hybrid import speaker_of
from infra.plan.keys import load_hybrid_identity
from infra.stores import FileStore

if TYPE_CHECKING:
    from pathlib import Path

    from activities.ports import Store
    from infra.plan.hybrid import HybridIdentity
    from mpc_core.protocol.plan import Plan

__all__ = ["Place", "place_of", "representative_identity", "speaker_identity"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an operator and its people leave things for each other.

    Attributes:
        home: the operator's, or one of its people with the signed plan.
        plan: the signed plan.
        desk: the part of the bucket of an operator in an enclave; None where it is the home.
    """

    home: Home
    plan: Plan
    desk: Store | None

    @property
    def voices(self) -> Store:
        """Where signed decisions wait for the process."""
        return self.desk or FileStore(self.home.work / STEPS)

    @property
    def pleas(self) -> Store:
        """Where the process leaves what it was shown by operators that lost their vaults."""
        return self.desk or FileStore(self.home.work / STEPS)

    @property
    def approvals(self) -> Store:
        """Where the process looks for approvals."""
        return self.desk or FileStore(self.home.vault)

    def standing(self) -> Standing:
        """Return what was decided and what may be, as the log or the operator's enclave says.

        Raises:
            CeremonyError: RF-GOVERN-009 if the desk holds no note of the enclave, otherwise what is
                wrong with the log.
        """
        if self.desk is None or self.home.log_copy.is_file():
            return Standing.of(open_source(self.home.path).state)
        index = self.plan.index_of(self.home.name)
        return read_standing(self.desk.read(STANDING) or b"", self.plan, index)


def place_of(home: Home, plan: Plan) -> Place:
    """Return where the people of an operator find what it left for them.

    Raises:
        CeremonyError: RF-STORE-006 if the plan names something else than a bucket.
    """
    if plan.attestation is None or not plan.index_of(home.name):
        return Place(home, plan, None)
    from infra.party.sealed import desk_of  # noqa: PLC0415 - loads the SDK of AWS

    return Place(home, plan, desk_of(home))


def speaker_identity(home: Home, plan: Plan, folder: Path | None) -> HybridIdentity:
    """Return the identity that speaks for the operator of a home.

    Args:
        home: the operator's.
        plan: the signed plan.
        folder: home of who speaks for it, if somebody does.

    Raises:
        CeremonyError: RF-GOVERN-010 if the plan names somebody and no home was given, or nobody and
            one was; RF-PLAN-010 if the home does not hold that identity; as `identity_of`.
    """
    found = representative_identity(home, plan, folder)
    return identity_of(home, plan) if found is None else found


def representative_identity(home: Home, plan: Plan, folder: Path | None) -> HybridIdentity | None:
    """Return the identity of who the plan names to speak for an operator; None if nobody.

    Raises:
        CeremonyError: as `speaker_identity`.
    """
    index = plan.index_of(home.name)
    named = plan.representative_of(index)
    if named is None and folder is None:
        return None
    if named is None or folder is None:
        raise governance_error(
            "RF-GOVERN-010",
            f"somebody else speaks for {home.name}",
            f"--representative with the home of {named.name}" if named else "no --representative",
            "another home" if folder else "none",
            "ringforge plan show says who speaks for whom",
            effect="nothing was signed",
            operator=home.name,
        )
    return load_hybrid_identity(Home(folder.resolve()).vault, speaker_of(plan, index), named.name)
