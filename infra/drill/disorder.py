"""A coordinator that lies: it reorders, delays and repeats orders, and gives senseless ones.

An order only says when, so nothing may come of it but lost time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpc_core.protocol.entries import Announcement, KeySet, Seal

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from activities.steps import Steps
    from mpc_core.preprocessing.layout import CeremonyLayout
    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.state import CeremonyState

__all__ = ["Disorder"]

_STEPS = (
    "announce_kem_key",
    "contribute",
    "examine",
    "acknowledge",
    "secure",
    "forget_seed_key",
    "rebuild",
    "conclude",
)
_LATEST_ROUND = 3

Act = "Callable[[Steps], None]"


class Disorder:
    """What a lying coordinator does.

    Attributes:
        luck: what it draws from.
        held: orders that it keeps back, by operator.
    """

    def __init__(self, luck: random.Random, layout: CeremonyLayout) -> None:
        """Keep nothing back yet."""
        self.luck, self._layout = luck, layout
        self.held: list[Callable[[], None]] = []

    def holds(self, give: Callable[[], None]) -> bool:
        """Keep an order back at times; return whether it did."""
        if self.luck.random() < 0.5:  # noqa: PLR2004
            return False
        self.held.append(give)
        return True

    def release(self, *, everything: bool) -> None:
        """Give orders that were kept back, in any order, some of them twice."""
        self.luck.shuffle(self.held)
        while self.held and (everything or self.luck.random() < 0.3):  # noqa: PLR2004
            give = self.held.pop()
            give()
            if self.luck.random() < 0.3:  # noqa: PLR2004
                give()

    def senseless(self) -> tuple[str, Callable[[Steps], None]]:
        """Return an order that nothing calls for: a step, or a batch of any stage and round."""
        if self.luck.random() < 0.3:  # noqa: PLR2004
            step = self.luck.choice(_STEPS)
            return f"senseless {step}", lambda steps: steps.step(step)
        stage = self.luck.choice("NSMO")
        key = (stage, self.luck.randrange(len(self._layout.stage(stage))))
        number = self.luck.randrange(_LATEST_ROUND)
        acts: dict[str, Callable[[Steps], None]] = {
            "share": lambda steps: steps.share(key),
            "decode": lambda steps: steps.decode(key, number),
            "answer": lambda steps: steps.answer(key, number),
        }
        name = self.luck.choice(sorted(acts))
        return f"senseless {name} {stage}-{key[1]}", acts[name]

    def statement(self, state: CeremonyState) -> Entry:
        """Return a statement that is not due: a seal, a key set, an announcement."""
        root = state.log[-1].prefix_root if state.size else bytes(32)
        digest = self.luck.randbytes(32)
        choices: tuple[Entry, ...] = (
            Seal(state.size, root),
            KeySet(digest),
            Announcement(digest),
        )
        return self.luck.choice(choices)
