"""`ringforge operator temporal-request` and `temporal-line`: people's part in an enclave's line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from infra.enclave.files import read_file
from infra.governance.answers import read_card
from infra.governance.refusals import governance_error
from infra.homes import Home
from infra.party.instruct import show_instruction
from infra.party.temporal_line import checked_line, checked_request
from infra.plan import load_signed_plan

if TYPE_CHECKING:
    from pathlib import Path

    from infra.party.instructions import TemporalLine

__all__ = ["line_command", "request_command"]

MOST_BYTES = 1 << 17


def request_command(card: Path, request: Path) -> int:
    """Write the request of an operator's enclave for a certificate, as authorities take it.

    Args:
        card: the operator's card.
        request: what its enclave left in the bucket beside it.

    Returns:
        0.

    Raises:
        CeremonyError: RF-GOVERN-001 or RF-ATTEST-012 if a file cannot be read, RF-TEMP-011 if the
            identity on the card did not sign the request.
    """
    identity = bytes.fromhex(read_card(card).identity_key)
    found = checked_request(read_file(request, MOST_BYTES), identity)
    sys.stdout.write(found.public_bytes(Encoding.PEM).decode())
    return 0


def line_command(
    folder: Path,
    representative: Path,
    server: TemporalLine,
    request: Path | None,
    *,
    as_json: bool,
) -> int:
    """Write the line of a launch document by which an enclave knows the Temporal server.

    Args:
        folder: the people's folder of the operator, with the signed plan.
        representative: home of who speaks for it.
        server: the server, its authority and the operator's certificate.
        request: what the certificate was made for, if there is one.
        as_json: one JSON object instead of the line.

    Returns:
        0.

    Raises:
        CeremonyError: RF-TEMP-011 if the operator's enclave did not ask for this certificate,
            RF-GOVERN-010 or RF-PLAN-010 if somebody else speaks for it, RF-PLAN-* for the plan.
    """
    home = Home(folder.resolve())
    home.check()
    plan = load_signed_plan(home.path).plan
    index = plan.index_of(home.name)
    if not index:
        raise governance_error(
            "RF-GOVERN-002",
            "the plan names no operator with the name of this folder",
            "one of " + ", ".join(each.name for each in plan.operators),
            home.name,
            "name the folder as the plan names the operator",
        )
    key = None
    if request is not None:
        identity = plan.operators[index - 1].identity_key
        key = checked_request(read_file(request, MOST_BYTES), identity).public_key()
    checked_line(server, key)
    show_instruction(server, home, plan, representative, as_json=as_json)
    return 0
