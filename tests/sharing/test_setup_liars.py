"""Up to t liars in the key setup: wrong or missing strings, false complaints, complaints about all.

The whole setup by its pure functions, with real sealing: what honest members of a set end up with,
and what liars see (PROTOCOL.md, "PRSS keys").
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc_core.protocol.quorum import Quorum, access_sets
from mpc_core.protocol.setup import (
    SetupFacts,
    key_sources,
    reference_table,
    sets_contributed_by,
    sets_to_replace,
)
from mpc_core.sharing.sealing import KEM_SEED_BYTES, kem_public_key
from mpc_core.sharing.setup import (
    Rejected,
    SealedContribution,
    contribute,
    is_committed,
    open_contribution,
    references,
    set_key,
    stage_keys,
)

PLAN = hashlib.sha256(b"plan").digest()
SIZES = [Quorum(4, 1), Quorum(7, 2), Quorum(10, 3), Quorum(13, 4)]
EXAMPLES = {4: 60, 7: 20, 10: 4, 13: 2}

HONEST, GARBAGE, OTHER_STRING = "honest", "garbage", "another string"


def draw(*parts, length=32):
    return hashlib.shake_256(repr(parts).encode()).digest(length)


@dataclass(frozen=True)
class Lies:
    """What the liars do: to whom they send what, in which rounds they are silent, complaints."""

    quorum: Quorum
    liars: frozenset[int]
    sent: dict[tuple[int, int], str]
    silent: frozenset[tuple[int, int]]
    complaints: frozenset[tuple[int, int]]
    keyless: frozenset[int] = frozenset()


def lies(quorum):
    """Some liars, mostly t, and what they do; who has no KEM key in time may be anybody."""
    return st.integers(0, 2**32 - 1).map(lambda seed: lies_of(quorum, random.Random(seed)))


def lies_of(quorum, rng):
    everyone, t = quorum.everyone, quorum.threshold
    liars = frozenset(rng.sample(everyone, rng.choice([t, t, t, rng.randint(0, t)])))
    pairs = [(i, j) for i in liars for j in everyone if i != j]
    chosen = rng.choice([[HONEST], [HONEST, GARBAGE, OTHER_STRING], [GARBAGE, OTHER_STRING]])
    about = {i: rng.choice([(), everyone, rng.sample(everyone, rng.randint(1, t))]) for i in liars}
    return Lies(
        quorum,
        liars,
        {pair: rng.choice(chosen) for pair in pairs},
        frozenset((i, 0) for i in liars if rng.random() < 0.3),
        frozenset((i, j) for i in liars for j in about[i] if i != j),
        frozenset(rng.sample(everyone, rng.randint(0, t))),
    )


@dataclass
class Setup:
    """One key setup of honest operators and liars."""

    lies: Lies
    asked: list[tuple] = field(default_factory=list)
    posted: dict[tuple[int, int], tuple] = field(default_factory=dict)
    opened: dict[tuple[int, int, int], dict] = field(default_factory=dict)
    complaints: set[tuple[int, int]] = field(default_factory=set)

    @property
    def quorum(self):
        return self.lies.quorum

    @property
    def honest(self):
        return [i for i in self.quorum.everyone if i not in self.lies.liars]

    @property
    def facts(self):
        return SetupFacts(
            posted=frozenset(self.posted),
            asked=tuple(self.asked),
            closed=len(self.asked),
            complaints=frozenset(self.complaints),
            rekeyed=self.lies.keyless,
        )

    def run(self):
        paused = access_sets(self.quorum)
        while paused:
            self.asked.append(paused)
            number = len(self.asked) - 1
            for i in self.quorum.everyone:
                self.contribute(i, number, paused)
            self.complaints |= self.lies.complaints
            paused = sets_to_replace(self.facts, self.quorum)
            assert number < self.quorum.count, "replacements come to an end"
        return self

    def contribute(self, i, number, paused):
        sets = sets_contributed_by(i, self.quorum, number, paused)
        if not sets or (i, number) in self.lies.silent:
            return
        strings = {members: draw(i, number, members) for members in sets}
        keys = {
            j: kem_public_key(seed_of(j))
            for j in self.quorum.everyone
            if j not in self.lies.keyless
        }
        sealed = contribute(PLAN, i, strings, keys)
        if i in self.lies.liars:
            sealed = self.altered(i, number, sealed, keys)
        self.posted[i, number] = (sets, sealed)
        for j in set(keys) - {i}:
            self.open(i, j, number, sets, sealed)

    def altered(self, i, number, sealed, keys):
        """Return the contribution of a liar: the same commitments, and something else for some."""
        sets = sets_contributed_by(i, self.quorum, number, self.asked[number])
        others = {members: draw("other", i, number, members) for members in sets}
        other = dict(contribute(PLAN, i, others, keys).ciphertexts)
        garbage = {j: draw("garbage", i, j, length=len(text)) for j, text in sealed.ciphertexts}
        kinds = {HONEST: dict(sealed.ciphertexts), GARBAGE: garbage, OTHER_STRING: other}
        return SealedContribution(
            sealed.commitments, tuple((j, kinds[self.lies.sent[i, j]][j]) for j in other)
        )

    def open(self, i, j, number, sets, sealed):
        if not any(j in members for members in sets):
            return
        got = open_contribution(PLAN, i, j, sets=sets, sealed=sealed, seed=seed_of(j))
        if not isinstance(got, Rejected):
            self.opened[i, number, j] = got
        elif j in self.honest:
            self.complaints.add((j, i))

    def string(self, members, source, at):
        """Return what an honest member holds, or gets from another honest one of the set."""
        place = (source.operator, source.round)
        sets, sealed = self.posted[place]
        committed = sealed.commitments[sets.index(members)]
        if source.operator in self.honest and source.operator in members:
            return draw(*place, members)
        for member in (at, *(set(members) & set(self.honest))):
            string = self.opened.get((*place, member), {}).get(members)
            if string is not None:
                assert is_committed(PLAN, members, source.operator, string, committed)
                return string
        return None

    def keys(self, members):
        """Return what every honest member takes for k_A."""
        found = {}
        for at in sorted(set(members) & set(self.honest)):
            strings = [
                None if source.zeroed else self.string(members, source, at)
                for source in key_sources(members, self.facts, self.quorum)
            ]
            found[at] = set_key(PLAN, members, strings)
        return found


def seed_of(i):
    return draw("kem", i, length=KEM_SEED_BYTES)


def sized(quorum):
    return settings(max_examples=EXAMPLES[quorum.count], deadline=None)


def strings_that_count(setup, members):
    sources = key_sources(members, setup.facts, setup.quorum)
    return [source for source in sources if not source.zeroed]


@pytest.mark.parametrize("quorum", SIZES, ids=str)
def test_honest_members_of_a_set_agree_on_its_key_whatever_t_liars_do(quorum):
    @sized(quorum)
    @given(lies(quorum))
    def check(what):
        setup = Setup(what).run()
        for members in access_sets(quorum):
            for source in strings_that_count(setup, members):
                assert setup.string(members, source, members[0]) is not None
            assert len(set(setup.keys(members).values())) == 1

    check()


@pytest.mark.parametrize("quorum", SIZES, ids=str)
def test_the_key_of_a_set_without_a_liar_stays_secret_whatever_t_liars_do(quorum):
    @sized(quorum)
    @given(lies(quorum))
    def check(what):
        setup = Setup(what).run()
        seen = {
            string
            for (_, _, receiver), strings in setup.opened.items()
            if receiver in what.liars
            for string in strings.values()
        }
        for members in access_sets(quorum):
            if what.liars.isdisjoint(members):
                sources = key_sources(members, setup.facts, quorum)
                assert sources
                assert not any(source.zeroed for source in sources)
                assert seen.isdisjoint(
                    draw(source.operator, source.round, members) for source in sources
                )

    check()


def test_liars_that_void_all_honest_members_of_a_set_hold_nothing_up():
    quorum = Quorum(7, 2)
    false = {(3, 2), (3, 5), (4, 7)}
    garbage = {(i, j): GARBAGE for i in (3, 4) for j in quorum.everyone}
    liars = frozenset({3, 4})
    setup = Setup(Lies(quorum, liars, garbage, frozenset({(3, 0)}), frozenset(false))).run()
    assert strings_that_count(setup, (2, 3, 4, 5, 7)) == []
    assert all(
        strings_that_count(setup, members)
        for members in access_sets(quorum)
        if not liars & set(members)
    )


@pytest.mark.parametrize("quorum", SIZES[:2], ids=str)
def test_the_references_are_those_of_the_honest_whatever_t_liars_acknowledge(quorum):
    @sized(quorum)
    @given(lies(quorum))
    def check(what):
        setup = Setup(what).run()
        children = {
            members: stage_keys(PLAN, members, next(iter(setup.keys(members).values())))
            for members in access_sets(quorum)
        }
        acknowledged = {
            i: references(PLAN, {a: each for a, each in children.items() if i in a})
            for i in quorum.everyone
        }
        lied = {i: tuple(draw("lie", r) for r in acknowledged[i]) for i in what.liars}
        table = reference_table(acknowledged | lied, quorum)
        assert table == reference_table(acknowledged, quorum)

    check()
