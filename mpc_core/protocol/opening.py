"""The opening of one batch under one context: roots, decoder rounds, vouchers, answers.

PROTOCOL.md, "Opening a batch":

- a root is the first of its author; when everybody awaited has posted one, or the deadline of the
  roots is closed, round 0 opens and its decoder is fixed;
- a decoder's entry counts only in its round, by its decoder, over roots already in the log;
- "have v" counts for every round with that root; answers count for every round with an entry;
- closing a round, for want of an entry or of vouchers, only opens the next one;
- where answers do not fit v, n-t operators say so in a close of its own, so that whoever does not
  hold v finds it in the log; it opens the next round as well, and sidelines the decoder;
- answers of a round that lie on no polynomial give everybody time to recompute its own; after the
  close of that time the batch may be burnt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mpc_core.protocol.batch import (
    TAKEN,
    BatchRule,
    BatchState,
    BatchStatus,
    Verdict,
    digest_of_value,
    fitting_answers,
    judge,
)
from mpc_core.protocol.entries import Answer
from mpc_core.protocol.rounds import Round
from mpc_core.protocol.rules import require
from mpc_core.protocol.services import Services
from mpc_core.protocol.slots import Refutation

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mpc_core.protocol.batch import Arithmetic
    from mpc_core.protocol.context import BatchName
    from mpc_core.protocol.entries import Decoded, Have, LogEntry
    from mpc_core.protocol.members import Members
    from mpc_core.protocol.quorum import Quorum

__all__ = ["Opening", "Round"]

HASH_BYTES = 32
_FITS = (Verdict.PROVISIONAL, Verdict.COMPLETE)


@dataclass(slots=True)
class Opening:
    """What the log holds for one context. Every method checks before it changes anything."""

    rule: BatchRule
    name: BatchName
    context: bytes
    quorum: Quorum
    arithmetic: Arithmetic
    refuted: Collection[Refutation] = ()
    """What n-t operators say of values of this context, anywhere in the log that is here."""
    roots: dict[int, bytes] = field(default_factory=dict)
    rounds: list[Round] = field(default_factory=list)
    haves: dict[bytes, set[int]] = field(default_factory=dict)
    sidelined: set[int] = field(default_factory=set)
    unproven: set[tuple[int, int]] = field(default_factory=set)
    """(operator, round): its vector went into a v that did not fit, and it did not answer."""
    services: Services = field(init=False)
    recomputed: set[int] = field(default_factory=set)
    """Rounds whose time to recompute is over."""
    dead: bool = False
    """Killed by a blame or a correction; what was posted stays evidence."""
    returned: bool = False
    """Not current for a while, and current again: an order that came meanwhile did nothing."""
    was_settled: bool = False
    """Nobody was waited for at some time: from then on nobody orders anything."""
    blind: set[int] = field(default_factory=set)
    """Rounds that were judged without their v. What the log made of them then rests on that v, so
    it is awaited also when later answers, or the death of the batch, decide without it."""
    doubted: bool = False
    """Whether some value ever did not fit."""
    held: int | None = None
    """The first round that was provisional; it holds until its answers no longer fit."""

    def __post_init__(self) -> None:
        """Begin with nobody's word about who serves."""
        self.services = Services(self.quorum.threshold)

    # -- entries of operators ---------------------------------------------------------------------

    def post_root(self, author: int, root: bytes) -> None:
        """Take the root of an operator's share vector."""
        require(author not in self.roots, "the author has posted a root")
        require(len(root) == HASH_BYTES, "a root has 32 bytes")
        self.roots[author] = root

    def post_decoded(self, author: int, entry: Decoded, position: int, log_root: bytes) -> None:
        """Take the decoder's entry of a round."""
        turn = self._round(entry.round)
        require(not turn.closed, "the round is closed")
        require(author == turn.decoder, "the author is not the decoder of this round")
        require(turn.decoded is None, "the round has a decoder's entry")
        operators = [operator for operator, _ in entry.points]
        require(operators == sorted(set(operators)), "operators are not distinct and ascending")
        require(
            len(operators) == self.rule.points(self.quorum),
            "the number of points is not the rule's",
        )
        require(
            all(self.roots.get(operator) == root for operator, root in entry.points),
            "a listed root is not in the log",
        )
        require(
            self.unproven_now().isdisjoint(operators), "a listed operator still owes its answer"
        )
        serving = self.services.unserving.isdisjoint(operators)
        require(serving, "a listed operator does not serve its vector")
        require(len(entry.root) == HASH_BYTES, "a root has 32 bytes")
        turn.decoded, turn.position, turn.log_root = entry, position, log_root

    def post_have(self, author: int, entry: Have) -> None:
        """Take an operator's word that it holds v and found root and parity right."""
        known = {turn.decoded.root for turn in self.rounds if turn.decoded is not None}
        require(entry.root in known, "no decoder's entry names this root")
        holders = self.haves.setdefault(entry.root, set())
        require(author not in holders, "the author has vouched for this root")
        holders.add(author)

    def post_answer(self, author: int, entry: Answer) -> None:
        """Take an operator's Y of a round, closed or not."""
        turn = self._round(entry.round)
        require(turn.decoded is not None, "the round has no decoder's entry")
        require(entry.log_root == turn.log_root, "the challenge is from another prefix")
        require(author not in turn.answers, "the author has answered this round")
        require(len(entry.values) == self.rule.answer_bytes, "the answer is not canonical")
        turn.answers[author] = entry.values

    def post_service(self, author: int, operator: int, serial: int, *, serves: bool) -> None:
        """Take an operator's word about being served a vector."""
        require(author != operator, "nobody speaks of itself")
        require(operator in self.roots, "that operator has posted no root")
        self.services.post(author, operator, serial, serves=serves)

    def check_contradiction(self, number: int, named: Sequence[LogEntry], members: Members) -> None:
        """Void a blame entry unless these answers of a round lie on no polynomial."""
        require(self.rule.degree == "double", "lies at degree t are erasures")
        turn = self._round(number)
        counted: dict[int, bytes] = {}
        for log in named:
            entry = log.entry
            require(
                isinstance(entry, Answer)
                and len(log.signers) == 1
                and entry.context == self.context
                and entry.round == number
                and turn.answers.get(log.signers[0]) == entry.values,
                "it names something that is no answer of this round",
            )
            author = log.signers[0]
            require(author not in members.excluded, "it names an answer of who is excluded")
            counted[author] = turn.answers[author]
        degree = self.rule.polynomial_degree(self.quorum)
        require(
            not self.arithmetic.on_one_polynomial(counted, degree, self.rule),
            "the answers lie on one polynomial",
        )

    # -- deadlines --------------------------------------------------------------------------------

    def close_roots(self, members: Members) -> frozenset[int]:
        """Close the deadline of the roots; return who owed one."""
        require(not self.rounds, "round 0 is open")
        require(
            len(self.roots.keys() - members.excluded) >= self.rule.points(self.quorum),
            "too few roots",
        )
        return members.awaited - self.roots.keys()

    def close_round(self, number: int, members: Members, position: int) -> frozenset[int]:
        """Close a round and open the next; return its decoder if it owed the entry."""
        turn = self._round(number)
        require(not turn.closed, "the round is closed")
        require(self.held is None, "the batch is provisional")
        require(not self.vouched(turn), "n-t operators hold v")
        missed = turn.decoded is None
        owing = frozenset({turn.decoder}) & members.awaited if missed else frozenset()
        self._open_next(turn, members, owing, position)
        return owing

    def close_refuted(self, said: Refutation, members: Members, position: int) -> frozenset[int]:
        """Sideline the decoder of a round whose v does not fit, and open the next; nobody owes.

        What n-t operators say remains true when the answers have changed before it stands in the
        log: then it counts, and moves nothing.
        """
        turn = self._round(said.round)
        require(turn.decoded is not None, "the round has no decoder's entry")
        assert turn.decoded is not None
        if turn.odd == said.digest:
            self.sidelined.add(turn.decoder)
            self.unproven.update((operator, turn.number) for operator, _ in turn.decoded.points)
            if self.held is None and not turn.closed:
                self._open_next(turn, members, frozenset(), position)
        return frozenset()

    def close_answers(self, number: int, members: Members) -> frozenset[int]:
        """Close the deadline of the answers; return who owed one."""
        require(self.held == number, "the batch is not provisional by this round")
        turn = self._round(number)
        owing = members.awaited - turn.answers.keys()
        turn.missed |= owing
        return owing

    def close_recomputation(self, number: int) -> frozenset[int]:
        """Close the time in which everybody recomputes its answer; nobody is absent for that."""
        turn = self._round(number)
        require(turn.verdict is Verdict.MISFIT, "the answers do not contradict one another")
        require(number not in self.recomputed, "the time to recompute is over")
        self.recomputed.add(number)
        return frozenset()

    # -- consequences -----------------------------------------------------------------------------

    def advance(self, members: Members) -> None:
        """Open round 0 once nobody is waited for, and judge every round anew."""
        enough = len(self.roots.keys() - members.excluded) >= self.rule.points(self.quorum)
        if not self.rounds and enough and members.awaited <= self.roots.keys():
            self._open_round(members, frozenset())
        for turn in self.rounds:
            self._judge(turn, members)
            if turn.verdict.awaits_v or (turn.odd and self.expected(turn) is None):
                self.blind.add(turn.number)
            elif turn.number in self.blind and self.expected(turn) is not None:
                self.blind.discard(turn.number)
        if self.held is not None and self.rounds[self.held].verdict not in _FITS:
            self.held = None
        if self.held is None:
            self.held = next((turn.number for turn in self.rounds if turn.verdict in _FITS), None)
        if self.held is not None and not self.was_settled:
            turn = self.rounds[self.held]
            self.was_settled = members.awaited <= turn.answers.keys() | turn.missed

    def _judge(self, turn: Round, members: Members) -> None:
        if turn.decoded is None:
            return
        vouched = self.vouched(turn)
        answers = {
            operator: value
            for operator, value in turn.answers.items()
            if operator not in members.excluded
        }
        judged = len(answers) >= self.rule.points(self.quorum)
        turn.verdict = judge(
            answers,
            self.expected(turn) if judged and vouched else None,
            vouched=vouched,
            refuted=[said.digest for said in self.refuted if said.round == turn.number],
            everyone=members.accountable,
            rule=self.rule,
            quorum=self.quorum,
            arithmetic=self.arithmetic,
        )
        turn.odd = self._odd(answers) if turn.verdict is Verdict.ODD_V else b""
        self.doubted = self.doubted or bool(turn.odd)

    def _odd(self, answers: dict[int, bytes]) -> bytes:
        fitting = fitting_answers(answers, self.rule, self.quorum, self.arithmetic)
        assert fitting is not None
        return digest_of_value(fitting, self.rule, self.quorum, self.arithmetic)

    def expected(self, turn: Round) -> bytes | None:
        """Return sum rho v of a round with a decoder's entry, None while v is not held."""
        if turn.decoded is None:
            return None
        return self.arithmetic.expected(
            self.rule, self.context, turn.number, turn.log_root, turn.decoded.root
        )

    def holds(self, number: int) -> bool:
        """Tell whether this party holds the v of a round, and goes by that alone."""
        turn = self.rounds[number] if number < len(self.rounds) else None
        return turn is not None and self.expected(turn) not in (None, TAKEN)

    def vouched(self, turn: Round) -> bool:
        """Tell whether n-t operators hold the v of this round."""
        if turn.decoded is None:
            return False
        return len(self.haves.get(turn.decoded.root, ())) >= self.quorum.n_minus_t

    def _open_next(
        self, turn: Round, members: Members, owing: frozenset[int], position: int
    ) -> None:
        turn.closed_at = position
        self._open_round(members, owing)

    def _open_round(self, members: Members, owing: frozenset[int]) -> None:
        """Fix the next decoder: the next in rotation not excluded, sidelined or absent.

        If nobody is left, the list starts anew with everybody not excluded.
        """
        number = len(self.rounds)
        last = self.rounds[-1].decoder if self.rounds else self.rule.index % self.quorum.count
        count = self.quorum.count
        rotation = [(last + step) % count + 1 for step in range(count)]
        out = members.excluded | members.written_off | members.absent | owing | self.sidelined
        decoder = next(
            (operator for operator in rotation if operator not in out),
            next(operator for operator in rotation if operator not in members.excluded),
        )
        self.rounds.append(Round(number, decoder))

    def _round(self, number: int) -> Round:
        require(0 <= number < len(self.rounds), "the round is not open yet")
        return self.rounds[number]

    def unproven_now(self) -> set[int]:
        """Return the operators whose vectors a decoder may not use: they owe an answer."""
        return {
            operator
            for operator, number in self.unproven
            if operator not in self.rounds[number].answers
        }

    # -- what others see --------------------------------------------------------------------------

    @property
    def misfit(self) -> int | None:
        """The first round whose answers lie on no polynomial."""
        return next((turn.number for turn in self.rounds if turn.verdict is Verdict.MISFIT), None)

    @property
    def unsaid(self) -> Refutation | None:
        """What has to be said of a value that does not fit.

        Once, so that it stands in the log for who does not hold v; and again when the round was
        not closed by that, since another one held then.
        """
        for turn in self.rounds:
            said = Refutation(self.context, turn.number, turn.odd)
            stuck = self.held is None and not turn.closed
            if turn.odd and (stuck or said not in self.refuted):
                return said
        return None

    @property
    def state(self) -> BatchState:
        """Where the batch stands."""
        if self.dead:
            return BatchState.DEAD
        if self.misfit is not None:
            return BatchState.MISFIT
        if self.held is None:
            return BatchState.OPEN
        complete = self.rounds[self.held].verdict is Verdict.COMPLETE and self.unsaid is None
        return BatchState.COMPLETE if complete else BatchState.PROVISIONAL

    @property
    def v_root(self) -> bytes | None:
        """Root of the opened value, None unless the batch is at least provisional."""
        decoded = None if self.held is None else self.rounds[self.held].decoded
        lives = self.state not in (BatchState.MISFIT, BatchState.DEAD)
        return decoded.root if decoded is not None and lives else None

    @property
    def held_root(self) -> bytes:
        """Root of the value that held last, also when the batch is dead by now."""
        decoded = None if self.held is None else self.rounds[self.held].decoded
        require(decoded is not None, "the batch was never opened")
        assert decoded is not None
        return decoded.root

    @property
    def current(self) -> Round | None:
        """The round that holds, else the latest."""
        if self.held is not None:
            return self.rounds[self.held]
        return self.rounds[-1] if self.rounds else None

    @property
    def awaited(self) -> tuple[Round, ...]:
        """The rounds whose v this party has to hold for following the log."""
        return tuple(self.rounds[number] for number in sorted(self.blind))

    @property
    def learned(self) -> bool:
        """Whether this party has come to hold a v that was awaited."""
        return any(self.expected(turn) is not None for turn in self.awaited)

    def status(self, members: Members) -> BatchStatus:
        """Return the batch as a workflow sees it."""
        turn = self.current
        awaited = members.awaited
        missing_roots = tuple(sorted(awaited - self.roots.keys()))
        if turn is None:
            return BatchStatus(
                self.name,
                self.state,
                self.context.hex(),
                haves_needed=self.quorum.n_minus_t,
                missing_roots=missing_roots,
                absent=tuple(sorted(members.absent - self.roots.keys())),
            )
        root = b"" if turn.decoded is None else turn.decoded.root
        holders = self.haves.get(root, set())
        return BatchStatus(
            name=self.name,
            state=self.state,
            context=self.context.hex(),
            round=turn.number,
            decoder=turn.decoder,
            decoded=turn.decoded is not None,
            challenge_from=turn.position,
            v_root=root.hex(),
            haves=len(holders),
            haves_needed=self.quorum.n_minus_t,
            failed=turn.verdict is Verdict.ODD_V,
            v_unknown=turn.verdict.awaits_v,
            missing_roots=missing_roots,
            missing_haves=tuple(sorted(awaited - holders)) if root else (),
            missing_answers=tuple(sorted(awaited - turn.missed - turn.answers.keys()))
            if root
            else (),
            absent=tuple(sorted(members.absent - turn.answers.keys())),
            erasures=self._erasures(turn, members),
        )

    def _erasures(self, turn: Round, members: Members) -> tuple[int, ...]:
        if self.rule.degree == "double":
            return ()
        answers = {i: y for i, y in turn.answers.items() if i not in members.excluded}
        fitting = fitting_answers(answers, self.rule, self.quorum, self.arithmetic)
        return () if fitting is None else tuple(sorted(answers.keys() - fitting.keys()))
