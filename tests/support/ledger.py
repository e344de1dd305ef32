"""A log for tests of the rules: toy arithmetic over a prime field, and a ceremony step by step."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from mpc_core.protocol.batch import BatchRule
from mpc_core.protocol.entries import (
    Acknowledgement,
    Answer,
    Close,
    Confirmation,
    Contribution,
    Decoded,
    Evidence,
    Examined,
    Have,
    KemKey,
    LogEntry,
    Root,
    Seal,
    SetupSeal,
)
from mpc_core.protocol.plan import (
    Deadlines,
    Layout,
    Limits,
    OperatorIdentity,
    Plan,
    TestRules,
)
from mpc_core.protocol.quorum import Quorum
from mpc_core.protocol.setup import references_digest, sets_of
from mpc_core.protocol.state import CeremonyState

PRIME = 2**61 - 1


def digest(*parts):
    return hashlib.sha256(repr(parts).encode()).digest()


def make_plan(n=4, t=1, *, openings=6, sandbox=True):
    return Plan(
        hash=digest("plan", n, t),
        ceremony_id="00" * 16,
        parameters="test",
        sandbox=sandbox,
        insecure=(),
        threshold=t,
        operators=tuple(
            OperatorIdentity(i, f"op-{i:02d}", digest("identity", i)) for i in range(1, n + 1)
        ),
        coordinator_key=digest("coordinator"),
        deadlines=Deadlines(1.0, 2.0),
        layout=Layout(1, 8, 8, 8, 1024, 4),
        limits=Limits(262_144, 10_000, 2),
        tests=TestRules(40, (1,), openings),
    )


def double(stage, index, *dependencies):
    return BatchRule(stage, index, "double", 64, 3, dependencies)


def single(stage, index, *dependencies):
    return BatchRule(stage, index, "single", 64, 3, dependencies)


RULES = (
    double("N", 0),
    double("N", 1),
    double("S", 0),
    double("M", 0, ("S", 0)),
    single("O", 0),
    single("O", 1, ("O", 0)),
)


def rules_by_key(rules=RULES):
    return {rule.key: rule for rule in rules}


def encode(value, rule):
    return (value % PRIME).to_bytes(rule.answer_bytes, "little")


def lagrange(points, at):
    total = 0
    for i, value in points.items():
        term = value
        for j in points:
            if j != i:
                term = term * (at - j) * pow(i - j, -1, PRIME) % PRIME
        total += term
    return total % PRIME


@dataclass
class ToyArithmetic:
    """Shamir sharing over a prime field, evaluated at x = i; knows the v it was taught."""

    degrees: dict = field(default_factory=dict)
    held: set = field(default_factory=set)
    omniscient: bool = True
    polynomials: int = 0

    def on_one_polynomial(self, answers, degree, rule):
        self.polynomials += 1
        points = {i: int.from_bytes(y, "little") for i, y in answers.items()}
        base = dict(sorted(points.items())[: degree + 1])
        return all(lagrange(base, i) == y for i, y in points.items())

    def value_at_zero(self, answers, degree, rule):
        points = {i: int.from_bytes(y, "little") for i, y in answers.items()}
        return encode(lagrange(dict(sorted(points.items())[: degree + 1]), 0), rule)

    def expected(self, rule, context_id, round_number, log_root, v_root):
        if not (self.omniscient or v_root in self.held):
            return None
        degree, rule = self.degrees[context_id]
        return encode(value((context_id, round_number, log_root), degree, v_root, 0), rule)


def value(challenge, degree, v_root, at):
    """Evaluate the polynomial that honest answers to this challenge lie on, if v is right."""
    total = int.from_bytes(digest(*challenge, v_root), "big")
    for power in range(1, degree + 1):
        total += int.from_bytes(digest(*challenge, power), "big") * at**power
    return total % PRIME


class Ledger:
    """Appends signed entries and folds them into one state."""

    def __init__(self, n=4, t=1, rules=RULES, *, plan=None, arithmetic=None):
        self.plan = plan or make_plan(n, t)
        self.quorum = Quorum.of(self.plan)
        self.rules = rules_by_key(rules)
        self.arithmetic = arithmetic or ToyArithmetic()
        self.state = CeremonyState(self.plan, self.rules, self.arithmetic)
        self.entries = []

    @property
    def root(self):
        return self.entries[-1].prefix_root if self.entries else digest("empty")

    def post(self, signers, entry):
        """Append an entry; return why it is void, or None."""
        signers = (signers,) if isinstance(signers, int) else tuple(signers)
        leaf = digest(signers, entry)
        log = LogEntry(len(self.entries), signers, entry, leaf, digest(self.root, leaf))
        self.entries.append(log)
        void = self.state.apply(log)
        return None if void is None else void.reason

    def state_by(self, entry, without=()):
        """Post a statement signed by everybody."""
        return self.post([i for i in self.quorum.everyone if i not in without], entry)

    # -- setup ------------------------------------------------------------------------------------

    def contribution(self, operator, round_number=0):
        sets = self.state.setup.sets_asked(operator, round_number)
        peers = self.state.setup.peers_of(operator, sets)
        return Contribution(
            round_number,
            tuple(digest("c", operator, members) for members in sets),
            tuple((peer, b"sealed") for peer in peers),
        )

    def kem_keys(self):
        for i in self.quorum.everyone:
            assert self.post(i, KemKey(digest("kem", i))) is None

    def contribute(self, *, without=()):
        for i in self.quorum.everyone:
            if i not in without and self.state.setup.owes_contribution(i):
                number = self.state.setup.closed
                assert self.post(i, self.contribution(i, number)) is None

    def examine(self, *, without=()):
        for i in self.quorum.everyone:
            if i not in without and i not in self.state.setup.examined:
                assert self.post(i, Examined(self.state.setup.examinations)) is None

    def acknowledgement(self, operator, salt=""):
        return Acknowledgement(
            self.state.setup.complaint_close,
            tuple(
                digest("ref", salt, members, stage)
                for members in sets_of(operator, self.quorum)
                for stage in "NSMO"
            ),
        )

    def setup_seal(self):
        return SetupSeal(references_digest(self.state.setup.references))

    def set_up(self):
        self.kem_keys()
        self.contribute()
        assert self.state_by(Close("contributions/0")) is None
        self.examine()
        assert self.state_by(Close("complaints")) is None
        for i in self.quorum.everyone:
            assert self.post(i, self.acknowledgement(i)) is None
        assert self.state_by(self.setup_seal()) is None
        return self

    # -- batches ----------------------------------------------------------------------------------

    def status(self, key):
        return self.state.status(key)

    def context(self, key):
        rule, status = self.rules[key], self.status(key)
        context = bytes.fromhex(status.context)
        self.arithmetic.degrees[context] = (rule.polynomial_degree(self.quorum), rule)
        return status.name, context

    def share_root(self, key, operator):
        name, context = self.context(key)
        return Root(name, context, digest("vector", context, operator))

    def decoded(self, key, *, v="v", operators=None, round_number=None):
        name, context = self.context(key)
        opening = self.state.opening(key)
        count = self.rules[key].points(self.quorum)
        chosen = sorted(opening.roots)[:count] if operators is None else operators
        number = self.status(key).round if round_number is None else round_number
        points = tuple((i, opening.roots.get(i, b"")) for i in chosen)
        return Decoded(name, context, number, points, digest(v, context))

    def have(self, key, v="v"):
        name, context = self.context(key)
        return Have(name, context, digest(v, context))

    def answer(self, key, operator, *, v="v", lie=0, round_number=None):
        """Answer as if v were the opened value: honest operators answer for "v"."""
        name, context = self.context(key)
        number = self.status(key).round if round_number is None else round_number
        log_root = self.state.opening(key).rounds[number].log_root
        degree, rule = self.arithmetic.degrees[context]
        y = value((context, number, log_root), degree, digest(v, context), operator) + lie
        return Answer(name, context, number, log_root, encode(y, rule))

    def share(self, key, operators=None):
        for i in operators or self.quorum.everyone:
            assert self.post(i, self.share_root(key, i)) is None

    def decode(self, key, **how):
        assert self.post(self.status(key).decoder, self.decoded(key, **how)) is None

    def vouch(self, key, operators=None, v="v"):
        for i in operators or self.quorum.everyone:
            assert self.post(i, self.have(key, v)) is None

    def reply(self, key, operators=None, **how):
        for i in operators or self.quorum.everyone:
            assert self.post(i, self.answer(key, i, **how)) is None

    def open(self, key, operators=None):
        """Run a batch through share, decode, vouch and answer by these operators."""
        self.share(key, operators)
        self.decode(key)
        self.vouch(key, operators)
        self.reply(key, operators)

    def exclude(self, key, liar):
        """Exclude an operator for a vector of a batch that contradicts its answer."""
        name, context = self.context(key)
        root = self.state.opening(key).roots[liar]
        others = [each for each in self.quorum.everyone if each != liar]
        evidence = Evidence(liar, "vector", name, context, 0, root, 1)
        assert self.post(others[0], evidence) is None
        for each in others[: self.quorum.threshold + 1]:
            assert self.post(each, Confirmation(liar, "vector", name, context, 0)) is None
        assert liar in self.state.members.excluded

    def close(self, slot):
        return self.state_by(Close(slot, self.state.next_try(Close.kind, slot)))

    def close_refuted(self, key):
        """Say of a batch's value that it does not fit the answers, as n-t operators do."""
        return self.close(self.state.opening(key).unsaid.slot)

    def slot(self, step, key, number=None):
        context = self.status(key).context
        return f"{step}/{context}" + ("" if number is None else f"/{number}")

    def seal_entry(self):
        return Seal(len(self.entries), self.root)

    def seal(self):
        return self.state_by(self.seal_entry())

    def preprocess(self, operators=None):
        for key in self.rules:
            if key[0] != "O":
                self.open(key, operators)

    def snapshot(self):
        """Everything the state says, but for positions."""
        return (
            [self.state.status(key) for key in self.rules],
            [self.state.owed(i) for i in self.quorum.everyone],
            sorted(self.state.members.absent),
            sorted(self.state.members.written_off),
            self.state.health,
            self.state.sealed,
            [opening.name for opening in self.state.contradictions],
            sorted(self.state.members.excluded),
        )
