"""Whenever the power goes, an operator comes back and stays true to its word."""

from collections import defaultdict
from collections.abc import Callable

import pytest

from mpc_core.protocol.entries import (
    Acknowledgement,
    Answer,
    Contribution,
    Decoded,
    KemKey,
    Root,
)
from mpc_core.protocol.errors import CeremonyError
from mpc_core.tfhe.parameters import DRILL_SET
from tests.support.power import STYLES, Disk, PowerCut, PoweredParty
from tests.support.simulation import Ceremony, Party, WouldWaitError

VICTIM = 2
FIRST_GAP = 40
"""Operations from one power loss to the next, while the operator gets ahead between them."""


class PoweredCeremony(Ceremony):
    """A ceremony in which one operator loses power again and again."""

    def __init__(self, disk: Disk, first: int | None, style: str) -> None:
        super().__init__(parameters=DRILL_SET)
        self.victim = self.parties[VICTIM] = PoweredParty(self, VICTIM, disk)
        self.style = style
        disk.cut_at = first
        self._gap, self._said = FIRST_GAP, 0
        self._orders: list[Callable[[Party], None]] = []

    def _try(self, party: Party, act) -> None:
        if party is not self.victim:
            super()._try(party, act)
            return
        orders, self._orders = [*self._orders, act], []
        while orders:
            try:
                with party.disk.watched():
                    if not party.running:
                        party.start()
                        self._follow(Party.come_back)
                    while orders:
                        if not self._follow(orders[0]):
                            self._orders.append(orders[0])
                        del orders[0]
            except PowerCut:
                party.lose_power(self.style)
                party.disk.cut_at = party.disk.operations + self._next_gap()

    def _look(self) -> None:
        """Let whoever came back fetch what it lost before it is asked for a signature."""
        super()._look()
        self._let_presence_work()

    def _follow(self, act: Callable[[Party], None]) -> bool:
        """Let the operator follow an order; return whether it did: if not, it is ordered again."""
        try:
            act(self.victim)
        except (CeremonyError, WouldWaitError):
            return False
        return True

    def _next_gap(self) -> int:
        """Return when the power goes next: later if the operator said nothing meanwhile."""
        said = sum(VICTIM in entry.signers for entry in self.board.entries)
        self._gap = FIRST_GAP if said > self._said else 2 * self._gap
        self._said = said
        return self._gap


def slots_of(board, author):
    """Return what an operator said, by what it may say only one thing about."""
    said = defaultdict(set)
    for entry in board.entries:
        if entry.signers != (author,):
            continue
        match entry.entry:
            case Root(context=context):
                said["root", context].add(entry.entry)
            case Decoded(context=context, round=number):
                said["decoded", context, number].add(entry.entry)
            case Answer(context=context, round=number):
                said["answer", context, number].add(entry.entry)
            case KemKey() | Acknowledgement():
                said[entry.entry.kind].add(entry.entry)
            case Contribution(round=number):
                said["contribution", number].add(entry.entry)
    return said


@pytest.fixture(scope="module")
def expected():
    """The key set of a ceremony in which nothing goes wrong."""
    return Ceremony(parameters=DRILL_SET).run()


@pytest.fixture
def powered(tmp_path, monkeypatch):
    """Run a ceremony in which the power goes after so many operations, and then again and again."""

    def run(first, style):
        disk = Disk(tmp_path / f"disk-{first}-{style}", monkeypatch, seed=first)
        ceremony = PoweredCeremony(disk, first, style)
        digest = ceremony.run()
        said = slots_of(ceremony.board, VICTIM)
        assert said
        assert not [slot for slot, entries in said.items() if len(entries) > 1]
        return ceremony, digest

    return run


@pytest.mark.parametrize(("first", "style"), list(zip((3, 17, 31), STYLES, strict=True)))
def test_an_operator_that_loses_power_again_and_again_ends_with_the_same_keys(
    powered, expected, first, style
):
    ceremony, digest = powered(first, style)
    assert digest == expected
    assert ceremony.victim.losses >= 5


@pytest.mark.long
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("first", range(FIRST_GAP))
def test_the_power_may_go_after_any_operation(powered, expected, first, style):
    _, digest = powered(first, style)
    assert digest == expected
