"""What an operator signs about the log, and what it never signs.

- A head is signed only if it is exactly the root over bytes held here, every entry verified.
- Within one epoch no two heads are signed of which neither extends the other: the last head is in
  the vault before its signature leaves, and later heads extend it.
- A certificate is signed only for a head of the log held here that n-t operators signed; the
  highest one is in the vault before the signature leaves (PROTOCOL.md, "Model").
- After a move statement nothing is signed in an older epoch, and in the new one nothing before n-t
  statements opened it, and then only what extends the highest certificate that they name.
- Without its record an operator signs nothing at all until it is readmitted.
- With a record that its own machine could have taken back in time it signs nothing before others
  have said what they saw under its signature (`infra.party.freshness`).

A refusal is an error with its reason. Signing the same again is not a second head: a host that
lost signatures asks again and gets the same bytes.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from infra.board.moves import check_request, sign_statement, verify_opening
from infra.board.notes import Checkpoint, Head, HeadSignature, sign_certificate, sign_head
from infra.board.vault import Heard, Start, WitnessState
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.board.moves import MoveRequest, MoveStatement, Opening, SignedRequest
    from infra.board.replica import Replica
    from infra.board.vault import WitnessVault

__all__ = ["Witness"]

FURTHEST_EPOCH = 1 << 20
"""How far ahead of the current epoch the next one may be, so that the numbers never run out."""


class Witness:
    """One operator's signing of heads and certificates."""

    def __init__(
        self,
        replica: Replica,
        index: int,
        key: Ed25519PrivateKey,
        vault: WitnessVault,
        *,
        confirmed: bool = True,
    ) -> None:
        """Go on from what the vault holds.

        Args:
            replica: the verified copy of the log.
            index: the operator's.
            key: its identity key.
            vault: where its state is durable.
            confirmed: whether the vault cannot be taken back in time; else it signs nothing before
                `confirm`.
        """
        self.replica = replica
        self.index = index
        self._key = key
        self._vault = vault
        self._lock = threading.Lock()
        self._state = vault.load()
        self._confirmed = confirmed
        self._followed: Opening | None = None
        self._heard = {each.part.signer: each for each in self.state.heard}
        self.objection: Callable[[Head], str] = lambda _: ""

    @property
    def state(self) -> WitnessState:
        """What this operator signed last; the beginning if that is not known."""
        return self._state or WitnessState()

    @property
    def is_lost(self) -> bool:
        """Whether the record of what it signed is gone, so that it must not sign."""
        return self._state is None

    @property
    def may_sign(self) -> bool:
        """Whether it knows what it signed, and knows that it is the newest."""
        return self._state is not None and self._confirmed

    def confirm(self) -> None:
        """Sign from now on: others know of nothing that this record lacks."""
        with self._lock:
            self._confirmed = True

    def hears(self, head: Head, part: HeadSignature) -> None:
        """Take note of a head under another operator's signature, which is valid.

        It is durable with the next certificate that is signed here.
        """
        with self._lock:
            self._note(head, part)

    def heard_of(self, index: int) -> Heard | None:
        """Return the newest head that was seen under an operator's signature."""
        return self._heard.get(index)

    @property
    def epoch(self) -> int:
        """The newest epoch that is open for this operator."""
        state = self.state
        return state.epoch if state.start is not None else state.left

    @property
    def host(self) -> MoveRequest | None:
        """Who hosts the board since the last move that is known here, None in epoch 0."""
        known, followed = self.state.host, self._followed
        if followed is None or (known is not None and known.epoch >= followed.epoch):
            return known
        return followed.request.request

    def follow(self, opening: Opening) -> None:
        """Note an epoch, which n-t operators opened, while this operator may not sign."""
        with self._lock:
            self._followed = opening

    def last_head(self) -> tuple[Head, HeadSignature] | None:
        """Return the last head that was signed in this epoch, with its signature."""
        head = self.state.signed
        if head is None:
            return None
        return head, sign_head(self.replica.plan, head, self.index, self._key)

    def move(self, signed: SignedRequest) -> MoveStatement:
        """Answer a party that wants to host the board, and leave all older epochs for good.

        Asked again before the epoch is open, it answers the same.

        Raises:
            CeremonyError: RF-LOG-027 without a record, RF-LOG-030 if no possible host asks,
                RF-LOG-033 if this operator is in that epoch already or in a later one.
        """
        plan, request = self.replica.plan, signed.request
        check_request(plan, signed)
        with self._lock:
            state = self._known()
            again = request.epoch == state.epoch and state.start is None
            if again and state.host is not None and state.host.host != request.host:
                raise _wrong_epoch(state.epoch, request.epoch)
            if not again and not state.epoch < request.epoch <= state.epoch + FURTHEST_EPOCH:
                raise _wrong_epoch(state.epoch, request.epoch)
            left = self.epoch
            self._save(
                replace(
                    state, epoch=request.epoch, host=request, signed=None, start=None, left=left
                )
            )
            return sign_statement(plan, request, self.state.certified, self.index, self._key)

    def open(self, opening: Opening) -> tuple[bytes, ...]:
        """Enter an epoch that n-t operators opened; return the entries that fell off the log.

        Raises:
            CeremonyError: as `verify_opening`; RF-LOG-026 as `Replica.rebase`; RF-LOG-027 without
                a record; RF-LOG-033 if this operator has left that epoch.
        """
        verify_opening(self.replica.plan, opening)
        with self._lock:
            state = self._known()
            if opening.epoch < state.epoch:
                raise _wrong_epoch(state.epoch, opening.epoch)
            if opening.epoch == state.epoch and state.start is not None:
                return ()
            base = opening.base
            dropped = self.replica.rebase(opening)
            self._save(
                WitnessState(
                    epoch=opening.epoch,
                    host=opening.request.request,
                    certified=_higher(base, state.certified),
                    start=Start(base.head if base is not None else None),
                    left=self.epoch,
                    hosts=tuple(dict.fromkeys((*state.hosts, opening.host))),
                    heard=state.heard,
                )
            )
            return dropped

    def readmit(self, checkpoint: Checkpoint) -> None:
        """Sign again after a loss: from a checkpoint on that covers the statement of n-t others.

        What this operator signed before and no longer knows is one lie of the t that the quorums
        allow for; from here on it is bound again, in the epoch that it follows. Nothing happens
        while it does not know yet who opened the epoch of the checkpoint.

        Args:
            checkpoint: it counts, and its entries are held here.

        Raises:
            CeremonyError: as `Replica.verify`.
        """
        self.replica.verify(checkpoint)
        with self._lock:
            opened = self._followed
            epoch = opened.epoch if opened is not None else 0
            if self._state is None and checkpoint.head.epoch <= epoch:
                self._save(
                    WitnessState(
                        epoch=epoch,
                        host=opened.request.request if opened is not None else None,
                        certified=Checkpoint(checkpoint.head, checkpoint.head_signatures),
                        start=Start(checkpoint.head),
                        left=epoch,
                        hosts=(opened.host,) if opened is not None else (),
                    )
                )
                self._confirmed = True

    def sign_head(self, head: Head) -> HeadSignature:
        """Sign a head of the log held here.

        Raises:
            CeremonyError: RF-LOG-020 if it is not the root over the bytes held here or does not
                extend the last head signed, -021 if it is shorter, -022 if bytes are missing,
                -023 if it is of another epoch.
        """
        with self._lock:
            state = self._require_epoch(head)
            if head.size > self.replica.held:
                raise _refused(
                    "RF-LOG-022",
                    "the host proposes a head over entries that it has not sent",
                    f"at most {self.replica.held} entries",
                    f"{head.size} entries",
                )
            self._require_extension(state, head)
            if objection := self.objection(head):
                raise _refused(
                    "RF-LOG-034",
                    "the head closes a deadline over entries that came in time",
                    "every entry that this operator received in time, before the close entry",
                    objection,
                )
            if head != state.signed:
                self.replica.flush()
                self._save(replace(state, signed=head))
            return sign_head(self.replica.plan, head, self.index, self._key)

    def sign_certificate(self, certified: Checkpoint) -> HeadSignature:
        """Sign the certificate of a certified head of the log held here.

        Raises:
            CeremonyError: RF-LOG-023 if it is of another epoch; otherwise as
                `Replica.verify_certified`.
        """
        with self._lock:
            head = certified.head
            state = self._require_epoch(head)
            self.replica.verify_certified(certified)
            for part in certified.head_signatures:
                self._note(head, part)
            kept = Checkpoint(head, certified.head_signatures)
            if _higher(kept, state.certified) is kept:
                self._save(replace(state, certified=kept, heard=tuple(self._heard.values())))
            return sign_certificate(self.replica.plan, head, self.index, self._key)

    def _note(self, head: Head, part: HeadSignature) -> None:
        known = self._heard.get(part.signer)
        is_newer = known is None or (known.head.epoch, known.head.size) < (head.epoch, head.size)
        if is_newer and part.signer != self.index:
            self._heard[part.signer] = Heard(head, part)

    def _save(self, state: WitnessState) -> None:
        self._vault.save(state)
        self._state = state

    def _known(self) -> WitnessState:
        if self._state is None:
            raise CeremonyError(
                "RF-LOG-027",
                "the operator's record of what it signed is gone or damaged",
                expected="the record in the vault, as it was written last",
                found="none that can be read",
                effect="this operator signs nothing: it might contradict itself",
                next_step="restore the vault, or rejoin as an operator that lost its state",
                operator=self.replica.plan.name_of(self.index),
                runbook="lost-state",
            )
        if not self._confirmed:
            raise CeremonyError(
                "RF-LOG-037",
                "the operator does not know yet whether its record of what it signed is the newest",
                expected="what the others saw under its signature",
                found="too few answers so far",
                effect="this operator signs nothing: it might contradict itself",
                next_step="see that the other operators run",
                operator=self.replica.plan.name_of(self.index),
                runbook="sealed-store",
            )
        return self._state

    def _require_epoch(self, head: Head) -> WitnessState:
        state = self._known()
        if head.epoch != state.epoch or state.start is None:
            raise _refused(
                "RF-LOG-023",
                "the head is of another epoch",
                f"epoch {state.epoch}" + ("" if state.start else ", which is not open yet"),
                f"epoch {head.epoch}",
            )
        return state

    def _require_extension(self, state: WitnessState, head: Head) -> None:
        start = state.start.head if state.start is not None else None
        for signed, what in ((state.signed, "that this operator signed"), (start, "of the move")):
            if signed is not None and head.size < signed.size:
                raise _refused(
                    "RF-LOG-021",
                    f"the host proposes a log that is shorter than the head {what}",
                    f"at least {signed.size} entries",
                    f"{head.size} entries",
                )
            if signed is not None and self.replica.root(signed.size) != signed.root:
                raise _refused(
                    "RF-LOG-020",
                    f"the log is a fork: it does not extend the head {what}",
                    f"root {signed.root.hex()} over {signed.size} entries",
                    f"root {self.replica.root(signed.size).hex()}",
                )
        held = self.replica.root(head.size)
        if held != head.root:
            raise _refused(
                "RF-LOG-020",
                "the head is not that of the entries which the host sent",
                f"root {held.hex()} over {head.size} entries",
                f"root {head.root.hex()}",
            )


def _higher(one: Checkpoint | None, other: Checkpoint | None) -> Checkpoint | None:
    """Return the higher certificate, by epoch and then by size; `other` if they are equal."""
    if one is None or other is None:
        return one or other
    is_higher = (one.head.epoch, one.head.size) > (other.head.epoch, other.head.size)
    return one if is_higher else other


def _wrong_epoch(here: int, asked: int) -> CeremonyError:
    return CeremonyError(
        "RF-LOG-033",
        "the operator has left that epoch, or is in it already",
        expected=f"an epoch from {here + 1} to {here + FURTHEST_EPOCH}",
        found=f"epoch {asked}",
        effect="this operator stays where it is",
        next_step="move to a later epoch: `ringforge coordinator run --take-over` finds it",
        runbook="coordinator-lost",
    )


def _refused(code: str, subject: str, expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        code,
        subject,
        expected=expected,
        found=found,
        effect="this operator does not sign; the ceremony goes on if n-t others do",
        next_step="ask the coordinator; operators can move the log to another host",
        runbook="forked-log",
    )
