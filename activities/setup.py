"""The operator's part of the key setup (PROTOCOL.md, "PRSS keys").

Strings and the KEM key live in the vault from their making until the setup is sealed; k_A is never
stored at all. Every step looks at the log first and can be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activities.operator import stage_key_name
from mpc_core.protocol.context import STAGES
from mpc_core.protocol.entries import (
    Acknowledgement,
    Complaint,
    Contribution,
    Examined,
    KemKey,
)
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.key_setup import SetupPhase
from mpc_core.sharing.sealing import KEM_SEED_BYTES, kem_public_key
from mpc_core.sharing.setup import (
    STRING_BYTES,
    Rejected,
    SealedContribution,
    contribute,
    open_contribution,
    references,
    set_key,
    stage_keys,
)

if TYPE_CHECKING:
    from activities.operator import Operator
    from mpc_core.protocol.key_setup import KeySetup
    from mpc_core.protocol.quorum import AccessSet
    from mpc_core.protocol.state import CeremonyState

__all__ = ["KeySteps"]

_KEM_SEED = "setup/kem-seed"
_STRINGS = "setup/strings"


@dataclass(frozen=True, slots=True)
class KeySteps:
    """The steps of the key setup at one operator."""

    operator: Operator

    def announce_kem_key(self) -> None:
        """Make a KEM key for this ceremony alone and put its public half on the log."""
        with self.operator.lock("setup"):
            if self.operator.index in self._setup().kem_keys:
                return
            self.operator.log.post(KemKey(kem_public_key(self._kem_seed())))

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
            sealed = contribute(
                self.operator.plan.hash,
                index,
                self._strings(number, setup.sets_asked(index, number)),
                setup.kem_keys,
            )
            self.operator.log.post(Contribution(number, sealed.commitments, sealed.ciphertexts))

    def examine(self) -> None:
        """Open what others contributed; complain about what does not fit, then say so."""
        with self.operator.lock("setup"):
            setup = self.operator.log.wait_for(_past_contributions)
            index = self.operator.index
            if setup.phase is not SetupPhase.COMPLAINTS or index in setup.examined:
                return
            for contributor, number in sorted(setup.contributions):
                if (index, contributor) in setup.complaints or contributor == index:
                    continue
                if isinstance(self._open(setup, contributor, number), Rejected):
                    self.operator.log.post(Complaint(contributor))
            self.operator.log.post(Examined())

    def acknowledge(self) -> None:
        """Derive the stage keys, keep them in the vault, and list their references."""
        with self.operator.lock("setup"):
            setup = self.operator.log.wait_for(_past_complaints)
            if setup.phase is SetupPhase.SEALED or self.operator.index in setup.acknowledgements:
                return
            position = setup.complaint_close
            assert position is not None
            self.operator.log.post(Acknowledgement(position, self._keep_stage_keys(setup)))

    def settle(self) -> None:
        """Once the setup is sealed, check the kept keys and forget what they were made of.

        Who was written off before it acknowledged derives its keys only now. What counts is what
        the vault holds, not what was acknowledged: that is what share vectors will be made of.

        Raises:
            CeremonyError: RF-SETUP-003, when a stage key is not the reference value.
        """
        with self.operator.lock("setup"):
            if self.operator.vault.read(_KEM_SEED) is None:
                return
            setup = self.operator.log.wait_for(
                lambda state: state.setup if state.setup.phase is SetupPhase.SEALED else None
            )
            if len(self.operator.vault.names("stage-keys")) < len(STAGES):
                self._keep_stage_keys(setup)
            if self._kept_references() != self._references(setup):
                raise CeremonyError(
                    "RF-SETUP-003",
                    "a stage key in this operator's vault is not the one that the others hold",
                    operator=self.operator.name,
                    stage="keys",
                    expected="the reference value on the log",
                    found="another value",
                    effect="this operator takes no part; the others go on without it",
                    next_step="check the memory of this machine",
                    runbook="setup-stuck",
                )
            for name in reversed(self.operator.vault.names("setup")):
                self.operator.vault.remove(name)  # the KEM key, named first, goes last

    # -- inside -----------------------------------------------------------------------------------

    def _keep_stage_keys(self, setup: KeySetup) -> tuple[bytes, ...]:
        """Derive the stage keys into the vault; return their references."""
        children = self._derive(setup)
        for stage in STAGES:
            keys = b"".join(children[members][stage] for members in sorted(children))
            self.operator.vault.write(stage_key_name(stage), keys)
        return references(self.operator.plan.hash, children)

    def _kept_references(self) -> tuple[bytes, ...]:
        """Return the references of the stage keys that the vault holds."""
        children: dict[AccessSet, dict[str, bytes]] = {
            members: {} for members in self.operator.own_sets()
        }
        for stage in STAGES:
            keys = self.operator.stage_keys(stage)
            for members, child in zip(keys.sets, keys.children, strict=True):
                children[members][stage] = child
        return references(self.operator.plan.hash, children)

    def _references(self, setup: KeySetup) -> tuple[bytes, ...]:
        """Return what the log says this operator's stage keys are."""
        table = setup.references
        assert table is not None, "the setup is sealed"
        return tuple(
            table[members, stage] for members in self.operator.own_sets() for stage in STAGES
        )

    def _setup(self) -> KeySetup:
        return self.operator.log.read(lambda state: state.setup)

    def _kem_seed(self) -> bytes:
        return self._kept(_KEM_SEED, KEM_SEED_BYTES)

    def _kept(self, name: str, length: int) -> bytes:
        """Return random bytes that are drawn once and kept until the setup is sealed."""
        kept = self.operator.vault.read(name)
        if kept is None:
            kept = self.operator.random(name, length)
            self.operator.vault.write(name, kept)
        return kept

    def _strings(self, number: int, sets: tuple[AccessSet, ...]) -> dict[AccessSet, bytes]:
        drawn = self._kept(f"{_STRINGS}-{number}", STRING_BYTES * len(sets))
        return {
            members: drawn[STRING_BYTES * place : STRING_BYTES * (place + 1)]
            for place, members in enumerate(sets)
        }

    def _open(
        self, setup: KeySetup, contributor: int, number: int
    ) -> dict[AccessSet, bytes] | Rejected:
        sets = setup.sets_asked(contributor, number)
        if not any(self.operator.index in members for members in sets):
            return {}
        entry = setup.contributions[contributor, number]
        return open_contribution(
            self.operator.plan.hash,
            contributor,
            self.operator.index,
            sets=sets,
            sealed=SealedContribution(entry.commitments, entry.ciphertexts),
            seed=self._kem_seed(),
        )

    def _derive(self, setup: KeySetup) -> dict[AccessSet, dict[str, bytes]]:
        """Return the children of every set key of this operator."""
        index, plan_hash = self.operator.index, self.operator.plan.hash
        opened = {
            place: (
                self._strings(place[1], setup.sets_asked(*place))
                if place[0] == index
                else self._open(setup, *place)
            )
            for place in sorted(setup.contributions)
        }
        children = {}
        for members in self.operator.own_sets():
            strings = [
                None
                if source.zeroed
                else self._string(opened, source.operator, source.round, members)
                for source in setup.sources(members)
            ]
            children[members] = stage_keys(plan_hash, members, set_key(plan_hash, members, strings))
        return children

    def _string(
        self,
        opened: dict[tuple[int, int], dict[AccessSet, bytes] | Rejected],
        contributor: int,
        number: int,
        members: AccessSet,
    ) -> bytes:
        strings = opened[contributor, number]
        if isinstance(strings, Rejected):
            raise CeremonyError(
                "RF-SETUP-002",
                f"what {self.operator.plan.name_of(contributor)} sent cannot be used, "
                "and the complaint is void",
                operator=self.operator.name,
                stage="keys",
                expected="strings that match their commitments",
                found=strings.reason,
                effect="this operator cannot acknowledge its keys; it will be written off",
                next_step="check the vault of this operator: its KEM key is the likely cause",
                runbook="setup-stuck",
            )
        return strings[members]


def _past_contributions(state: CeremonyState) -> KeySetup | None:
    early = (SetupPhase.KEM_KEYS, SetupPhase.CONTRIBUTIONS)
    return None if state.setup.phase in early else state.setup


def _past_complaints(state: CeremonyState) -> KeySetup | None:
    late = (SetupPhase.ACKNOWLEDGEMENTS, SetupPhase.SEALED)
    return state.setup if state.setup.phase in late else None
