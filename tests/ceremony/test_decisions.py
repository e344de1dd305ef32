"""Decisions of a real ceremony: nothing was decided, and after its end nothing can be."""

from typer.testing import CliRunner

from infra.cli.main import app


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_ceremony_in_which_nothing_was_decided_says_so(announced):
    for folder in (announced, announced / "operators" / "op-02"):
        result = run("decisions", folder)
        assert (result.exit_code, result.stdout) == (0, "nothing was decided\n")


def test_nothing_is_decided_after_the_announcement(announced):
    home = announced / "operators" / "op-01"
    result = run("decide", "abort", "--home", home)
    assert result.exit_code == 1
    assert "RF-GOVERN-008" in result.stderr
    assert "the key set is announced" in result.stderr
    assert not (home / "work" / "steps" / "voices").exists()
