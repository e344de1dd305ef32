"""How an operator of a drill is made to lie: its ports and steps ask its twin."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from infra.board import wire
from infra.drill.lying_batches import LyingBatches
from infra.drill.network import DrillLog
from infra.drill.operator import DrillOperator
from mpc_core.adversary.registry import adversary
from mpc_core.protocol.entries import Answer, Correction
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from activities.arithmetic import KnownValues
    from activities.steps import Steps
    from infra.drill.engine import Engine
    from mpc_core.adversary.twin import Claim, Twin
    from mpc_core.protocol.entries import Entry

__all__ = ["LyingOperator"]


class LyingLog(DrillLog):
    """A log on which a twin posts."""

    liar: Twin

    def post(self, entry: Entry) -> None:
        """Post what the twin says instead; it never admits that it was wrong."""
        if isinstance(entry, Correction):
            return
        for said in self.liar.posts(entry, self.state):
            self.send(said)

    def send(self, entry: Entry) -> None:
        """Sign an entry and send it to the board."""
        assert self.signer is not None, "a liar has a seat"
        envelope = self.liar.envelope(wire.sign_entry(entry, self.plan, *self.signer))
        if isinstance(entry, Answer):
            self.posted[entry] = envelope
        self.post_signed(envelope)


class LyingOperator(DrillOperator):
    """An operator whose twin speaks for it."""

    kind_of_log = LyingLog

    def __init__(self, site: Engine, index: int, name: str, luck: random.Random) -> None:
        """Take a seat with an adversary of the registry."""
        super().__init__(site, index)
        self.liar: Twin = adversary(name).twin(index, luck)
        self.liar.fellows = frozenset(liar for liar, _ in site.schedule.liars)
        if self.liar.needs_elsewhere:
            self.liar.elsewhere = site.elsewhere()
        self.alter = self._with_lying_batches

    def _claim(self, claim: Claim) -> Claim | None:
        return self.liar.attests(claim)

    def _follow(self, known: KnownValues) -> DrillLog:
        log = super()._follow(known)
        assert isinstance(log, LyingLog)
        log.liar = self.liar
        return log

    def _with_lying_batches(self, steps: Steps) -> Steps:
        return steps.with_batches(LyingBatches(steps.operator, liar=self.liar))

    def run(self, luck: random.Random) -> bool:
        """Do what an operator does, and say more than that."""
        progress = super().run(luck)
        if self.running and self.liar.luck.random() < self.liar.eagerness:
            for entry in self.liar.unasked(self.log.state):
                self._say(entry)
            for envelope in self.liar.repeats():
                self._try(partial(self.log.post_signed, envelope))
            for peer, entry in self.liar.whispers(self.log.state):
                self._whisper(peer, entry)
        return progress

    def _say(self, entry: Entry) -> None:
        log = self.log
        assert isinstance(log, LyingLog)
        self._try(lambda: log.send(entry))

    def _whisper(self, peer: int, entry: Entry) -> None:
        signer = self.log.signer
        assert signer is not None, "a liar has a seat"
        envelope = wire.sign_entry(entry, self.site.plan, *signer)
        self._try(lambda: self.site.gossip(self.index, peer, envelope))

    def _try(self, say: Callable[[], None]) -> None:
        try:
            say()
        except CeremonyError as refusal:
            self.unheard = str(refusal)

    def serve(self, asker: int, root: bytes) -> bytes | None:
        """Answer a call for a blob."""
        data = super().serve(asker, root)
        return data if data is None or not asker else self.liar.serves(asker, data)

    def objection(self, entry: Entry) -> str:
        """Return why it does not sign a statement."""
        for said in self.liar.asked(entry, self.log.state):
            self._say(said)
        objection = super().objection(entry)
        return "" if self.liar.endorses(honest=not objection) else objection or "it does not"
