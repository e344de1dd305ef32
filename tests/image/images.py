"""Images made byte by byte from the specification: the code under test takes no part in them.

Source: aws/aws-nitro-enclaves-image-format, README.md, 2024-06-21.
"""

from __future__ import annotations

import struct
import zlib

KERNEL, COMMAND_LINE, RAMDISK, SIGNATURE, METADATA = 1, 2, 3, 4, 5
HEADER_BYTES = 548
CONTENTS = (
    (KERNEL, b"kernel" * 50),
    (COMMAND_LINE, b"reboot=k panic=30"),
    (METADATA, b'{"ImageName":"vector"}'),
    (RAMDISK, b"boot" * 30),
    (RAMDISK, b"application" * 20),
)


def image(
    contents=CONTENTS,
    *,
    magic=b".eif",
    version=4,
    flags=0,
    reserved=0,
    unused=0,
    count=None,
    gap=b"",
    section_flags=0,
    said=0,
    checksum=None,
):
    """Return an image; each keyword makes it wrong in one thing."""
    offsets, body = [], b""
    for kind, data in contents:
        offsets.append(HEADER_BYTES + len(body))
        body += struct.pack(">HHQ", kind, section_flags, len(data) + said) + data + gap
    sizes = [len(data) for _, data in contents]
    head = magic + struct.pack(">HHQQHH", version, flags, 0, 0, reserved, count or len(contents))
    for values in (offsets, sizes):
        head += b"".join(struct.pack(">Q", value) for value in values + [0] * (32 - len(values)))
    head += struct.pack(">I", unused)
    found = zlib.crc32(body, zlib.crc32(head))
    return head + struct.pack(">I", found if checksum is None else checksum) + body
