"""Which statement is due, as a function of the log: drafted by one, checked by all in the same way.

A statement needs n-t signatures. The coordinator draws one up from its copy of the log; an operator
signs it only if it would have drawn up the very same one from its own copy, and if the deadline
that the statement closes has run out on its own clock (PROTOCOL.md, "Model").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mpc_core.protocol.batch import BatchState
from mpc_core.protocol.context import OFFLINE
from mpc_core.protocol.entries import (
    Announcement,
    Answer,
    Close,
    DecryptionRequest,
    Entry,
    KemKey,
    KeySet,
    Rejoin,
    Root,
    Seal,
    SetupSeal,
    Summons,
    WriteOff,
)
from mpc_core.protocol.key_setup import SetupPhase
from mpc_core.protocol.setup import references_digest

if TYPE_CHECKING:
    from mpc_core.protocol.members import Members
    from mpc_core.protocol.opening import Opening, Round
    from mpc_core.protocol.plan import Deadlines
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Done", "Due", "NotYet", "current_summons", "due_statement", "overdue_slot"]


@dataclass(frozen=True, slots=True)
class Due:
    """A statement that the log calls for.

    Attributes:
        entry: the statement.
        since: log position from whose co-signed checkpoint the deadline runs, -1 for none.
        repetition: how often the step was repeated; deadlines double each time.
        is_long: whether it is the plan's waiting time that has to pass, not the time of a step.
    """

    entry: Entry
    since: int = -1
    repetition: int = 0
    is_long: bool = False

    def seconds(self, deadlines: Deadlines) -> float:
        """Return how long the deadline is."""
        unit = deadlines.waiting_seconds if self.is_long else deadlines.step_seconds
        return unit * (1 << min(self.repetition, 16))


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing to wait for: the log has this statement, or calls for something else first.

    `subject` is what later steps need of the statement, or what else there is.
    """

    subject: str = ""


@dataclass(frozen=True, slots=True)
class NotYet:
    """The log does not call for the statement yet."""

    reason: str


Verdicts = Due | Done | NotYet


def due_statement(state: CeremonyState, kind: str, subject: str) -> Verdicts:
    """Tell whether a statement is due, done, or neither.

    Args:
        state: the ceremony as one copy of the log shows it.
        kind: the kind of the statement.
        subject: what it is about: a slot, an operator's index, a digest in hex, or "" where the
            log alone decides.

    During a pause nothing is due but a rejoin; deadlines start anew where the ceremony went on.
    """
    rules = {
        Close.kind: _close,
        SetupSeal.kind: _setup_seal,
        Summons.kind: _summons,
        WriteOff.kind: _write_off,
        Seal.kind: _seal,
        KeySet.kind: _key_set,
        Rejoin.kind: _rejoin,
        Announcement.kind: _announcement,
        DecryptionRequest.kind: _decryption_request,
    }
    decisions = state.decisions
    if decisions.abort is not None:
        return NotYet("the ceremony was aborted")
    if decisions.is_paused and kind != Rejoin.kind:
        return NotYet("the ceremony is paused")
    verdict = rules[kind](state, subject)
    if isinstance(verdict, Due) and verdict.since >= 0:
        return replace(verdict, since=max(verdict.since, decisions.resumed_at))
    return verdict


# -- deadlines ------------------------------------------------------------------------------------


def overdue_slot(opening: Opening, members: Members) -> str:
    """Return the slot that a batch waits in, which a deadline may close; "" if it waits for none.

    Roots while some are missing but enough are there; a round while its decoder's entry or vouchers
    are missing; a refuted one while that is not said; answers while the batch is provisional and
    somebody owes one; the time to recompute while answers contradict one another.
    """
    context = opening.context.hex()
    if opening.misfit is not None:
        window = f"recomputation/{context}/{opening.misfit}"
        return "" if opening.misfit in opening.recomputed else window
    if not opening.rounds:
        enough = len(opening.roots.keys() - members.excluded)
        return f"roots/{context}" if enough >= opening.rule.points(opening.quorum) else ""
    if (unsaid := opening.unsaid) is not None:
        return unsaid.slot
    if opening.held is not None:
        owing = members.awaited - opening.rounds[opening.held].answers.keys()
        return f"answers/{context}/{opening.held}" if owing else ""
    turn = opening.rounds[-1]
    return "" if opening.vouched(turn) else f"round/{context}/{turn.number}"


def _close(state: CeremonyState, slot: str) -> Verdicts:
    step, *rest = slot.split("/")
    if step in ("kem-keys", "contributions", "complaints"):
        return _close_in_setup(state, step, rest)
    opening = next((found for found in state.openings if found.context.hex() == rest[0]), None)
    if opening is None or overdue_slot(opening, state.members) != slot:
        return Done()
    close = _next_close(state, slot)
    if step == "roots":
        return Due(close, since=_last_root(state, opening))
    if step == "refuted":
        return Due(close)
    turn = opening.rounds[int(rest[1])]
    if step == "recomputation":
        return Due(close, since=_last_answer(state, opening, turn))
    since = (
        _answers_awaited(state, turn) if step == "answers" else _round_opened(state, opening, turn)
    )
    return Due(close, since=since, repetition=turn.number + close.serial)


def _next_close(state: CeremonyState, slot: str) -> Close:
    return Close(slot, state.next_try(Close.kind, slot))


def _close_in_setup(state: CeremonyState, step: str, rest: list[str]) -> Verdicts:
    if step == "kem-keys":
        return _close_kem_keys(state)
    return _close_contributions(state, int(rest[0])) if rest else _close_complaints(state)


def _close_kem_keys(state: CeremonyState) -> Verdicts:
    """Processes take their time to start: who has no key is waited for as long as for a call."""
    setup = state.setup
    if setup.phase is not SetupPhase.KEM_KEYS:
        return Done()
    posted = sorted(_first_by_author(state, KemKey).values())
    if len(posted) < state.quorum.n_minus_t:
        return NotYet("fewer than n-t KEM keys are here")
    return Due(_next_close(state, "kem-keys"), since=posted[-1], is_long=True)


def _close_contributions(state: CeremonyState, number: int) -> Verdicts:
    setup = state.setup
    if setup.closed > number:
        return Done()
    if setup.phase is not SetupPhase.CONTRIBUTIONS:
        return NotYet("KEM keys are missing")
    waiting = any(setup.owes_contribution(operator) for operator in state.members.awaited)
    begun = _contributions_begun(state, number)
    return Due(_next_close(state, f"contributions/{number}"), since=begun if waiting else -1)


def _close_complaints(state: CeremonyState) -> Verdicts:
    setup = state.setup
    if setup.complaint_close is not None:
        return Done()
    if setup.phase is SetupPhase.CONTRIBUTIONS and setup.closed:
        return Done()  # a complaint had strings replaced: it is that round that has to be closed
    if setup.phase is not SetupPhase.COMPLAINTS:
        return NotYet("contributions are missing")
    if len(setup.examined) < state.quorum.n_minus_t:
        return NotYet("fewer than n-t operators have examined the contributions")
    waiting = not state.members.awaited <= setup.examined
    begun = max(state.closes(f"contributions/{setup.closed - 1}"), default=0)
    return Due(_next_close(state, "complaints"), since=begun if waiting else -1)


def _contributions_begun(state: CeremonyState, number: int) -> int:
    """Return where a round of contributions began: with the KEM keys, or the close before.

    Only the first entry of an author counts: nobody can push a deadline back by posting again.
    """
    if number:
        return max(state.closes(f"contributions/{number - 1}"), default=0)
    without = state.closes("kem-keys")
    if without:
        return without[0]
    return max(_first_by_author(state, KemKey).values(), default=0)


def _first_by_author(
    state: CeremonyState, kind: type[KemKey | Root], context: bytes | None = None
) -> dict[int, int]:
    """Return the position of every author's first entry of a kind, in a context."""
    first: dict[int, int] = {}
    for log in state.log:
        if isinstance(log.entry, kind) and (
            context is None or getattr(log.entry, "context", None) == context
        ):
            first.setdefault(log.author, log.position)
    return first


def _last_root(state: CeremonyState, opening: Opening) -> int:
    """Return the position of the last root of a context: who is slower gets a full deadline."""
    first = _first_by_author(state, Root, opening.context)
    return max(first[operator] for operator in opening.roots)


def _answers_awaited(state: CeremonyState, turn: Round) -> int:
    """Return where the wait for answers began: at the decoder's entry, or at the last return."""
    owing = state.members.awaited - turn.answers.keys()
    returned = (state.members.returned_at.get(operator, 0) for operator in owing)
    return max(turn.position, *returned, 0)


def _last_answer(state: CeremonyState, opening: Opening, turn: Round) -> int:
    """Return the position of the last answer of a round: each gets the whole time to recompute.

    There are at most n of them, so nobody can push this back for ever.
    """
    return max(
        log.position
        for log in state.log
        if isinstance(log.entry, Answer)
        and log.entry.context == opening.context
        and log.entry.round == turn.number
        and turn.answers.get(log.author) == log.entry.values
    )


def _round_opened(state: CeremonyState, opening: Opening, turn: Round) -> int:
    """Return where the wait of a round began: at its decoder's entry, else when it opened."""
    if turn.decoded is not None:
        return turn.position
    before = opening.rounds[turn.number - 1].closed_at if turn.number else None
    if before is not None:
        return before
    roots = state.closes(f"roots/{opening.context.hex()}")
    return max(roots, default=_last_root(state, opening))


# -- the setup ------------------------------------------------------------------------------------


def _setup_seal(state: CeremonyState, _: str) -> Verdicts:
    setup = state.setup
    if setup.phase is SetupPhase.SEALED:
        return Done()
    if not state.members.accountable <= setup.acknowledgements.keys():
        return NotYet("acknowledgements are missing")
    table = setup.references
    if table is None:
        return NotYet("some stage key has no reference value")
    return Due(SetupSeal(references_digest(table)))


# -- writing off ----------------------------------------------------------------------------------


def _summons(state: CeremonyState, subject: str) -> Verdicts:
    operator = int(subject)
    owed = state.summonable(operator)
    members = state.members
    if operator not in members.accountable or not owed:
        return Done()
    if current_summons(state, operator) is not None:
        return Done()
    since = -1
    if operator in members.awaited:
        if not _is_overdue_with_its_keys(state, operator):
            return Done("returned")
        since = state.setup.complaint_close or 0
    serial = state.next_try(Summons.kind, operator)
    return Due(Summons(operator, serial, tuple(sorted(owed))), since=since)


def _is_overdue_with_its_keys(state: CeremonyState, operator: int) -> bool:
    """Tell whether an operator owes an acknowledgement: no close entry makes it absent for that."""
    setup = state.setup
    return setup.phase is SetupPhase.ACKNOWLEDGEMENTS and operator not in setup.acknowledgements


def current_summons(state: CeremonyState, operator: int) -> int | None:
    """Return the position of a summons of which nothing has come yet."""
    owed = state.summonable(operator)
    return next(
        (
            position
            for position, summons in state.members.summonses.items()
            if summons.operator == operator and owed.issuperset(summons.missing)
        ),
        None,
    )


def _write_off(state: CeremonyState, subject: str) -> Verdicts:
    operator = int(subject)
    members = state.members
    if operator not in members.accountable or not state.summonable(operator):
        return Done()
    if operator in members.awaited and not _is_overdue_with_its_keys(state, operator):
        return Done("returned")
    summons = current_summons(state, operator)
    if summons is None:
        return Done("answered")
    if members.losses >= state.quorum.threshold:
        return NotYet("t operators are written off already; the ceremony waits for this one")
    return Due(WriteOff(operator, summons, state.next_try(WriteOff.kind, operator)), since=summons)


def _rejoin(state: CeremonyState, subject: str) -> Verdicts:
    """`subject` is "<operator>/<digest of its new key in hex>"; its people answer for the rest."""
    index, digest = subject.split("/")
    operator, key, members = int(index), bytes.fromhex(digest), state.members
    if operator in members.excluded:
        return NotYet("the operator is excluded")
    last = members.rejoins.get(operator)
    if last is not None and last.key == key:
        return Done()
    return Due(Rejoin(operator, members.next_rejoin(operator), key))


# -- the seal and what follows --------------------------------------------------------------------


def _seal(state: CeremonyState, _: str) -> Verdicts:
    """Who waits for the seal looks again when a late answer undoes what was complete."""
    if state.sealed is not None:
        return Done()
    if state.justice.unsettled is not None:
        return Done("a blame is unsettled")
    complete = all(
        state.status(key).state is BatchState.COMPLETE for key in state.batches if key[0] in OFFLINE
    )
    if not complete:
        return Done("a batch is not complete")
    return Due(Seal(state.size, state.log[-1].prefix_root))


def _key_set(state: CeremonyState, subject: str) -> Verdicts:
    if state.release.key_set is not None:
        return Done(state.release.digest.hex())
    if state.sealed is None:
        return NotYet("nothing is sealed")
    return Due(KeySet(bytes.fromhex(subject))) if subject else NotYet("no digest is known yet")


def _announcement(state: CeremonyState, _: str) -> Verdicts:
    if state.release.announcement is not None:
        return Done(state.release.digest.hex())
    if state.release.key_set is None:
        return NotYet("no key set is named")
    return Due(Announcement(state.release.digest))


def _decryption_request(state: CeremonyState, subject: str) -> Verdicts:
    """`subject` is "<root hex>/<size>/<openings>" of a ciphertext list."""
    root, size, openings = subject.split("/")
    release = state.release
    request = release.request_of(bytes.fromhex(root))
    if request is not None:
        return Done(str(request.serial))
    if release.announcement is None:
        return NotYet("the key set is not announced")
    if not state.plan.sandbox or int(openings) > release.openings_left:
        return NotYet("the plan grants no such test openings")
    return Due(
        DecryptionRequest(
            len(release.requests),
            bytes.fromhex(root),
            int(size),
            int(openings),
            release.first_flood + release.openings_used,
        )
    )
