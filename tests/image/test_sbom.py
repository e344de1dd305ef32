"""The bill of materials is valid, whole, and the same wherever it is made."""

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from infra.image.inputs import read_inputs
from infra.image.requirements import read_requirements
from infra.image.sbom import bill_of_materials
from mpc_core.protocol.errors import CeremonyError
from tests.image.test_build import lock
from tests.test_locking import _locked

REQUIREMENTS = Path(__file__).parents[2] / "requirements.lock"
COMMIT = "ab" * 20


def _bill(requirements=None, commit=COMMIT):
    found = read_requirements(requirements or REQUIREMENTS.read_bytes())
    return bill_of_materials("0.1.0", found, read_inputs(lock()), commit)


def test_it_is_valid_under_the_schema_of_cyclonedx():
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(_bill().decode()) is None
    broken = _bill().replace(b'"type": "library"', b'"type": "librarian"')
    assert validator.validate_str(broken.decode()) is not None


def test_it_names_every_locked_package_and_what_lies_below():
    components = json.loads(_bill())["components"]
    packages = {each["name"]: each["version"] for each in components if "purl" in each}
    assert packages == _locked()
    others = [each["name"] for each in components if "purl" not in each]
    assert others == ["docker.io/library/python:3.11", "bzImage", "init", "virtio.ko", "nsm.ko"]


def test_it_names_every_accepted_digest():
    text = REQUIREMENTS.read_text()
    components = json.loads(_bill())["components"]
    named = [value["value"] for each in components for value in each.get("properties", ())]
    assert len(named) == text.count("--hash=sha256:")
    assert all(f"sha256:{value}" in text for value in named)


def test_everything_is_needed_by_something_that_is_there():
    document = json.loads(_bill())
    there = {each["bom-ref"] for each in document["components"]}
    needs = {each["ref"]: set(each["dependsOn"]) for each in document["dependencies"]}
    assert set().union(*needs.values()) == there
    root = document["metadata"]["component"]["bom-ref"]
    reached, todo = set(), [root]
    while todo:
        reached.add(each := todo.pop())
        todo += needs.get(each, set()) - reached
    assert reached == there | {root}


def test_two_bills_are_the_same_bytes_and_another_commit_makes_another_serial_number():
    assert _bill() == _bill()
    serials = {json.loads(_bill(commit=commit))["serialNumber"] for commit in (COMMIT, "cd" * 20)}
    assert len(serials) == 2


PIN = "a==1.0 \\\n    --hash=sha256:" + "ab" * 32 + "\n    # via ringforge (pyproject.toml)\n"


def test_who_needs_whom_is_read_in_both_notations():
    text = PIN + PIN.replace("a==", "b==").replace(
        "# via ringforge (pyproject.toml)", "# via\n    #   -c (workspace)\n    #   a"
    )
    assert [each.needed_by for each in read_requirements(text.encode())] == [("ringforge",), ("a",)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        PIN.replace("==", ">="),
        PIN.replace("sha256:", "sha1:"),
        PIN.replace("ab" * 32, "ab" * 31),
        PIN.replace("    --hash=sha256:" + "ab" * 32 + "\n", ""),
        PIN + PIN,
        PIN.replace("a==", "b==") + PIN,
        PIN.replace("ringforge", "stranger"),
        "    --hash=sha256:" + "ab" * 32 + "\n" + PIN,
        PIN.replace("a==1.0", "a @ file:///x"),
        PIN.replace("    --hash", "    --index x\n    --hash"),
        "\u00e9" + PIN,
    ],
    ids=range(13),
)
def test_a_lock_that_leaves_something_open_is_refused(text):
    with pytest.raises(CeremonyError, match="RF-IMAGE-007"):
        read_requirements(text.encode())
