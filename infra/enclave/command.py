"""`ringforge attestation`: what a document says, and whether to believe it.

`show` decodes; `verify` is the verifier that operators use on one another. A document from a file
answers nobody's question, so its nonce and bound keys are shown and not judged.
"""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING

from infra.cli.ending import UNVERIFIED, print_json
from infra.enclave.chain import aws_root
from infra.enclave.document import read_document
from infra.enclave.files import decode_file, read_file
from infra.enclave.measurement import MOST_PLAN_BYTES, check_measurement, read_measurement
from infra.enclave.verification import authenticate, check_age
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.x509 import Certificate

    from infra.enclave.document import Document

__all__ = ["show_command", "verify_command"]

_WIDTH = 12
_ZERO = bytes(48)


def show_command(file: Path, *, as_json: bool) -> int:
    """Show what the document in a file says, believed or not.

    Args:
        file: a document, binary or base64.
        as_json: one JSON object instead of lines for people.

    Returns:
        0.

    Raises:
        CeremonyError: RF-ATTEST-001 if it is none, RF-ATTEST-012 if the file cannot be read.
    """
    document = read_document(decode_file(read_file(file)))
    if as_json:
        print_json(_as_dict(document))
    else:
        sys.stdout.write(_as_text(document) + "\nnot verified: ringforge attestation verify\n")
    return 0


def verify_command(
    file: Path,
    *,
    policy: Path | None,
    at_document_time: bool,
    as_json: bool,
    root: Callable[[], Certificate] = aws_root,
) -> int:
    """Verify the document in a file and show it.

    Args:
        file: a document, binary or base64.
        policy: a plan whose measurement it must have; without one no measurement is compared.
        at_document_time: accept a document of any age.
        as_json: one JSON object instead of lines for people.
        root: returns the pinned root.

    Returns:
        0 if it is valid, 4 if not.

    Raises:
        CeremonyError: RF-ATTEST-012 if a file cannot be read.
    """
    data = read_file(file)
    plan = None if policy is None else read_file(policy, MOST_PLAN_BYTES)
    try:
        document = authenticate(decode_file(data), root())
        if plan is not None:
            check_measurement(document.pcrs, read_measurement(plan))
        if not at_document_time:
            check_age(document, dt.datetime.now(dt.UTC))
    except CeremonyError as error:
        if as_json:
            print_json({"verdict": "invalid", "exit": UNVERIFIED, "error": error.as_dict()})
        sys.stderr.write(error.render() + "\n")
        return UNVERIFIED
    compared = plan is not None
    if as_json:
        verdict = {"verdict": "valid", "exit": 0, "measurement_compared": compared}
        print_json({**verdict, **_as_dict(document)})
    else:
        measured = "of the plan's software" if compared else "no measurement compared: --policy"
        sys.stdout.write(f"{_as_text(document)}\nvalid at {_time(document)}; {measured}\n")
    return 0


def _as_dict(document: Document) -> dict[str, object]:
    return {
        "digest": document.digest.hex(),
        "module_id": document.module_id,
        "time": _time(document),
        "pcrs": {str(index): value.hex() for index, value in document.pcrs.items()},
        "user_data": _hex(document.user_data),
        "nonce": _hex(document.nonce),
        "public_key": _hex(document.public_key),
        "certificates": len(document.cabundle) + 1,
    }


def _as_text(document: Document) -> str:
    fields = [
        ("digest", document.digest.hex()),
        ("module", document.module_id),
        ("time", _time(document)),
        *((f"PCR{index}", value.hex()) for index, value in document.pcrs.items() if value != _ZERO),
        ("user data", _hex(document.user_data) or "none"),
        ("nonce", _hex(document.nonce) or "none"),
        ("public key", _hex(document.public_key) or "none"),
    ]
    return "\n".join(f"{name:<{_WIDTH}}{value}" for name, value in fields)


def _time(document: Document) -> str:
    return document.time.isoformat(timespec="milliseconds")


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()
