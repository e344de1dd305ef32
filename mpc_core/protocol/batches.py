"""All batches of the layout and their current contexts.

A batch's context names the roots of the opened values it depends on (PROTOCOL.md, "PRSS keys"). It
is known once all of them are at least provisional, and when one of them changes, it changes too:
work under the old context is dropped, and nothing is masked twice.

A batch that a blame or a correction kills is redone under another name: a batch of noise with the
next attempt; a batch of key bits or of products with all of both stages, in the next generation.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mpc_core.protocol.batch import BatchState
from mpc_core.protocol.context import BatchContext, BatchName
from mpc_core.protocol.opening import Opening
from mpc_core.protocol.rules import VoidEntryError, require

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from mpc_core.protocol.batch import Arithmetic, BatchKey, BatchRule
    from mpc_core.protocol.members import Members
    from mpc_core.protocol.quorum import Quorum
    from mpc_core.protocol.slots import Refutation

__all__ = ["Batches"]

REDRAWN = ("S", "M")
"""Key bits and products, which one generation counts."""


class Batches:
    """The openings of all batches along the log.

    Attributes:
        rules: what the layout, and decryption requests, fix about every batch.
        current: the opening under a batch's current context, once that is known.
        unknown: openings, live or not, that were judged without a v, by context.
    """

    def __init__(
        self,
        plan_hash: bytes,
        rules: Mapping[BatchKey, BatchRule],
        members: Members,
        quorum: Quorum,
        *,
        arithmetic: Arithmetic,
        refuted: Mapping[bytes, Collection[Refutation]],
    ) -> None:
        self._plan_hash = plan_hash
        self.rules = dict(rules)
        self._members = members
        self._quorum = quorum
        self._arithmetic = arithmetic
        self._refuted = refuted
        self._stages: tuple[str, ...] = ()
        self._begun: set[str] = set()
        self._generation = 0
        self._attempts: Counter[BatchKey] = Counter()
        self._openings: dict[bytes, Opening] = {}
        self._opened: dict[BatchKey, bytes] = {}
        self._dependents: dict[BatchKey, list[BatchKey]] = {key: [] for key in rules}
        for key, rule in rules.items():
            for dependency in rule.dependencies:
                self._dependents[dependency].append(key)
        self.current: dict[BatchKey, Opening] = {}
        self.unknown: dict[bytes, Opening] = {}

    def begin(self, stages: tuple[str, ...]) -> None:
        """Let the batches of these stages take entries, and those of earlier ones no more."""
        self._stages = stages
        self._begun.update(stages)
        for key in self.rules:
            if key[0] in stages:
                self._refresh(key)

    def add(self, rule: BatchRule) -> None:
        """Add the batch of a decryption request to the stage that is open."""
        self.rules[rule.key] = rule
        self._dependents[rule.key] = []
        for dependency in rule.dependencies:
            self._dependents[dependency].append(rule.key)
        self._refresh(rule.key)

    def kill(self, opening: Opening) -> None:
        """Let nobody use a batch any more, and begin what takes its place.

        Noise is redone batch by batch. Key bits are used by many products, so all of both stages
        are drawn anew: nothing about the final key has been published (PROTOCOL.md, "Blame").
        """
        key = opening.rule.key
        opening.dead = True
        if opening.rule.stage in REDRAWN:
            self._generation += 1
            redone = [each for each in self.rules if each[0] in REDRAWN]
        else:
            self._attempts[key] += 1
            redone = [key]
        for each in redone:
            self._opened.pop(each, None)
            if each in self.current:
                self.current.pop(each).dead = True
        for each in redone:
            self._refresh(each)

    def known(self, name: BatchName, context: bytes) -> Opening:
        """Return the opening that an accusation is about: a live one, or a dead one."""
        opening = self._openings.get(context)
        require(opening is not None and opening.name == name, "there is no such context")
        assert opening is not None
        require(opening.rule.stage in self._stages, "the stage is sealed")
        return opening

    def goes_by_word(self, said: Refutation) -> bool:
        """Tell whether this party judges a round without its v, by what others say of it."""
        opening = self._openings.get(said.context)
        return opening is not None and not opening.holds(said.round)

    def consumed(self, opening: Opening) -> tuple[Opening, ...]:
        """Return the openings whose values the keys of a batch are derived from."""
        return tuple(self.current[key] for key in opening.rule.dependencies)

    @property
    def ever(self) -> Iterable[Opening]:
        """Every opening that ever took entries, dead ones too, in the order they began."""
        return self._openings.values()

    @property
    def live(self) -> Iterable[Opening]:
        """The openings that take entries, in the order of the layout."""
        return (
            self.current[key]
            for key in self.rules
            if key[0] in self._stages and key in self.current
        )

    def named(self, name: BatchName, context: bytes) -> Opening:
        """Return the opening that an entry is about, if it takes entries."""
        opening = self._find(context)
        require(opening.name == name, "context and batch do not match")
        return opening

    def current_one(self, name: BatchName, context: bytes) -> Opening:
        """Return the opening that a blame is about: only one whose context is current."""
        opening = self.named(name, context)
        require(self.current.get(opening.rule.key) is opening, "the context is not current")
        return opening

    def named_by_hex(self, context: str) -> Opening:
        """Return the opening whose context a slot names in lower-case hex."""
        require(set(context) <= set("0123456789abcdef"), "there is no such slot")
        require(len(context) % 2 == 0, "there is no such slot")
        return self._find(bytes.fromhex(context))

    def _find(self, context: bytes) -> Opening:
        """Return an opening whose context is current, or was and may be again.

        An entry stands on the log once; it was right when it was posted, so it counts although a
        value that its batch builds on is in doubt meanwhile.
        """
        opening = self._openings.get(context)
        if opening is None or opening.name != self._name(opening.rule):
            raise VoidEntryError("the context is not current")
        require(opening.rule.stage in self._stages, "the stage is sealed")
        return opening

    def _name(self, rule: BatchRule) -> BatchName:
        """Return a batch with its try that is current."""
        generation = self._generation if rule.stage in REDRAWN else 0
        return BatchName(rule.stage, rule.index, generation, self._attempts[rule.key])

    def context(self, key: BatchKey) -> BatchContext | None:
        """Return the current context of a batch, None before it is known."""
        rule = self.rules[key]
        if rule.stage not in self._begun or not self._opened.keys() >= set(rule.dependencies):
            return None
        dependencies = tuple(self._opened[dependency] for dependency in rule.dependencies)
        return BatchContext(self._name(rule), dependencies)

    def complete(self, stages: Collection[str]) -> bool:
        """Tell whether every batch of these stages is complete."""
        return all(
            key in self.current and self.current[key].state is BatchState.COMPLETE
            for key in self.rules
            if key[0] in stages
        )

    @property
    def learned(self) -> tuple[Opening, ...]:
        """Openings of which this party has come to hold a v that was awaited."""
        return tuple(opening for opening in self.unknown.values() if opening.learned)

    def ambiguous(self, openings: Iterable[Opening]) -> bool:
        """Tell whether one of these has to be judged at the place in the log where it was blind.

        So it is with several rounds, whose order in time matters, and with what is not current.
        """
        return any(
            len(opening.rounds) > 1 or self.current.get(opening.rule.key) is not opening
            for opening in openings
        )

    def touch_all(self) -> None:
        """Judge every batch that is not sealed anew: who takes part has changed."""
        for key in self.rules:
            if key[0] in self._stages:
                self.touch(key)

    def touch(self, key: BatchKey) -> None:
        """Judge a batch anew; when its opened value changes, so do the contexts that name it."""
        opening = self.current.get(key)
        root = None
        if opening is not None:
            opening.advance(self._members)
            root = opening.v_root
            if opening.blind:
                self.unknown[opening.context] = opening
            else:
                self.unknown.pop(opening.context, None)
        if root == self._opened.get(key):
            return
        if root is None:
            del self._opened[key]
        else:
            self._opened[key] = root
        for dependent in self._dependents[key]:
            self._refresh(dependent)

    def _refresh(self, key: BatchKey) -> None:
        """Find the current context of a batch, and what follows from it."""
        context = self.context(key)
        if context is None:
            self.current.pop(key, None)
        else:
            identifier = context.identifier(self._plan_hash)
            opening = self._openings.get(identifier)
            if opening is None:
                opening = self._openings[identifier] = Opening(
                    self.rules[key],
                    context.name,
                    identifier,
                    self._quorum,
                    self._arithmetic,
                    self._refuted[identifier],
                )
            elif self.current.get(key) is not opening:
                opening.returned = True
            self.current[key] = opening
        self.touch(key)
