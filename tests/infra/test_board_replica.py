"""What an operator accepts, covers and signs, and what it refuses."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from infra.board.copy import LogFile, MemoryCopy
from infra.board.notes import (
    Checkpoint,
    Head,
    HeadSignature,
    sign_certificate,
    sign_head,
)
from infra.board.replica import Replica
from infra.board.vault import FileVault, WitnessState
from infra.board.witness import Witness
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import leaf_hash, root
from tests.support.board import (
    board_plan,
    closing,
    key_of,
    move_request,
    opening_of,
    signed,
    vault_at,
)

if TYPE_CHECKING:
    from pathlib import Path

PLAN = board_plan()


def log_of(*numbers: int) -> list[bytes]:
    return [signed(number, PLAN) for number in numbers]


def head_of(entries: list[bytes], epoch: int = 0) -> Head:
    return Head(epoch, len(entries), root(leaf_hash(entry) for entry in entries))


def checkpoint_of(entries: list[bytes], signers=(1, 2, 3), certifiers=(1, 2, 3)) -> Checkpoint:
    head = head_of(entries)
    return Checkpoint(
        head,
        tuple(sign_head(PLAN, head, signer, key_of(signer)) for signer in signers),
        tuple(sign_certificate(PLAN, head, signer, key_of(signer)) for signer in certifiers),
    )


def refusal(act) -> str:
    with pytest.raises(CeremonyError) as caught:
        act()
    return caught.value.code


def replica_with(entries: list[bytes]) -> Replica:
    replica = Replica(PLAN, MemoryCopy())
    replica.receive(0, entries)
    return replica


@pytest.fixture(autouse=True)
def _files_are_closed(monkeypatch):
    opened = []

    class Tracked(LogFile):
        def __init__(self, path):
            super().__init__(path)
            opened.append(self)

    monkeypatch.setattr(f"{__name__}.LogFile", Tracked)
    yield
    for file in opened:
        file.close()


def witness_at(folder: Path, entries: list[bytes] = ()) -> Witness:
    """Operator 1 as it starts with what its folder holds, after the host sent these entries."""
    replica = Replica(PLAN, LogFile(folder / "log"))
    replica.receive(replica.held, entries)
    return Witness(replica, 1, key_of(1), vault_at(folder / "witness"))


def test_a_head_over_the_bytes_held_is_signed(tmp_path):
    log = log_of(1, 2, 3)
    witness = witness_at(tmp_path, log)
    assert witness.sign_head(head_of(log)) == sign_head(PLAN, head_of(log), 1, key_of(1))
    assert witness.sign_head(head_of(log)) == sign_head(PLAN, head_of(log), 1, key_of(1))
    assert witness.state.signed == head_of(log)


def test_a_fork_is_refused(tmp_path):
    log, fork = log_of(1, 2, 3), log_of(1, 2, 4)
    witness = witness_at(tmp_path, log)
    witness.sign_head(head_of(log))
    assert refusal(lambda: witness.sign_head(head_of(fork))) == "RF-LOG-020"
    assert witness.state.signed == head_of(log)


def test_a_fork_is_refused_although_its_bytes_are_held_after_a_lost_copy(tmp_path):
    log, fork = log_of(1, 2, 3), log_of(1, 2, 4, 5)
    witness_at(tmp_path, log).sign_head(head_of(log))
    (tmp_path / "log").unlink()
    witness = witness_at(tmp_path, fork)
    assert refusal(lambda: witness.sign_head(head_of(fork))) == "RF-LOG-020"


def test_a_head_over_altered_entries_is_refused(tmp_path):
    log = log_of(1, 2, 3)
    witness = witness_at(tmp_path, log)
    assert refusal(lambda: witness.sign_head(head_of([log[0], log[2], log[1]]))) == "RF-LOG-020"
    assert witness.state.signed is None


def test_a_shrunk_log_is_refused(tmp_path):
    log = log_of(1, 2, 3)
    witness = witness_at(tmp_path, log)
    witness.sign_head(head_of(log))
    assert refusal(lambda: witness.sign_head(head_of(log[:2]))) == "RF-LOG-021"


def test_a_head_over_a_missing_entry_is_refused(tmp_path):
    log = log_of(1, 2, 3)
    witness = witness_at(tmp_path, log[:2])
    assert refusal(lambda: witness.sign_head(head_of(log))) == "RF-LOG-022"
    assert refusal(lambda: witness.replica.receive(3, [log[2]])) == "RF-LOG-022"


def test_a_head_of_another_epoch_is_refused(tmp_path):
    log = log_of(1)
    witness = witness_at(tmp_path, log)
    assert refusal(lambda: witness.sign_head(head_of(log, epoch=1))) == "RF-LOG-023"


def test_an_altered_entry_is_refused_and_those_before_it_are_kept():
    first, second = log_of(1, 2)
    altered = second[:-1] + bytes([second[-1] ^ 1])
    replica = Replica(PLAN, MemoryCopy())
    assert refusal(lambda: replica.receive(0, [first, altered])) == "RF-LOG-004"
    assert replica.held == 1
    replica.receive(1, [second])
    assert replica.root(2) == head_of([first, second]).root


def test_what_exceeds_the_limits_of_the_plan_is_no_entry():
    plan = board_plan(entries_per_operator=2)
    replica = Replica(plan, MemoryCopy())
    replica.receive(0, [signed(1, plan), signed(2, plan), signed(3, plan, 2)])
    assert refusal(lambda: replica.receive(3, [signed(4, plan)])) == "RF-LOG-006"
    assert refusal(lambda: replica.receive(3, [signed(3, plan, 2)])) == "RF-LOG-007"
    small = Replica(board_plan(entry_bytes=100), MemoryCopy())
    assert refusal(lambda: small.receive(0, [signed(1, plan)])) == "RF-LOG-001"


def test_the_same_statement_cannot_fill_the_log():
    quorums = [(1, 2, 3), (1, 2, 4), (1, 3, 4), (2, 3, 4)]
    replica = replica_with([closing("complaints", PLAN, quorum) for quorum in quorums])
    again = closing("complaints", PLAN, (1, 2, 3, 4))
    assert refusal(lambda: replica.receive(4, [again])) == "RF-LOG-007"
    replica.receive(4, [closing("contributions", PLAN)])


def test_a_restart_does_not_sign_twice(tmp_path):
    log, fork = log_of(1, 2, 3), log_of(1, 2, 4)
    first = witness_at(tmp_path, log).sign_head(head_of(log))
    again = witness_at(tmp_path)
    assert again.replica.held == 3
    assert refusal(lambda: again.sign_head(head_of(fork))) == "RF-LOG-020"
    assert again.sign_head(head_of(log)) == first


def test_the_head_is_in_the_vault_and_its_bytes_on_disk_before_the_signature_leaves(tmp_path):
    steps = []

    class Vault(FileVault):
        def load(self):
            return WitnessState()

        def save(self, state):
            steps.append(("save", state.signed))

    class Copy(MemoryCopy):
        def flush(self):
            steps.append("flush")

    log = log_of(1)
    replica = Replica(PLAN, Copy())
    replica.receive(0, log)
    witness = Witness(replica, 1, key_of(1), Vault(tmp_path / "witness"))
    witness.sign_head(head_of(log))
    assert steps == ["flush", ("save", head_of(log))]


def test_a_vault_that_cannot_be_written_means_no_signature(tmp_path):
    class Full(FileVault):
        def load(self):
            return WitnessState()

        def save(self, state):
            raise CeremonyError("RF-DISK-001", "the disk is full")

    log = log_of(1)
    witness = Witness(replica_with(log), 1, key_of(1), Full(tmp_path / "witness"))
    assert refusal(lambda: witness.sign_head(head_of(log))) == "RF-DISK-001"
    assert witness.state.signed is None


def test_a_damaged_vault_means_no_signature(tmp_path):
    log = log_of(1)
    witness_at(tmp_path, log).sign_head(head_of(log))
    path = tmp_path / "witness"
    path.write_bytes(path.read_bytes()[:-1])
    again = witness_at(tmp_path)
    assert again.is_lost
    assert refusal(lambda: again.sign_head(head_of(log))) == "RF-LOG-027"


def test_a_vault_without_its_record_means_no_signature_until_the_operator_is_readmitted(tmp_path):
    log = log_of(1, 2, 3)
    witness_at(tmp_path, log).sign_head(head_of(log))
    (tmp_path / "witness").unlink()
    again = Witness(replica_with(log), 1, key_of(1), FileVault(tmp_path / "witness"))
    covering = checkpoint_of(log[:2], signers=(2, 3, 4), certifiers=(2, 3, 4))
    for act in (
        lambda: again.sign_head(head_of(log)),
        lambda: again.sign_certificate(covering),
        lambda: again.move(move_request(PLAN, 1)),
        lambda: again.open(opening_of(PLAN, 1, covering)),
    ):
        assert refusal(act) == "RF-LOG-027"
    again.readmit(covering)
    assert refusal(lambda: again.sign_head(head_of(log[:1]))) == "RF-LOG-021"
    assert again.sign_head(head_of(log)) == sign_head(PLAN, head_of(log), 1, key_of(1))


def test_a_certificate_needs_a_certified_head(tmp_path):
    log = log_of(1, 2)
    witness = witness_at(tmp_path, log)
    short = checkpoint_of(log, signers=(2, 3))
    assert refusal(lambda: witness.sign_certificate(short)) == "RF-LOG-024"
    good = checkpoint_of(log, signers=(2, 3, 4))
    forged = (*good.head_signatures[:2], HeadSignature(4, good.head_signatures[0].signature))
    twice = (good.head_signatures[0], *good.head_signatures[:2])
    for signatures in (forged, twice, good.head_signatures[::-1]):
        bad = Checkpoint(good.head, signatures)
        assert refusal(lambda bad=bad: witness.sign_certificate(bad)) == "RF-LOG-024"
    assert witness.sign_certificate(good) == sign_certificate(PLAN, good.head, 1, key_of(1))
    assert witness_at(tmp_path).state.certified == Checkpoint(good.head, good.head_signatures)


def test_the_vault_keeps_the_highest_certificate(tmp_path):
    log = log_of(1, 2, 3)
    witness = witness_at(tmp_path, log)
    for size in (2, 3, 1):
        witness.sign_certificate(checkpoint_of(log[:size]))
    assert witness_at(tmp_path).state.certified.head == head_of(log)


def test_a_certificate_of_another_epoch_is_refused(tmp_path):
    log = log_of(1)
    head = head_of(log, epoch=1)
    parts = tuple(sign_head(PLAN, head, signer, key_of(signer)) for signer in (2, 3, 4))
    witness = witness_at(tmp_path, log)
    assert refusal(lambda: witness.sign_certificate(Checkpoint(head, parts))) == "RF-LOG-023"


def test_nothing_is_shown_before_a_checkpoint_counts():
    log = log_of(1, 2, 3)
    replica = replica_with(log)
    assert (replica.held, replica.covered_size, replica.entries()) == (3, 0, ())
    lacking = checkpoint_of(log[:2], certifiers=(1, 2))
    assert refusal(lambda: replica.cover(lacking)) == "RF-LOG-024"
    uncertified = checkpoint_of(log[:2], signers=(1, 2))
    assert refusal(lambda: replica.cover(uncertified)) == "RF-LOG-024"
    assert replica.covered_size == 0
    replica.cover(checkpoint_of(log[:2]))
    assert [entry.position for entry in replica.entries()] == [0, 1]
    assert replica.entries()[1].prefix_root == head_of(log[:2]).root
    assert refusal(lambda: replica.cover(checkpoint_of(log_of(1, 2, 3, 4)))) == "RF-LOG-022"


def test_entries_that_the_others_did_not_sign_are_dropped_and_fetched_again():
    log, other = log_of(1, 2, 3), log_of(1, 2, 4)
    replica = replica_with(log[:1])
    replica.cover(checkpoint_of(log[:1]))
    replica.receive(1, log[1:])
    assert refusal(lambda: replica.cover(checkpoint_of(other))) == "RF-LOG-025"
    assert (replica.held, replica.covered_size) == (1, 1)
    replica.receive(1, other[1:])
    replica.cover(checkpoint_of(other))
    assert replica.covered_size == 3


def test_dropped_entries_are_not_back_after_a_restart(tmp_path):
    log, other = log_of(1, 2, 3), log_of(1, 2, 4)
    replica = witness_at(tmp_path, log).replica
    replica.cover(checkpoint_of(log[:1]))
    assert refusal(lambda: replica.cover(checkpoint_of(other))) == "RF-LOG-025"
    again = witness_at(tmp_path).replica
    assert (again.held, again.covered_size) == (1, 1)
    replica.receive(1, other[1:])
    replica.cover(checkpoint_of(other))
    last = witness_at(tmp_path).replica
    assert (last.covered_size, last.root(3)) == (3, head_of(other).root)


def test_two_histories_are_reported():
    log, other = log_of(1, 2), log_of(1, 3)
    replica = replica_with(log)
    replica.cover(checkpoint_of(log))
    assert refusal(lambda: replica.cover(checkpoint_of(other))) == "RF-LOG-026"
    assert replica.covered_size == 2


def test_listeners_see_every_covered_entry_once_and_in_order():
    log = log_of(1, 2, 3, 4)
    replica = replica_with(log)
    early, late = [], []
    replica.subscribe(lambda entry: early.append(entry.position))
    replica.cover(checkpoint_of(log[:2]))
    replica.subscribe(lambda entry: late.append(entry.position))
    replica.cover(checkpoint_of(log[:1]))
    replica.cover(checkpoint_of(log))
    assert early == late == [0, 1, 2, 3]


def test_a_waiting_thread_wakes_when_enough_is_covered():
    log = log_of(1, 2)
    replica = replica_with(log)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(replica.wait_for_size(2, 60)))
    thread.start()
    replica.cover(checkpoint_of(log[:1]))
    replica.cover(checkpoint_of(log))
    thread.join(60)
    assert seen == [True]
    assert not replica.wait_for_size(3, 0)


def test_a_restart_finds_entries_and_checkpoint_on_disk(tmp_path):
    log = log_of(1, 2, 3)
    replica = witness_at(tmp_path, log).replica
    replica.cover(checkpoint_of(log[:2]))
    again = witness_at(tmp_path).replica
    assert (again.held, again.checkpoint) == (3, checkpoint_of(log[:2]))
    assert again.envelopes(0, 9) == tuple(log)


@pytest.mark.parametrize("cut", [1, 5, 60, 200])
def test_a_copy_cut_by_a_crash_is_used_as_far_as_it_is_whole(tmp_path, cut):
    log = log_of(1, 2, 3)
    witness_at(tmp_path, log)
    path = tmp_path / "log"
    path.write_bytes(path.read_bytes()[:-cut])
    again = witness_at(tmp_path).replica
    assert again.held < 3
    again.receive(again.held, log[again.held :])
    assert again.root(3) == head_of(log).root
    assert witness_at(tmp_path).replica.held == 3


def test_a_copy_altered_on_disk_is_used_as_far_as_it_verifies(tmp_path):
    log = log_of(1, 2, 3)
    replica = witness_at(tmp_path, log).replica
    replica.cover(checkpoint_of(log))
    path = tmp_path / "log"
    data = bytearray(path.read_bytes())
    data[len(log[0]) + 5 + 100] ^= 1
    path.write_bytes(data)
    again = witness_at(tmp_path).replica
    assert (again.held, again.covered_size) == (1, 0)
    again.receive(1, log[1:])
    again.cover(checkpoint_of(log))
    assert again.covered_size == 3


def test_entries_refused_by_a_full_disk_are_written_once_there_is_room():
    class Filling(MemoryCopy):
        room = 1
        written: list[bytes] = []  # noqa: RUF012

        def add_entries(self, entries):
            if len(entries) > self.room:
                raise CeremonyError("RF-DISK-001", "the disk is full")
            self.written.extend(entries)

    log, copy = log_of(1, 2, 3), Filling()
    replica = Replica(PLAN, copy)
    assert refusal(lambda: replica.receive(0, log[:2])) == "RF-DISK-001"
    copy.room = 9
    replica.receive(2, log[2:])
    assert copy.written == log
