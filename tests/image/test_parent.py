"""What lies around the image is checked by the tools that read it: Docker's linter, bash, systemd.

A tool that is missing fails the test: `.ci/run` installs them.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from infra.image.build import COMMAND
from infra.image.requirements import read_requirements

AWS = Path(__file__).parents[2] / "infra" / "aws"
PARENT = AWS / "parent"
UNITS = sorted(PARENT.glob("*.service"))
ELSEWHERE = ("/usr/bin/nitro-cli", "/usr/bin/socat", "/usr/bin/vsock-proxy")
"""Programs of the parent that are not on the machine that runs the tests."""

MOST_EXPOSED = 20
"""In tenths, of 100: what `systemd-analyze security` calls safe ends at 20."""


def _run(*command):
    program = shutil.which(command[0], path=f"{Path(sys.executable).parent}:/usr/bin:/bin")
    assert program, f"{command[0]} is not installed: see .ci/run and pyproject.toml"
    return subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False)


def test_the_linter_of_dockerfiles_finds_nothing(tmp_path):
    run = _run("hadolint", "--no-color", str(AWS / "Dockerfile"))
    assert (run.returncode, run.stdout) == (0, "")
    (tmp_path / "Dockerfile").write_text("FROM debian:latest\nRUN sudo cd /tmp\n")
    assert "DL3007" in _run("hadolint", str(tmp_path / "Dockerfile")).stdout


def test_the_dockerfile_takes_its_base_by_digest_and_fetches_nothing():
    text = (AWS / "Dockerfile").read_text()
    assert re.findall(r"^FROM (.*)$", text, flags=re.MULTILINE) == ["${BASE}"]
    runs = re.findall(r"^RUN ((?:.*\\\n)*.*)", text, flags=re.MULTILINE)
    assert runs
    assert all(run.startswith("--network=none") for run in runs)
    assert "--require-hashes" in text
    assert "http" not in text


def test_the_build_refuses_a_lock_that_is_left_open_before_it_fetches_anything():
    text = (AWS / "build.sh").read_text()
    assert text.index("ringforge release bill") < text.index("pip download")
    assert text.index("ringforge release bill") < text.index("docker buildx")
    assert "SOURCE_DATE_EPOCH" in text


def test_the_build_fetches_nothing_whose_version_floats():
    """Each of the tools has one version, and pip digests; the Python is that of the image."""
    text = (AWS / "build.sh").read_text()
    installs = [line for line in text.splitlines() if line.startswith("uv pip install")]
    assert installs
    assert all("--require-hashes" in line for line in installs)
    for install in installs:
        locked = read_requirements((AWS.parents[1] / install.split(" -r ")[1]).read_bytes())
        assert all(each.digests for each in locked)
    versions = dict(
        re.findall(r"^(uv|python)_version=([0-9]+\.[0-9]+\.[0-9]+)$", text, re.MULTILINE)
    )
    assert versions.keys() == {"uv", "python"}
    assert '--managed-python --python "$python_version"' in text
    base = tomllib.loads((AWS / "inputs.lock").read_text())["base"]["image"]
    assert f":{versions['python']}-" in base


def test_the_build_refuses_another_uv_before_it_does_anything(tmp_path):
    other = tmp_path / "uv"
    other.write_text("#!/bin/sh\necho uv 0.13.80\n")
    other.chmod(0o755)
    run = subprocess.run(
        ["bash", str(AWS / "build.sh"), "HEAD", str(tmp_path), str(tmp_path / "output")],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert "found uv 0.13.80" in run.stderr
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize("name", ["build.sh", "parent/start.sh.tftpl"])
def test_scripts_are_scripts(tmp_path, name):
    text = (AWS / name).read_text()
    assert "set -euo pipefail" in text
    if name.endswith("tftpl"):
        text = re.sub(r"\$\{[^}]*\}", "filled-in", re.sub(r"%\{.*?\}\n", "", text))
    (tmp_path / "script").write_text(text)
    run = _run("bash", "-n", str(tmp_path / "script"))
    assert (run.returncode, run.stderr) == (0, "")


def _copied(folder):
    """Return copies of the units beside a stand-in for the one of AWS's package."""
    for path in UNITS:
        shutil.copy(path, folder)
    (folder / "nitro-enclaves-allocator.service").write_text(
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
    )
    return [str(folder / path.name) for path in UNITS]


def _complaints(files):
    run = _run("systemd-analyze", "verify", "--man=no", *files)
    expected = re.compile(rf"\S+: Command ({'|'.join(ELSEWHERE)}) is not executable: .*")
    return [line for line in run.stderr.splitlines() if not expected.fullmatch(line)]


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path):
    assert len(UNITS) == 4
    assert _complaints(_copied(tmp_path)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ProtectSystem=strict", "ProtectSystems=strict"),
        ("ProtectSystem=strict", "ProtectSystem=very"),
        ("ExecStart=/usr/bin", "ExecStart=usr/bin"),
        ("@system-service", "@no-such-set"),
    ],
)
def test_systemd_finds_what_is_wrong(tmp_path, old, new):
    files = _copied(tmp_path)
    for file in files:
        path = Path(file)
        path.write_text(path.read_text().replace(old, new))
    assert _complaints(files)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_units_may_do_little(unit):
    options = ("--offline=true", f"--threshold={MOST_EXPOSED}")
    run = _run("systemd-analyze", "security", *options, str(unit))
    assert run.returncode == 0, run.stdout
    text = unit.read_text()
    assert ("DynamicUser=yes" in text) != ("User=ringforge" in text)


def test_the_enclave_gets_no_more_than_the_parent_gives_up():
    allocator = yaml.safe_load((PARENT / "allocator.yaml").read_text())
    enclave = yaml.safe_load((PARENT / "enclave.json").read_text())
    assert enclave["memory_mib"] <= allocator["memory_mib"]
    assert enclave["cpu_count"] <= allocator["cpu_count"]


def test_every_file_for_aws_says_that_it_did_not_run_there():
    files = [*AWS.rglob("*.tf"), *UNITS, AWS / "Dockerfile", AWS / "build.sh"]
    files += [PARENT / "start.sh.tftpl", PARENT / "allocator.yaml"]
    assert len(files) > 10
    assert [path.name for path in files if "Not yet run on AWS" not in path.read_text()] == []


def test_what_the_enclave_starts_is_a_module_of_the_project():
    python, option, module = COMMAND
    assert (python, option) == ("/usr/local/bin/python3", "-m")
    assert (AWS.parents[1] / Path(*module.split("."))).with_suffix(".py").is_file()


def test_the_base_image_is_named_with_its_digest():
    base = tomllib.loads((AWS / "inputs.lock").read_text())["base"]
    assert re.fullmatch("[0-9a-f]{64}", base["sha256"])
