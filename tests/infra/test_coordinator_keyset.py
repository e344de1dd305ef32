"""The coordinator's key set: computed once, published, and what is dropped afterwards."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from activities.arithmetic import KnownValues
from infra.coordinator import keyset
from infra.coordinator.keyset import KeySetBuilder, keeps_from_now_on
from infra.coordinator.openings import Openings
from infra.homes import Home
from infra.party.rules import party_state, past_state
from infra.plan import COORDINATOR
from infra.publish import Keeps
from infra.publish.manifest import OPENINGS
from infra.sandbox import supervisor
from infra.sandbox.options import SandboxOptions
from infra.sandbox.run import run_sandbox
from infra.stores import BlobStore, FileStore
from infra.transport.ledger import SentLedger
from infra.transport.outbox import Outbox
from infra.verify import Outcome, verify
from mpc_core.protocol.errors import CeremonyError
from tests.infra.test_sandbox_supervisor import Recorder
from tests.support.ports import Clock, MemoryBoard, MemoryLog
from tests.support.published import undisturbed


@pytest.fixture(scope="module")
def finished():
    return undisturbed()


class Served:
    """Peers that put an opened value into the outbox."""

    def __init__(self, finished, blobs):
        self.finished, self.blobs = finished, blobs

    def fetch(self, _, root, size, label, *, shared):
        del size, shared
        self.blobs.publish(self.finished.values[root], label)


class Nobody:
    """Operators none of whom serves anything."""

    def fetch(self, *_, **__):
        raise CeremonyError("RF-PEER-001", "nobody is there")


class Coordinator:
    """A coordinator's home after the announcement; each start follows the log anew."""

    def __init__(self, finished, home, keeps, *, peers=True):
        plan, layout = finished.plan, finished.layout
        self.blobs = BlobStore(
            Outbox(home / "outbox", SentLedger(home / "sent.json")), plan.layout.leaf_bytes
        )
        known = KnownValues(plan.hash, FileStore(home / "steps"))
        board = MemoryBoard(plan)
        self.log = MemoryLog(plan, board, party_state(plan, layout, known), Clock())
        served = Served(finished, self.blobs) if peers else Nobody()
        self.openings = Openings(self.log, known, self.blobs, served, layout)
        for envelope in finished.envelopes:
            board.submit(envelope)
            if peers:
                self.openings.fetch_unknown()
        replica = SimpleNamespace(
            checkpoint=finished.checkpoint(finished.envelopes),
            envelopes=lambda start, stop: finished.envelopes[start:stop],
        )
        self.root = home / "result"
        self.root.mkdir(exist_ok=True)
        key = finished.key(COORDINATOR)
        self.builder = KeySetBuilder(
            self.root, finished.parties.signed, key, layout, replica, self.openings, keeps
        )

    def stages_here(self):
        state = self.log.state
        return {
            key[0]
            for key in state.batches
            if (opening := state.opening(key)) and self.blobs.has(opening.v_root)
        }


def test_the_digest_is_computed_once_however_many_ask(finished, tmp_path, monkeypatch):
    coordinator = Coordinator(finished, tmp_path, Keeps.ASSEMBLY)
    entered, asked, ticks = threading.Event(), [], []
    real = keyset.bodies_of

    def bodies_of(*given):
        asked.append(given)
        assert entered.wait(20)
        return real(*given)

    def tick():
        ticks.append(1)
        entered.set()  # the one that waits has been heard of

    monkeypatch.setattr(keyset, "bodies_of", bodies_of)
    monkeypatch.setattr(keyset, "_PATIENCE_SECONDS", 0.01)
    found = []
    first = threading.Thread(target=lambda: found.append(coordinator.builder.digest(lambda: None)))
    first.start()
    found.append(coordinator.builder.digest(tick))
    first.join()
    assert found == [finished.state().release.digest] * 2
    assert len(asked) == 1
    assert ticks


def test_after_publication_only_the_openings_that_are_kept_stay(finished, tmp_path):
    coordinator = Coordinator(finished, tmp_path, Keeps.ASSEMBLY)
    assert coordinator.stages_here() == {"N", "S", "M", "O"}
    coordinator.builder.publish(lambda: None)
    assert coordinator.stages_here() == {"O"}
    assert verify(coordinator.root).outcome is Outcome.OK


def test_a_coordinator_without_the_openings_still_follows_the_log_and_publishes_again(
    finished, tmp_path
):
    Coordinator(finished, tmp_path, Keeps.ASSEMBLY).builder.publish(lambda: None)
    again = Coordinator(finished, tmp_path, Keeps.ASSEMBLY, peers=False)
    assert again.log.state.release.announcement is not None
    again.builder.publish(lambda: None)
    assert verify(again.root).outcome is Outcome.OK


def test_with_all_openings_kept_every_one_stays_and_lies_on_the_disk_once(finished, tmp_path):
    coordinator = Coordinator(finished, tmp_path, Keeps.ALL)
    coordinator.builder.publish(lambda: None)
    assert coordinator.stages_here() == {"N", "S", "M", "O"}
    verdict = verify(coordinator.root)
    assert verdict.outcome is Outcome.OK
    assert verdict.not_repeated == ()
    assert all(path.stat().st_nlink == 2 for path in (coordinator.root / OPENINGS).iterdir())


def test_an_opening_that_is_gone_is_an_error_that_says_so(finished, tmp_path):
    Coordinator(finished, tmp_path, Keeps.ASSEMBLY)
    again = Coordinator(finished, tmp_path, Keeps.ASSEMBLY, peers=False)
    again.blobs.remove(finished.root_of(("O", 1)))
    with pytest.raises(CeremonyError, match="RF-RUN-012"):
        again.builder.publish(lambda: None)


def test_an_opening_that_is_gone_is_fetched_again(finished, tmp_path):
    coordinator = Coordinator(finished, tmp_path, Keeps.ASSEMBLY)
    coordinator.blobs.remove(finished.root_of(("O", 1)))
    coordinator.builder.publish(lambda: None)
    assert verify(coordinator.root).outcome is Outcome.OK


def test_who_reads_the_log_later_takes_lost_values_below_the_seal_as_its_signers_did(
    finished, tmp_path
):
    state = Coordinator(finished, tmp_path, Keeps.ASSEMBLY).log.state
    context = state.opening(("N", 0)).context.hex()
    (tmp_path / "steps" / "expected" / f"{context}-0").unlink()
    home = SimpleNamespace(work=tmp_path)
    state = past_state(home, finished.plan, finished.layout, state.log)
    assert state.awaiting_v == ()
    assert state.release.announcement is not None


def test_who_once_asked_for_all_openings_gets_them_at_a_later_start_too(tmp_path):
    home = Home(tmp_path)
    home.make()
    assert keeps_from_now_on(home, all_of_them=False) is Keeps.ASSEMBLY
    assert keeps_from_now_on(home, all_of_them=True) is Keeps.ALL
    assert keeps_from_now_on(home, all_of_them=False) is Keeps.ALL


@pytest.mark.parametrize("wanted", [False, True])
def test_the_wish_for_all_openings_becomes_part_of_the_errand_of_the_parties(
    wanted, tmp_path, monkeypatch
):
    errands = []

    class Started:
        def __init__(self, *_, errand, **__):
            errands.append(errand)
            raise KeyboardInterrupt

    monkeypatch.setattr(supervisor, "Supervisor", Started)
    options = SandboxOptions(tmp_path / "all", identifier="one", keep_openings=wanted)
    with pytest.raises(CeremonyError, match="RF-RUN-009"):
        run_sandbox(options, Recorder(), lambda _: None)
    assert errands[0].keep_openings is wanted
