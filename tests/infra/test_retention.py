"""After its ceremony a home destroys what the plan's days are over for, and nothing else."""

import datetime as dt

import pytest

from infra.files import SECRET_FILE, write_atomic
from infra.homes import Home
from infra.party.retention import ABORTED, ANNOUNCED, End, Fate, ending_of, sweep
from infra.plan.sections import RetentionSection
from infra.stores import FileStore
from mpc_core.protocol.errors import CeremonyError

END = dt.datetime(2030, 5, 1, 12, tzinfo=dt.UTC)
LIMITS = RetentionSection(transcript_days=100, evidence_days=10, vault_days_after_abort=30)
SECRET = b"a share of a stage key"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "op-02")
    home.make()
    write_atomic(home.log_copy, b"entries")
    write_atomic(home.vault / "identity.key", b"the identity", SECRET_FILE)
    write_atomic(home.vault / "witness", b"what was signed", SECRET_FILE)
    FileStore(home.vault).write("stage-keys/N", SECRET)
    FileStore(home.work / "steps").write("roots/1", b"a promised root")
    (home.outbox / "N").mkdir(parents=True)
    write_atomic(home.outbox / "N" / "vector", b"masked")
    return home


def swept(home, how, days, limits=LIMITS, *, act=True):
    """Return the fate of every artefact so many days after the end."""
    end = None if how is None else End(how, END)
    found = sweep(home, limits, end, END + dt.timedelta(days=days), act=act)
    return {each.name: each.fate for each in found}


def test_until_its_day_everything_is_kept(home):
    before = sorted(home.path.rglob("*"))
    assert set(swept(home, ABORTED, 9.9).values()) == {Fate.KEPT}
    assert {*before, home.path / "end.json"} == set(home.path.rglob("*"))


def test_evidence_goes_on_its_day_and_the_log_later(home):
    assert swept(home, ANNOUNCED, 10) == {
        "evidence": Fate.DESTROYED,
        "log": Fate.KEPT,
        "vault": Fate.KEPT,
    }
    assert [path.name for path in home.work.iterdir()] == ["log"]
    assert swept(home, ANNOUNCED, 100) == {
        "evidence": Fate.GONE,
        "log": Fate.DESTROYED,
        "vault": Fate.KEPT,
    }
    assert not home.log_copy.exists()


def test_a_share_of_the_key_has_no_day(home):
    assert swept(home, ANNOUNCED, 36_525)["vault"] is Fate.KEPT
    assert FileStore(home.vault).read("stage-keys/N") == SECRET


def test_after_an_abort_the_vault_goes_but_not_what_the_operator_signs_with(home):
    assert swept(home, ABORTED, 30)["vault"] is Fate.DESTROYED
    assert {path.name for path in home.vault.rglob("*")} == {"identity.key", "witness"}


def test_what_is_sealed_is_left_to_the_destruction_of_its_key(home):
    write_atomic(home.vault / "wrapped-key", b"wrapped")
    assert swept(home, ABORTED, 30)["vault"] is Fate.DUE
    assert (home.vault / "stage-keys" / "N").exists()


@pytest.mark.parametrize(("how", "limits"), [(None, LIMITS), (ANNOUNCED, None), (ABORTED, None)])
def test_nothing_goes_before_the_end_or_where_the_plan_says_nothing(home, how, limits):
    assert set(swept(home, how, 36_525, limits).values()) == {Fate.KEPT}


def test_a_look_destroys_and_notes_nothing(home):
    before = {path: path.stat().st_mtime_ns for path in home.path.rglob("*")}
    assert swept(home, ABORTED, 100, act=False)["vault"] is Fate.DESTROYED
    assert {path: path.stat().st_mtime_ns for path in home.path.rglob("*")} == before


def test_a_home_whose_log_has_gone_still_knows_when_its_ceremony_ended(home):
    swept(home, ABORTED, 100)
    assert not home.log_copy.exists()
    assert ending_of(home) == End(ABORTED, END)


def test_a_home_without_a_log_and_without_a_note_is_not_swept(home):
    home.log_copy.unlink()
    with pytest.raises(CeremonyError, match="RF-EVIDENCE-003"):
        ending_of(home)
