"""Fetching beside copies that the parties on one machine share, and on a full disk."""

import errno
import os

import pytest

from infra.shared import SharedOpenings
from mpc_core.protocol.errors import CeremonyError
from tests.support.blobs import (
    DATA,
    FOUR,
    ONCE,
    ROOT,
    Scripted,
    breaks_off_after,
    failure,
    fetch,
    leftovers,
)
from tests.support.transport import QUICK


class Machine:
    """What the parties on a machine share."""

    def __init__(self, folder):
        self.folder, self.shared = folder, SharedOpenings(folder)

    def put(self, data=DATA):
        self.stored().write_bytes(data)
        return self.stored()

    def stored(self):
        return self.folder / ROOT.hex()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "shared")


@pytest.mark.parametrize("patience", [QUICK, FOUR])
def test_what_the_machine_has_arrives_all_the_same_and_is_not_written(
    world, target, machine, monkeypatch, patience
):
    stored = machine.put()
    scripted = Scripted(world)
    monkeypatch.setattr(os, "writev", None)
    fetch(world, scripted.app, target, patience, shared=machine.shared)
    assert target.samefile(stored)
    assert len(scripted.ranges) == patience.ranges
    assert leftovers(target) == ["value"]


def test_a_first_copy_is_shared_with_those_who_come_later(world, target, machine):
    fetch(world, Scripted(world).app, target, shared=machine.shared)
    assert target.read_bytes() == DATA
    assert target.samefile(machine.stored())


@pytest.mark.parametrize("patience", [QUICK, FOUR])
@pytest.mark.parametrize("place", [0, 150_000, len(DATA) - 1])
def test_altered_bytes_are_noticed_whatever_the_machine_has(
    world, target, machine, patience, place
):
    stored = machine.put()
    altered = DATA[:place] + bytes([DATA[place] ^ 1]) + DATA[place + 1 :]
    app = Scripted(world, altered).app
    assert failure(world, app, target, patience, shared=machine.shared) == "RF-PEER-012"
    assert leftovers(target) == []
    assert stored.read_bytes() == DATA


@pytest.mark.parametrize("patience", [QUICK, FOUR])
@pytest.mark.parametrize("place", [0, 150_000, len(DATA) - 1])
def test_a_damaged_copy_of_the_machine_is_replaced_by_what_arrives(
    world, target, machine, patience, place
):
    damaged = DATA[:place] + bytes([DATA[place] ^ 1]) + DATA[place + 1 :]
    stored = machine.put(damaged)
    fetch(world, Scripted(world).app, target, patience, shared=machine.shared)
    assert target.read_bytes() == DATA
    assert target.samefile(stored)
    assert leftovers(target) == ["value"]


def test_a_connection_lost_while_comparing_is_continued(world, target, machine):
    stored = machine.put()
    scripted = Scripted(world, spoil={0: breaks_off_after(123_456)})
    fetch(world, scripted.app, target, shared=machine.shared)
    assert target.samefile(stored)
    assert scripted.ranges == [None, "bytes=123456-"]


def test_what_was_compared_before_a_failure_is_not_asked_for_again(world, target, machine):
    stored = machine.put()
    lost = Scripted(world, spoil={0: breaks_off_after(123_456)})
    assert failure(world, lost.app, target, ONCE, shared=machine.shared) == "RF-PEER-007"
    assert leftovers(target) == [".value.op-01.part"]
    again = Scripted(world)
    fetch(world, again.app, target, shared=machine.shared)
    assert again.ranges == ["bytes=123456-"]
    assert target.samefile(stored)
    assert leftovers(target) == ["value"]


def test_a_torn_part_beside_a_right_copy_is_not_held_against_the_peer(world, target, machine):
    machine.put()
    target.with_name(".value.op-01.part").write_bytes(bytes(100_000))
    fetch(world, Scripted(world).app, target, shared=machine.shared)
    assert target.read_bytes() == DATA
    assert leftovers(target) == ["value"]


def test_a_copy_on_another_file_system_is_no_help_and_no_harm(world, target, machine, monkeypatch):
    stored = machine.put()

    def fail(*_names, **_options):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", fail)
    fetch(world, Scripted(world).app, target, shared=machine.shared)
    assert target.read_bytes() == stored.read_bytes() == DATA
    assert not target.samefile(stored)


def test_a_full_disk_is_reported_and_what_arrived_before_is_kept(world, target, monkeypatch):
    writev = os.writev
    room = [100_000]

    def fills(descriptor, pieces):
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = writev(descriptor, [pieces[0][: room[0]]])
        room[0] -= written
        return written

    monkeypatch.setattr(os, "writev", fills)
    with pytest.raises(CeremonyError, match="RF-DISK-001"):
        fetch(world, Scripted(world).app, target)
    monkeypatch.undo()
    again = Scripted(world)
    fetch(world, again.app, target)
    assert again.ranges == ["bytes=100000-"]
    assert target.read_bytes() == DATA
