"""`ringforge release`: from a checkout to a signed image, and from a manifest back."""

from __future__ import annotations

import base64
import hashlib
import sys
from typing import TYPE_CHECKING

from infra.cli.ending import UNVERIFIED, print_json
from infra.files import disk_errors, replace_durably
from infra.governance.answers import read_card
from infra.homes import Home
from infra.image.build import build_image
from infra.image.comparison import MOST_BILL_BYTES, compare
from infra.image.refusals import UNREADABLE, read_limited
from infra.image.registers import measure_file
from infra.image.release import MOST_BYTES, Release, read_release, sign_release
from infra.image.sbom import bill_of_materials
from infra.image.source import Source, digest_of
from infra.plan.hybrid import PublicIdentity
from infra.plan.keys import read_identity
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from infra.image.comparison import Given

__all__ = [
    "application_command",
    "bill_command",
    "image_command",
    "sign_command",
    "verify_command",
]


def application_command(source: Path, output: Path) -> int:
    """Write the tar of the packages; the same source gives the same bytes."""
    return _write(Source(source).application(), output)


def bill_command(source: Path, commit: str, output: Path) -> int:
    """Write the bill of materials; the same source gives the same bytes."""
    of = Source(source)
    bill = bill_of_materials(of.version(), of.requirements(), of.inputs(), commit)
    return _write(iter([memoryview(bill)]), output)


def image_command(source: Path, boot: Path, root: Path, output: Path) -> int:
    """Write an enclave image; the same inputs give the same bytes."""
    of = Source(source)
    return _write(build_image(of.inputs(), boot, root, of.version()), output)


def sign_command(
    source: Path, commit: str, *, image: Path, bill: Path, home: Path, output: Path
) -> int:
    """Sign what a release is.

    Raises:
        CeremonyError: RF-IMAGE-* if a part cannot be read, RF-PLAN-010 if the home has no
            identity, RF-RELEASE-001 if the commit is none, RF-RELEASE-002 if it has one key only.
    """
    of, measured = Source(source), measure_file(image)
    release = Release(
        of.version(),
        commit,
        measured.sha256,
        measured.size,
        measured.pcrs,
        digest_of(of.application()),
        hashlib.sha256(of.requirements_lock).digest(),
        hashlib.sha256(of.inputs_lock).digest(),
        hashlib.sha256(read_limited(bill, MOST_BILL_BYTES)).digest(),
    )
    place = Home(home.resolve())
    manifest = sign_release(release, read_identity(place.vault, place.name))
    return _write(iter([memoryview(manifest)]), output)


def verify_command(manifest: Path, signer: Path, given: Given, *, as_json: bool) -> int:
    """Check who signed a manifest, and compare it with whatever is given.

    Returns:
        0 if all of it agrees, 4 if not.

    Raises:
        CeremonyError: RF-IMAGE-003 or RF-GOVERN-001 if a file cannot be read.
    """
    data, card = read_limited(manifest, MOST_BYTES), read_card(signer)
    key = base64.b64decode(card.ml_dsa_key or "")
    try:
        signed = read_release(data)
        signed.check(PublicIdentity(bytes.fromhex(card.identity_key), key))
        compare(signed.release, given)
    except CeremonyError as error:
        if error.code == UNREADABLE:
            raise
        if as_json:
            print_json({"verdict": "invalid", "exit": UNVERIFIED, "error": error.as_dict()})
        sys.stderr.write(error.render() + "\n")
        return UNVERIFIED
    release, compared, missing = signed.release, given.names(there=True), given.names(there=False)
    if as_json:
        shown = {"version": release.version, "commit": release.commit, "signer": card.name}
        print_json({"verdict": "valid", "exit": 0, "compared": compared, **shown})
    else:
        sys.stdout.write(
            f"{release.body.decode()}signed by {card.name}\n"
            f"compared: {', '.join(compared) or 'nothing'}\n"
            f"not compared: {', '.join(missing) or 'nothing'}\n"
        )
    return 0


def _write(pieces: Iterator[memoryview], output: Path) -> int:
    """Write a file whole or not at all, and show its digest."""
    digest = hashlib.sha256()
    temporary = output.with_name(f".{output.name}.tmp")
    try:
        with disk_errors(output), temporary.open("wb") as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    replace_durably(temporary, output)
    sys.stdout.write(f"{digest.hexdigest()}  {output}\n")
    return 0
