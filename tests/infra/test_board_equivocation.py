"""Two histories under one signature: what is evidence of it, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from infra.board import strict
from infra.board.copy import MemoryCopy
from infra.board.equivocation import HeadWatch, check_equivocation, read_equivocation
from infra.board.notes import Head, sign_head
from infra.board.replica import Replica
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import leaf_hash, root
from tests.support.board import board_plan, key_of, signed

PLAN = board_plan()
LOG = [signed(number, PLAN) for number in range(6)]
FORK = [*LOG[:2], *(signed(number, PLAN) for number in range(10, 14))]


def head_of(entries, epoch=0):
    return Head(epoch, len(entries), root(leaf_hash(entry) for entry in entries))


class Watch:
    def __init__(self, entries=LOG):
        self.kept = []
        self.replica = Replica(PLAN, MemoryCopy())
        self.replica.receive(0, entries)
        self.watch = HeadWatch(
            self.replica, lambda signer, found: self.kept.append((signer, found))
        )

    def saw(self, *heads, signer=2):
        for head in heads:
            self.watch.saw(head, sign_head(PLAN, head, signer, key_of(signer)))
        return self.kept


def refused(evidence, plan=PLAN):
    with pytest.raises(CeremonyError) as caught:
        check_equivocation(plan, evidence)
    return caught.value.code


@pytest.mark.parametrize(
    "heads",
    [
        (head_of(LOG[:4]), head_of(FORK[:4])),
        (head_of(LOG), head_of(FORK[:4])),
        (head_of(FORK[:3]), head_of(LOG[:5])),
        (head_of(FORK[:5]), head_of(FORK[:5], 1), head_of(LOG[:5])),
    ],
)
def test_two_heads_of_which_neither_extends_the_other_convict_their_signer(heads):
    ((signer, evidence),) = Watch().saw(*heads)
    assert signer == check_equivocation(PLAN, evidence) == 2
    assert read_equivocation(strict.encode(evidence)) == evidence
    assert "op-02" in evidence.shorter
    assert "op-02" in evidence.longer


def test_heads_of_different_length_that_extend_one_another_are_harmless():
    assert Watch().saw(*(head_of(LOG[:size]) for size in (3, 1, 6, 2, 4))) == []


def test_heads_of_different_epochs_or_operators_are_harmless():
    watch = Watch()
    watch.saw(head_of(LOG[:4]), signer=2)
    watch.saw(head_of(FORK[:4]), signer=3)
    assert watch.saw(head_of(FORK[:4], 1), signer=2) == []


def test_a_head_ahead_of_this_log_is_judged_once_the_log_is_there():
    watch = Watch(LOG[:3])
    assert watch.saw(head_of(LOG[:5]), head_of(FORK[:3])) == []
    watch.replica.receive(3, LOG[3:])
    ((_, evidence),) = watch.saw(head_of(LOG[:6]))
    assert check_equivocation(PLAN, evidence) == 2


def test_a_signer_of_ever_new_histories_is_caught_once_and_fills_neither_memory_nor_disk():
    watch = Watch()
    watch.saw(head_of(LOG))
    for number in range(50):
        watch.saw(head_of([*LOG[:2], signed(100 + number, PLAN)]))
    assert len(watch.watch._seen[2, 0]) <= 9
    assert len(watch.kept) == 1


def test_nothing_else_convicts_anybody():
    watch = Watch()
    ((_, good),) = watch.saw(head_of(LOG), head_of(FORK[:4]))
    ((_, other),) = Watch().saw(head_of(LOG), head_of(FORK[:4]), signer=3)
    honest = replace(good, shorter=good.longer, prefix_root=head_of(LOG).root, proof=())
    claimed = replace(good, prefix_root=head_of(FORK[:4]).root)
    for bad in (
        honest,
        claimed,
        replace(good, proof=good.proof[:-1]),
        replace(good, shorter=other.shorter),
        replace(good, plan_hash=bytes(32)),
        replace(good, shorter=good.longer, longer=good.shorter),
    ):
        assert refused(bad) == "RF-LOG-036"
    forged = good.shorter.replace("\n4\n", "\n3\n")
    assert refused(replace(good, shorter=forged)) == "RF-LOG-015"
    with pytest.raises(CeremonyError, match="RF-LOG-036"):
        read_equivocation(b"\x80")
