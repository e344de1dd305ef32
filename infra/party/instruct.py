"""What people write for an operator's enclave: an instruction, as its launch document has it."""

from __future__ import annotations

import base64
import sys
from typing import TYPE_CHECKING

from infra.cli.ending import print_json
from infra.governance.speaking import representative_identity
from infra.party.instructions import sign_instruction

if TYPE_CHECKING:
    from pathlib import Path

    from infra.homes import Home
    from infra.party.instructions import Instruction
    from mpc_core.protocol.plan import Plan

__all__ = ["show_instruction"]


def show_instruction(
    said: Instruction, home: Home, plan: Plan, representative: Path, *, as_json: bool
) -> None:
    """Sign an instruction, and write the line of a launch document that carries it.

    Args:
        said: the instruction.
        home: the people's folder of the operator that is told.
        plan: its signed plan.
        representative: home of who speaks for the operator.
        as_json: one JSON object instead of the line.

    Raises:
        CeremonyError: RF-GOVERN-010 or RF-PLAN-010 if somebody else speaks for it.
    """
    speaker = representative_identity(home, plan, representative)
    assert speaker is not None, "a home was given"
    signed = sign_instruction(said, plan, plan.index_of(home.name), speaker)
    field, line = said.kind.replace("-", "_"), base64.b64encode(signed).decode()
    if as_json:
        print_json({"operator": home.name, field: line})
    else:
        sys.stdout.write(f'{field} = "{line}"\n')
