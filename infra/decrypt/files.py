"""Whether a file may be decrypted in a ceremony at all; nothing is started to find out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activities.work.phases import list_for
from infra.decrypt.record import unfinished
from mpc_core.protocol.errors import CeremonyError
from mpc_core.tfhe.ciphertexts import LIST_LIMIT
from mpc_core.tfhe.encryption import check_flood
from mpc_core.tfhe.parameters import lookup

if TYPE_CHECKING:
    from pathlib import Path

    from infra.homes import CeremonyFolder
    from mpc_core.protocol.plan import Plan
    from mpc_core.tfhe.ciphertexts import CompactList

__all__ = ["check_ceremony", "read_list"]


def check_ceremony(folder: CeremonyFolder, plan: Plan) -> None:
    """Check that lists are decrypted in this ceremony.

    Raises:
        CeremonyError: RF-RUN-032 outside a sandbox, RF-TFHE-004 for a set that is not insecure,
            RF-RUN-030 before the key set is published.
    """
    if not plan.sandbox:
        raise CeremonyError(
            "RF-RUN-032",
            "ciphertexts are decrypted in a sandbox only",
            expected="sandbox = true in plan.toml",
            found="the plan of a real ceremony",
            effect="nothing was started",
            next_step="try this in a sandbox: ringforge sandbox",
            runbook="start",
        )
    check_flood(lookup(plan.parameters), plan.tests.flood_bound_log2)
    if not folder.report_json.is_file():
        raise unfinished("no report of a finished run in the folder")


def read_list(file: Path, plan: Plan) -> tuple[bytes, CompactList]:
    """Read a compact ciphertext list that was made under the ceremony's public key.

    Returns:
        The bytes of the file, and the list.

    Raises:
        CeremonyError: RF-RUN-033 if the file cannot be read, RF-TFHE-002 if it is no such list,
            RF-TFHE-005 if it was made with another key.
    """
    try:
        with file.open("rb") as source:
            data = source.read(LIST_LIMIT + 1)
    except OSError as error:
        raise CeremonyError(
            "RF-RUN-033",
            f"{file} cannot be read",
            expected="a file with a compact ciphertext list",
            found=error.strerror or type(error).__name__,
            effect="nothing was started",
            next_step="check the path and who may read it",
            runbook="start",
        ) from error
    return data, list_for(lookup(plan.parameters), bytes.fromhex(plan.ceremony_id), data)
