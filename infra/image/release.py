"""The signed statement about a release: which image, from which source, with what in it.

```
ringforge release v1
version 0.1.0
commit 4d01874...
image 5e2f... 310378496
pcr0 9a1c...
pcr1 ...
pcr2 ...
pcr8 ...                          (none where nobody signed the image)
application 77ab...               (the tar of the source that went into the image)
requirements 0c1d...              (requirements.lock)
inputs 88e0...                    (infra/aws/inputs.lock)
bill 3f9a...                      (the bill of materials)
signature ed25519+ml-dsa-65 base64
```
Digests are SHA-256. There is one rendering of each release and nothing else is read.

Security: the signature shows what whoever holds the identity calls a release. It replaces no look
    at the source: operators build the image themselves, compare, and sign a plan that names it.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.image.refusals import image_error
from infra.plan.hybrid import HYBRID, HYBRID_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.plan.hybrid import HybridIdentity, PublicIdentity
    from mpc_core.protocol.errors import CeremonyError

__all__ = ["MOST_BYTES", "Release", "SignedRelease", "read_release", "sign_release"]

DOMAIN = b"ringforge/release/v1\0"
MOST_BYTES = 16_384
REGISTERS = (0, 1, 2, 8)

_SHA256 = b"([0-9a-f]{64})"
_BODY = re.compile(
    rb"ringforge release v1\n"
    rb"version ((?:0|[1-9][0-9]{0,5})(?:\.(?:0|[1-9][0-9]{0,5})){2})\n"
    rb"commit ([0-9a-f]{40}|[0-9a-f]{64})\n"
    rb"image " + _SHA256 + rb" ([1-9][0-9]{0,11})\n"
    rb"pcr0 ([0-9a-f]{96})\npcr1 ([0-9a-f]{96})\npcr2 ([0-9a-f]{96})\n"
    rb"(?:pcr8 ([0-9a-f]{96})\n)?"
    rb"application " + _SHA256 + rb"\n"
    rb"requirements " + _SHA256 + rb"\n"
    rb"inputs " + _SHA256 + rb"\n"
    rb"bill " + _SHA256 + rb"\n"
)
_SIGNATURE = re.compile(
    rb"signature " + re.escape(HYBRID.encode()) + rb" ([A-Za-z0-9+/]{4,8192}={0,2})\n"
)


@dataclass(frozen=True, slots=True)
class Release:
    """What is said of a release.

    Attributes:
        version: of the project.
        commit: of the source, in hex.
        image: SHA-256 of the image file.
        size: of the image file in bytes.
        pcrs: its registers.
        application: SHA-256 of the tar of the source that went into it.
        requirements: SHA-256 of requirements.lock.
        inputs: SHA-256 of the lock of inputs.
        bill: SHA-256 of the bill of materials.
    """

    version: str
    commit: str
    image: bytes
    size: int
    pcrs: Mapping[int, bytes]
    application: bytes
    requirements: bytes
    inputs: bytes
    bill: bytes

    @property
    def body(self) -> bytes:
        """The lines that are signed."""
        registers = (f"pcr{at} {self.pcrs[at].hex()}\n" for at in REGISTERS if at in self.pcrs)
        return (
            f"ringforge release v1\nversion {self.version}\ncommit {self.commit}\n"
            f"image {self.image.hex()} {self.size}\n{''.join(registers)}"
            f"application {self.application.hex()}\nrequirements {self.requirements.hex()}\n"
            f"inputs {self.inputs.hex()}\nbill {self.bill.hex()}\n"
        ).encode()


@dataclass(frozen=True, slots=True)
class SignedRelease:
    """A release and a signature that is not verified yet."""

    release: Release
    signature: bytes

    def check(self, signer: PublicIdentity) -> None:
        """Check that this identity signed it.

        Raises:
            CeremonyError: RF-RELEASE-002 if it did not, by both of its keys.
        """
        if signer.algorithm != HYBRID or not signer.verifies(
            self.signature, DOMAIN + self.release.body
        ):
            raise image_error(
                "RF-RELEASE-002",
                "the manifest is not signed by whom it should be",
                f"a signature of {signer.ed25519.hex()} by both keys",
                "another one",
                "fetch it again; compare the card of the signer with what its people say",
                effect="nothing in it is believed",
            )


def sign_release(release: Release, identity: HybridIdentity) -> bytes:
    """Return the manifest of a release, signed.

    Raises:
        CeremonyError: RF-RELEASE-001 if what is said cannot stand in one, RF-RELEASE-002 if the
            identity has one key only.
    """
    signature = identity.sign(DOMAIN + release.body)
    shown = base64.b64encode(signature).decode()
    data = release.body + f"signature {HYBRID} {shown}\n".encode()
    read_release(data).check(identity.public)
    return data


def read_release(data: bytes) -> SignedRelease:
    """Return what a manifest says; its signature is not verified.

    Raises:
        CeremonyError: RF-RELEASE-001 unless the bytes are the one rendering of a release.
    """
    body = _BODY.match(data[:MOST_BYTES])
    ending = _SIGNATURE.fullmatch(data, body.end()) if body and len(data) <= MOST_BYTES else None
    if body is None or ending is None:
        raise _malformed("other lines")
    text = [None if field is None else field.decode() for field in body.groups()]
    version, commit, image, size, *rest = text
    registers, digests = rest[: len(REGISTERS)], rest[len(REGISTERS) :]
    pcrs = {
        at: bytes.fromhex(value) for at, value in zip(REGISTERS, registers, strict=True) if value
    }
    release = Release(
        str(version),
        str(commit),
        bytes.fromhex(str(image)),
        int(str(size)),
        pcrs,
        *(bytes.fromhex(str(digest)) for digest in digests),
    )
    try:
        signature = base64.b64decode(ending[1], validate=True)
    except ValueError as error:
        raise _malformed("a signature that is no base64") from error
    if len(signature) != HYBRID_BYTES or base64.b64encode(signature) != ending[1]:
        raise _malformed("a signature of another length")
    return SignedRelease(release, signature)


def _malformed(found: str) -> CeremonyError:
    return image_error(
        "RF-RELEASE-001",
        "the file is not the manifest of a release",
        "the lines of a manifest, each once and in order",
        found,
        "fetch it again",
        effect="nothing was compared",
    )
