"""Another ceremony of the same operators, for liars that repeat what was said there."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

from infra.drill.schedule import Schedule
from infra.drill.site import parties_elsewhere
from infra.drill.watch import Witness
from mpc_core.adversary.elsewhere import Elsewhere
from mpc_core.protocol.entries import STATEMENTS

if TYPE_CHECKING:
    from infra.drill.engine import Engine
    from mpc_core.protocol.entries import Entry

__all__ = ["another_ceremony"]


@lru_cache(maxsize=4)
def another_ceremony(engine_type: type[Engine], n: int) -> Elsewhere:
    """Run a ceremony of the same operators, with the same keys, under another plan."""
    schedule = Schedule(0, n)
    parties = parties_elsewhere(n, schedule.t)
    engine = engine_type(schedule, parties)
    engine.watch = witness = Witness(frozenset())
    engine.run()
    entries: defaultdict[int, list[Entry]] = defaultdict(list)
    for log in engine.board.entries:
        if not isinstance(log.entry, STATEMENTS):
            entries[log.author].append(log.entry)
    return Elsewhere(
        tuple(engine.board.envelopes),
        {author: tuple(said) for author, said in entries.items()},
        {place: tuple(vectors) for place, vectors in witness.vectors.items()},
    )
