"""Images are measured as AWS measures them, and none is that has two readings."""

import hashlib
import json
from pathlib import Path

import pytest

from infra.image.eif import Kind, Section, read_sections, write_image
from infra.image.registers import measure
from mpc_core.protocol.errors import CeremonyError
from tests.image.images import (
    COMMAND_LINE,
    CONTENTS,
    KERNEL,
    METADATA,
    RAMDISK,
    SIGNATURE,
    image,
)

VECTORS = Path(__file__).parent / "vectors"
NO_APPLICATION = (
    "21b9efbc184807662e966d34f390821309eeac6802309798"
    "826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"
)
"""PCR2 of real enclaves whose image has one ramdisk, as in tkhq/qos and MystenLabs/nautilus."""


def _measured(data):
    return measure(memoryview(data))


def _pcr(*parts):
    content = hashlib.sha384(b"".join(parts)).digest()
    return hashlib.sha384(bytes(48) + content).digest()


def test_registers_are_over_the_contents_that_the_specification_names():
    (_, kernel), (_, line), _, (_, boot), (_, application) = CONTENTS
    assert _measured(image()).pcrs == {
        0: _pcr(kernel, line, boot, application),
        1: _pcr(kernel, line, boot),
        2: _pcr(application),
    }


def test_registers_follow_the_order_of_the_file():
    (kernel, line, metadata, boot, application) = CONTENTS
    moved = _measured(image((line, metadata, kernel, boot, application)))
    assert moved.pcrs[1] == _pcr(line[1], kernel[1], boot[1])
    assert moved.pcrs[2] == _measured(image()).pcrs[2]


def test_an_image_of_one_ramdisk_has_the_register_of_no_application():
    assert _measured(image(CONTENTS[:4])).pcrs[2].hex() == NO_APPLICATION


def test_metadata_and_header_are_in_no_register():
    other = tuple((kind, b"{}" if kind == METADATA else data) for kind, data in CONTENTS)
    assert _measured(image(other)).pcrs == _measured(image()).pcrs
    assert _measured(image(flags=1)).pcrs == _measured(image()).pcrs
    assert _measured(image(other)).sha256 != _measured(image()).sha256


@pytest.mark.parametrize("name", sorted(path.stem for path in VECTORS.glob("*.json")))
def test_images_that_the_library_of_aws_wrote_measure_as_it_says(name):
    expected = json.loads((VECTORS / f"{name}.json").read_text())
    found = _measured((VECTORS / f"{name}.eif").read_bytes())
    assert {f"PCR{index}": value.hex() for index, value in found.pcrs.items()} == expected


@pytest.mark.parametrize("name", sorted(path.stem for path in VECTORS.glob("*.eif")))
def test_what_the_library_of_aws_wrote_is_written_again_byte_for_byte(name):
    data = (VECTORS / f"{name}.eif").read_bytes()
    assert b"".join(write_image(read_sections(memoryview(data)))) == data


def test_what_is_written_is_read_again():
    sections = [Section(Kind(kind), memoryview(data)) for kind, data in CONTENTS]
    data = b"".join(write_image(sections))
    assert list(read_sections(memoryview(data))) == sections


@pytest.mark.parametrize(
    "wrong",
    [
        {"magic": b".elf"},
        {"version": 1},
        {"version": 5},
        {"flags": 2},
        {"reserved": 1},
        {"unused": 1},
        {"count": 4},
        {"count": 6},
        {"count": 33},
        {"gap": b"\0"},
        {"section_flags": 1},
        {"said": 1},
        {"said": -1},
        {"checksum": 0},
        {"contents": CONTENTS[1:]},
        {"contents": (*CONTENTS, CONTENTS[0])},
        {"contents": (CONTENTS[0], *CONTENTS[2:])},
        {"contents": CONTENTS[:3]},
        {"contents": (*CONTENTS[:2], *CONTENTS[3:])},
        {"contents": (CONTENTS[3], *CONTENTS[:3])},
        {"contents": (*CONTENTS, (6, b""))},
        {"contents": (*CONTENTS, (0, b""))},
        {"contents": (*CONTENTS, (METADATA, b""))},
        {"contents": (*CONTENTS, (SIGNATURE, bytes(32_769)))},
        {"contents": (*CONTENTS, *[(RAMDISK, b"")] * 28)},
        {"contents": ((KERNEL, b""), (COMMAND_LINE, b""))},
    ],
    ids=str,
)
def test_an_image_with_a_second_reading_is_refused(wrong):
    with pytest.raises(CeremonyError, match="RF-IMAGE-001"):
        _measured(image(**wrong))


def test_every_changed_byte_is_refused():
    data = image()
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(CeremonyError, match="RF-IMAGE-001"):
            _measured(changed)
