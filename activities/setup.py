"""The operator's part of the key setup (PROTOCOL.md, "PRSS keys").

Strings and the KEM key live in the vault from their making until the setup is sealed; k_A is never
stored at all. Every step looks at the log first and can be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from activities.children import Children
from activities.recovery import Recovery
from activities.rejoin import REJOIN_SEED
from activities.strings import Strings
from mpc_core.protocol.entries import (
    Acknowledgement,
    Complaint,
    Contribution,
    Examined,
    KemKey,
)
from mpc_core.protocol.key_setup import SetupPhase
from mpc_core.sharing.setup import contribute, references

if TYPE_CHECKING:
    from collections.abc import Callable

    from activities.operator import Operator
    from mpc_core.protocol.key_setup import KeySetup
    from mpc_core.protocol.state import CeremonyState

__all__ = ["KeySteps"]


@dataclass(frozen=True, slots=True)
class KeySteps:
    """The steps of the key setup at one operator."""

    operator: Operator
    strings: Strings
    children: Children

    @classmethod
    def of(cls, operator: Operator) -> Self:
        """Return the steps of an operator."""
        recovery = Recovery(operator)
        strings = Strings(operator, recovery)
        return cls(operator, strings, Children(operator, strings, recovery))

    def announce_kem_key(self) -> None:
        """Make a KEM key for this ceremony alone and put its public half on the log."""
        with self.operator.lock("setup"):
            setup = self._setup()
            if setup.phase is SetupPhase.KEM_KEYS and self.operator.index not in setup.kem_keys:
                self._post_kem_key(self.strings.public_key())

    def _post_kem_key(self, key: bytes) -> None:
        """Post a KEM key, where the plan asks for it after a document that binds it."""
        index = self.operator.index
        if self.operator.plan.attestation is not None:
            self.operator.log.wait_for(lambda state: _is_bound(state, index, key) or None)
        self.operator.log.post(KemKey(key))

    def contribute(self) -> None:
        """Contribute a random string to every set that the open round asks this operator for."""
        with self.operator.lock("setup"):
            index = self.operator.index
            setup = self.operator.log.wait_for(
                lambda state: state.setup if state.setup.phase is not SetupPhase.KEM_KEYS else None
            )
            if not setup.owes_contribution(index):
                return
            number = setup.closed
            drawn = self.strings.drawn(number, setup.sets_asked(index, number))
            sealed = contribute(self.operator.plan.hash, index, drawn, setup.kem_keys)
            self.operator.log.post(Contribution(number, sealed.commitments, sealed.ciphertexts))

    def examine(self) -> None:
        """Open what others contributed, complain about what does not fit, get what is missing.

        Only then is it said to be examined: whoever says so can give every string that counts to
        others, and n-t operators that can are what the close of the complaints rests on.

        Raises:
            CeremonyError: RF-SETUP-002, when strings can be had from nobody now.
        """
        with self.operator.lock("setup"):
            setup = self.operator.log.wait_for(_past_contributions)
            index = self.operator.index
            if setup.phase is not SetupPhase.COMPLAINTS or index in setup.examined:
                return
            self._complain(setup)
            if setup.phase is SetupPhase.COMPLAINTS:
                self.strings.complete(setup)
                self.operator.log.post(Examined(setup.examinations))

    def acknowledge(self) -> None:
        """Derive the stage keys, keep them in the vault, and list their references.

        Raises:
            CeremonyError: RF-SETUP-002, when strings can be had from nobody now.
        """
        with self.operator.lock("setup"):
            setup = self.operator.log.wait_for(_past_complaints)
            if setup.phase is SetupPhase.SEALED or self.operator.index in setup.acknowledgements:
                return
            position = setup.complaint_close
            assert position is not None
            children = self.children.derive(setup, self.strings.complete(setup))
            self.children.keep(children)
            listed = references(self.operator.plan.hash, children)
            self.operator.log.post(Acknowledgement(position, listed))

    def settle(self) -> None:
        """Once the setup is sealed, have the right keys and forget what they were made of.

        What counts is what the vault holds, not what was acknowledged: that is what share vectors
        will be made of. Who was written off before it acknowledged derives its keys only now; who
        lost keys gets them back.

        Raises:
            CeremonyError: RF-RECOVER-001, when keys can be had from nobody now.
        """
        with self.operator.lock("setup"):
            if self.is_settled() or self.children.are_due_unknown():
                return
            setup = self.operator.log.wait_for(
                lambda state: state.setup if state.setup.phase is SetupPhase.SEALED else None
            )
            self.children.settle(setup)
            vault = self.operator.vault
            for name in (*vault.names("setup"), REJOIN_SEED):
                vault.remove(name)

    def is_settled(self) -> bool:
        """Return whether nothing is left of the setup, and no key is missing."""
        vault = self.operator.vault
        rejoining = vault.read(REJOIN_SEED) is not None
        return not rejoining and not vault.names("setup") and not self.children.missing()

    def must_examine_again(self) -> bool:
        """Tell whether what counts has changed since this operator examined it."""
        return self._setup().must_examine_again(self.operator.index)

    def needs_settling(self) -> bool:
        """Tell whether the setup is sealed and this operator lacks keys, or has let go of none."""
        sealed = self._setup().phase is SetupPhase.SEALED
        return (
            sealed
            and not self.children.are_due_unknown()
            and (self.operator.vault.read(REJOIN_SEED) is not None or bool(self.children.missing()))
        )

    # -- inside -----------------------------------------------------------------------------------

    def _complain(self, setup: KeySetup) -> None:
        """Complain about what does not fit; whose own key is gone says that instead.

        The word "examined" must not overtake a complaint, whatever the host does: the complaints
        are waited for.
        """
        index = self.operator.index
        if not self.strings.can_open(setup):
            if setup.can_open(index):
                self._post_kem_key(self.strings.public_key())
                self._await(lambda now: not now.can_open(index))
            return
        rejected = self.strings.rejected(setup)
        for contributor in rejected:
            if (index, contributor) not in setup.complaints:
                self.operator.log.post(Complaint(contributor))
        self._await(lambda now: now.complaints.issuperset((index, about) for about in rejected))

    def _await(self, ready: Callable[[KeySetup], bool]) -> None:
        """Wait until the log says so, or until it is too late for it."""
        self.operator.log.wait_for(
            lambda state: ready(state.setup) or state.setup.complaint_close is not None or None
        )

    def _setup(self) -> KeySetup:
        return self.operator.log.read(lambda state: state.setup)


def _is_bound(state: CeremonyState, index: int, key: bytes) -> bool:
    """Tell whether an operator's last document binds this KEM key."""
    last = state.attestations.latest(index)
    return last is not None and last.entry.kem_key == key


def _past_contributions(state: CeremonyState) -> KeySetup | None:
    early = (SetupPhase.KEM_KEYS, SetupPhase.CONTRIBUTIONS)
    return None if state.setup.phase in early else state.setup


def _past_complaints(state: CeremonyState) -> KeySetup | None:
    late = (SetupPhase.ACKNOWLEDGEMENTS, SetupPhase.SEALED)
    return state.setup if state.setup.phase in late else None
