"""Whenever the power goes, an operator remembers every head and certificate that it signed."""

import hashlib

import pytest

from infra.board.copy import LogFile
from infra.board.notes import Checkpoint, Head, sign_certificate, sign_head
from infra.board.replica import Replica
from infra.board.vault import FileVault, WitnessState
from infra.board.witness import Witness
from infra.files import make_directory
from mpc_core.protocol.merkle import leaf_hash, root
from tests.support.board import board_plan, key_of, signed
from tests.support.power import STYLES, cut_and_resumed

PLAN = board_plan()
LOG = [signed(number, PLAN) for number in range(9)]
STEP = 3
"""Entries from one checkpoint to the next."""


def head_of(size):
    return Head(0, size, root(leaf_hash(entry) for entry in LOG[:size]))


def certified(size):
    head = head_of(size)
    return Checkpoint(head, tuple(sign_head(PLAN, head, i, key_of(i)) for i in (1, 2, 3)))


def counting(size):
    head = head_of(size)
    parts = tuple(sign_certificate(PLAN, head, i, key_of(i)) for i in (1, 2, 3))
    return Checkpoint(head, certified(size).head_signatures, parts)


class Operator:
    """One operator's copy of the log and its record, on a disk; and what it let others have."""

    def __init__(self, disk):
        self.disk = disk
        self.heads, self.certificates = [], []
        with disk.watched():
            FileVault(make_directory(disk.root / "vault") / "witness").create()

    def work(self):
        """Follow the log from wherever the disk says this operator is, to its end."""
        with self.disk.watched():
            copy = LogFile(self.disk.root / "log")
            try:
                self._follow(copy)
            finally:
                copy.close()

    def _follow(self, copy):
        replica = Replica(PLAN, copy)
        vault = FileVault(self.disk.root / "vault" / "witness")
        witness = Witness(replica, 1, key_of(1), vault)
        assert not witness.is_lost
        self.check(witness.state)
        for size in range(STEP, len(LOG) + 1, STEP):
            if size > replica.held:
                replica.receive(replica.held, LOG[replica.held : size])
            signed_before = witness.state.signed
            if signed_before is None or size >= signed_before.size:
                witness.sign_head(head_of(size))
                self.heads.append(head_of(size))
                witness.sign_certificate(certified(size))
                self.certificates.append(head_of(size))
            replica.cover(counting(size))
        assert replica.covered_size == len(LOG)

    def check(self, state: WitnessState):
        """Check that the record covers every signature that left before."""
        if self.heads:
            assert state.signed is not None
            assert state.signed.size >= max(head.size for head in self.heads)
        if self.certificates:
            assert state.certified is not None
            assert state.certified.head.size >= max(head.size for head in self.certificates)


@pytest.mark.parametrize("style", STYLES)
def test_no_signature_leaves_that_a_power_loss_makes_an_operator_forget(
    tmp_path, monkeypatch, style
):
    for operator in cut_and_resumed(tmp_path, monkeypatch, style, Operator, 20):
        assert operator.heads
        assert operator.certificates


@pytest.mark.parametrize("at", range(0, 200, 7))
def test_a_record_with_any_wrong_byte_counts_as_gone(tmp_path, at):
    vault = FileVault(tmp_path / "witness")
    vault.save(WitnessState(signed=Head(0, 5, hashlib.sha256().digest())))
    path = tmp_path / "witness"
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 4
    path.write_bytes(data)
    assert vault.load() is None
