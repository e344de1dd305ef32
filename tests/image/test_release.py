"""A manifest is signed by both keys of its signer, and everything it names is compared."""

import dataclasses
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra.cli.main import app
from infra.governance.answers import Card, render_card
from infra.image.registers import measure_file
from infra.image.release import Release, read_release, sign_release
from infra.image.source import PACKAGES, Source, digest_of
from infra.plan.hybrid import HybridIdentity
from infra.plan.keys import create_hybrid_identity, create_identity
from mpc_core.protocol.errors import CeremonyError
from tests.image.test_build import BOOT, lock, root_file_system

ROOT = Path(__file__).parents[2]
COMMIT = "ab" * 20
REGISTERS = {at: hashlib.sha384(b"register %d" % at).digest() for at in (0, 1, 2, 8)}
RELEASE = Release(
    "0.1.0",
    COMMIT,
    hashlib.sha256(b"image").digest(),
    123_456,
    REGISTERS,
    *(hashlib.sha256(name).digest() for name in (b"source", b"lock", b"inputs", b"bill")),
)


@pytest.fixture(scope="module")
def identity():
    return create_hybrid_identity()


@pytest.fixture(scope="module")
def manifest(identity):
    return sign_release(RELEASE, identity)


def _card(path, identity, name="release-team"):
    public = identity.public
    path.write_text(render_card(Card.of(name, public.ed25519, public.ml_dsa, {})))
    return path


def test_what_is_signed_is_read_again(manifest, identity):
    found = read_release(manifest)
    assert found.release == RELEASE
    found.check(identity.public)


def test_an_image_that_nobody_signed_has_no_register_8(identity):
    bare = dataclasses.replace(RELEASE, pcrs={at: REGISTERS[at] for at in (0, 1, 2)})
    data = sign_release(bare, identity)
    assert b"pcr8" not in data
    assert read_release(data).release == bare


def test_a_changed_byte_is_refused_wherever_it_is(manifest, identity):
    body, end = len(RELEASE.body), len(manifest)
    for at in (*range(body), *range(body, end, 17), *range(end - 8, end)):
        changed = manifest[:at] + bytes([manifest[at] ^ 1]) + manifest[at + 1 :]
        with pytest.raises(CeremonyError, match=r"RF-RELEASE-00[12]"):
            read_release(changed).check(identity.public)


def test_another_signer_is_refused(manifest):
    with pytest.raises(CeremonyError, match="RF-RELEASE-002"):
        read_release(manifest).check(create_hybrid_identity().public)


def test_one_of_two_keys_is_not_enough(manifest, identity):
    classical = HybridIdentity(create_identity(), identity.ml_dsa)
    post_quantum = HybridIdentity(identity.ed25519, create_hybrid_identity().ml_dsa)
    for half in (classical, post_quantum):
        with pytest.raises(CeremonyError, match="RF-RELEASE-002"):
            read_release(manifest).check(half.public)
    with pytest.raises(CeremonyError, match="RF-RELEASE-00"):
        sign_release(RELEASE, HybridIdentity(identity.ed25519, None))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"v1", b"v2"),
        (b"0.1.0", b"0.01.0"),
        (b"0.1.0", b"0.1"),
        (COMMIT.encode(), b"HEAD"),
        (COMMIT.encode(), COMMIT.upper().encode()),
        (b" 123456\n", b" 0123456\n"),
        (b" 123456\n", b" 0\n"),
        (b"pcr2 ", b"pcr3 "),
        (b"\n", b"\r\n"),
        (b"bill ", b"bill  "),
        (b"signature", b"more\nsignature"),
        (b"ed25519+ml-dsa-65", b"ed25519"),
    ],
    ids=range(12),
)
def test_another_notation_is_refused(manifest, old, new):
    assert old in manifest
    with pytest.raises(CeremonyError, match="RF-RELEASE-001"):
        read_release(manifest.replace(old, new))


@pytest.fixture(scope="module")
def released(tmp_path_factory, identity):
    """Everything that a release consists of, made by the commands, in a folder."""
    folder = tmp_path_factory.mktemp("release")
    source = folder / "source"
    for name in PACKAGES:
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "tests")
        )
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, source / name)
    (source / "infra" / "aws" / "inputs.lock").write_bytes(lock())
    (folder / "boot").mkdir()
    for name, data in BOOT.items():
        (folder / "boot" / name).write_bytes(data)
    root_file_system(folder / "root.tar")
    home = ["--home", str(folder / "release-team")]
    _run("plan", "identity", *home, into=folder / "card.toml")
    made = ["--source", str(source), "--commit", COMMIT]
    _run("release", "bill", *made, "--output", str(folder / "bill.json"))
    blobs = ["--boot", str(folder / "boot"), "--root", str(folder / "root.tar")]
    image = ["--source", str(source), *blobs, "--output", str(folder / "ringforge.eif")]
    _run("release", "image", *image)
    parts = ["--image", str(folder / "ringforge.eif"), "--bill", str(folder / "bill.json")]
    _run("release", "sign", *made, *parts, *home, "--output", str(folder / "manifest"))
    pcrs = measure_file(folder / "ringforge.eif").pcrs
    lines = [f'pcr{at} = "{value.hex()}"' for at, value in pcrs.items()]
    (folder / "plan.toml").write_text("\n".join(["[measurement]", *lines]))
    return folder


def _run(*words, into=None):
    run = CliRunner().invoke(app, list(words))
    assert run.exit_code == 0, run.stderr
    if into is not None:
        into.write_text(run.stdout)
    return run


def _verify(folder, *options, signer=None, manifest="manifest"):
    command = ["release", "verify", str(folder / manifest)]
    command += ["--signer", str(signer or folder / "card.toml"), *options]
    return CliRunner().invoke(app, command)


def _everything(folder):
    names = {"image": "ringforge.eif", "bill": "bill.json", "source": "source", "plan": "plan.toml"}
    return [word for option, name in names.items() for word in (f"--{option}", str(folder / name))]


def test_a_release_that_the_commands_made_is_valid(released):
    run = _verify(released, *_everything(released))
    assert run.exit_code == 0, run.stderr
    assert "compared: image, bill, source, plan\nnot compared: nothing" in run.stdout
    assert "signed by release-team" in run.stdout


def test_what_is_not_given_is_said_not_to_be_compared(released):
    run = _verify(released, "--json")
    assert run.exit_code == 0
    assert json.loads(run.stdout)["compared"] == []
    assert "not compared: image, bill, source, plan" in _verify(released).stdout


@pytest.mark.parametrize("name", ["image", "bill", "source", "plan"])
def test_anything_else_than_what_was_released_is_4(released, tmp_path, name):
    copy = tmp_path / "copy"
    shutil.copytree(released, copy)
    changed = {
        "image": copy / "ringforge.eif",
        "bill": copy / "bill.json",
        "source": copy / "source" / "mpc_core" / "__init__.py",
        "plan": copy / "plan.toml",
    }[name]
    data = changed.read_bytes() or b"# changed"
    changed.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
    run = _verify(copy, *_everything(copy))
    assert run.exit_code == 4
    assert "RF-" in run.stderr


@pytest.mark.parametrize("lock_name", ["requirements.lock", "infra/aws/inputs.lock"])
def test_another_lock_is_4(released, tmp_path, lock_name):
    shutil.copytree(released / "source", tmp_path / "source")
    path = tmp_path / "source" / lock_name
    path.write_bytes(path.read_bytes() + b"# changed\n")
    run = _verify(released, "--source", str(tmp_path / "source"))
    assert run.exit_code == 4
    assert "RF-RELEASE-003" in run.stderr


def test_another_signer_is_4_and_a_missing_file_is_1(released, tmp_path):
    other = _card(tmp_path / "other.toml", create_hybrid_identity())
    assert _verify(released, signer=other).exit_code == 4
    assert _verify(released, "--image", str(tmp_path / "none")).exit_code == 1
    assert _verify(released, manifest="none").exit_code == 1


def test_the_application_of_a_checkout_is_its_packages_and_nothing_of_the_deployment(released):
    source = Source(released / "source")
    archive = b"".join(source.application())
    assert digest_of(source.application()) == hashlib.sha256(archive).digest()
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        names = members.getnames()
    assert "opt/ringforge/infra/enclave/aws-nitro-root.pem" in names
    assert "opt/ringforge/ringforge-0.1.0.dist-info/METADATA" in names
    assert not any("aws/" in name or "__pycache__" in name for name in names)


def test_the_application_starts_from_where_it_lies_in_an_image(released, tmp_path):
    with tarfile.open(
        fileobj=io.BytesIO(b"".join(Source(released / "source").application()))
    ) as it:
        it.extractall(tmp_path, filter="data")
    place = tmp_path / "opt" / "ringforge"
    look = (
        "import infra.image.start, importlib.metadata as m;"
        "print(infra.__file__, *{d.version for d in m.distributions(name='ringforge')})"
    )
    run = subprocess.run(
        [sys.executable, "-c", look],
        env={**os.environ, "PYTHONPATH": str(place)},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.split() == [str(place / "infra" / "__init__.py"), "0.1.0"], run.stderr


def test_what_cannot_be_written_or_built_leaves_nothing(released, tmp_path):
    folder = tmp_path / "none"
    command = ["release", "application", "--source", str(released / "source"), "--output"]
    run = CliRunner().invoke(app, [*command, str(folder / "application.tar")])
    assert run.exit_code == 1
    assert "RF-DISK-002" in run.stderr
    blobs = ["--boot", str(tmp_path), "--root", str(released / "root.tar")]
    image = ["release", "image", "--source", str(released / "source"), *blobs, "--output"]
    run = CliRunner().invoke(app, [*image, str(tmp_path / "ringforge.eif")])
    assert run.exit_code == 1
    assert "RF-IMAGE-003" in run.stderr
    assert list(tmp_path.iterdir()) == []
