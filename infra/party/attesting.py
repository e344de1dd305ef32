"""An operator's part in attestation: what it shows on connections also stands on the log.

Every document of its enclave is posted, those too that it showed while the host of the log was
away (so many of them), and every refusal of a peer that has proved its identity
and nothing more, so that anybody can see later what was proved, and who was kept out, and why.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from infra.party.enclave import enclave_of
from infra.transport.attestation import Attestation
from infra.transport.tls import Identity, Members
from mpc_core.protocol import entries
from mpc_core.protocol.attestations import CODE, MOST_REFUSALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from activities.steps import Steps
    from infra.homes import Home
    from infra.party.log import PartyLog
    from mpc_core.protocol.errors import CeremonyError
    from mpc_core.protocol.plan import Plan
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Documents", "host_attestation", "operator_attestation", "operator_identity"]


def operator_attestation(home: Home, plan: Plan) -> Attestation | None:
    """Return what an operator's process shows and demands, None if its plan asks for nothing.

    Raises:
        CeremonyError: as `enclave_of`.
    """
    enclave = enclave_of(home, plan)
    if enclave is None:
        return None
    if home.insecure_lie:
        from infra.drill.lying_enclave import insecurely_replaced  # noqa: PLC0415 - drills only

        enclave = insecurely_replaced(enclave, home)
    return Attestation(plan, enclave)


def operator_identity(home: Home, plan: Plan, key: Ed25519PrivateKey) -> Identity:
    """Return who an operator's process is on every connection.

    Raises:
        CeremonyError: as `operator_attestation`.
    """
    made: Callable[..., Identity] = Identity
    if home.insecure_lie:
        from infra.drill.thief import insecurely_made  # noqa: PLC0415 - drills only

        made = insecurely_made(home, plan)
    attestation = operator_attestation(home, plan)
    return made(home.name, key, Members.of_plan(plan), attestation=attestation)


def host_attestation(plan: Plan) -> Attestation | None:
    """Return what a host of the log demands of operators; it runs in no enclave itself."""
    return None if plan.attestation is None else Attestation(plan)


class Documents:
    """Keeps the documents that this operator shows, and its refusals, on the log."""

    def __init__(self, plan: Plan, index: int, identity: Identity, log: PartyLog) -> None:
        """Watch what an identity shows and whom it refuses.

        Args:
            plan: the signed plan.
            index: the operator's.
            identity: its side of every connection.
            log: where documents and refusals are posted.
        """
        self._index, self._identity, self._log = index, identity, log
        self._seats = {each.name: each.index for each in plan.operators}
        self._guard = threading.Lock()
        self._refused: dict[int, list[str]] = {}
        if identity.attestation is not None:
            identity.refused = self._note

    def bind_kem_key(self, steps: Steps) -> None:
        """Have the documents bind the key to which others seal strings for this operator.

        It counts until the keys are fixed. What is given to who lost its state, under a key of
        that moment, goes over a connection whose other end has proved what it is.
        """
        attestation = self._identity.attestation
        if attestation is not None and self._log.read(_takes_kem_keys):
            attestation.kem_key = steps.keys.strings.public_key()

    def are_due(self, state: CeremonyState) -> bool:
        """Tell whether a document or a refusal is not on the log yet."""
        return self._identity.attestation is not None and bool(self._missing(state))

    def post(self) -> None:
        """Post what is missing.

        Raises:
            CeremonyError: the host's refusal, or RF-PEER-* when it is away.
        """
        for entry in self._log.read(self._missing):
            self._log.post(entry)

    def _missing(self, state: CeremonyState) -> list[entries.Attestation | entries.Refused]:
        missing: list[entries.Attestation | entries.Refused] = [*self._unposted(state)]
        said = {
            (each.operator, each.code)
            for each in state.attestations.refusals
            if each.by == self._index
        }
        with self._guard:
            heard = {operator: tuple(codes) for operator, codes in self._refused.items()}
        missing += [
            entries.Refused(operator, code)
            for operator, codes in heard.items()
            for code in codes
            if (operator, code) not in said
        ]
        return missing

    def _unposted(self, state: CeremonyState) -> Iterator[entries.Attestation]:
        """Yield every document that was shown since, also while the host was away, in order."""
        attestation, found = self._identity.attestation, state.attestations
        if attestation is None or not attestation.unposted():
            return
        own = (each for each in found.shown if each.operator == self._index)
        attestation.posted({each.entry.document for each in own})
        last = found.latest(self._index)
        first = 0 if last is None else last.entry.serial + 1
        for serial, shown in enumerate(attestation.unposted(), first):
            yield entries.Attestation(serial, shown.tls_key, shown.kem_key, shown.document)

    def _note(self, error: CeremonyError) -> None:
        """Remember a refusal of an operator that has proved its identity, not every caller's.

        Who shows this operator's own certificate and lacks its key is for the others to post.
        """
        seat = self._seats.get(error.operator)
        if seat in (None, self._index) or CODE.fullmatch(error.code) is None:
            return
        with self._guard:
            codes = self._refused.setdefault(seat, [])
            if error.code not in codes and len(codes) < MOST_REFUSALS:
                codes.append(error.code)


def _takes_kem_keys(state: CeremonyState) -> bool:
    return state.setup.complaint_close is None
