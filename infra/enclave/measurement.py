"""Measurements: which software an enclave runs, as the registers of its security module say it.

PCR0 is the image, PCR1 kernel and boot, PCR2 the application, PCR8 who signed the image.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.enclave.document import DIGEST_BYTES
from infra.enclave.refusals import attestation_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mpc_core.protocol.errors import CeremonyError

__all__ = [
    "MOST_PLAN_BYTES",
    "NAMED",
    "Measurement",
    "check_measurement",
    "check_production",
    "read_measurement",
]

NAMED = (0, 1, 2, 8)
"""Registers that a plan may name."""

ALWAYS = (0, 1, 2)
"""Registers that every image fills; a policy without one of them would allow other software."""

ZERO = bytes(DIGEST_BYTES)
MOST_PLAN_BYTES = 131_072

Hex48 = Annotated[str, Field(pattern="^[0-9a-f]{96}$")]


@dataclass(frozen=True, slots=True)
class Measurement:
    """The registers that the approved software has.

    Attributes:
        pcrs: value by index, of PCR0, PCR1, PCR2 and, if images are signed, PCR8.

    Raises:
        CeremonyError: RF-ATTEST-009 if it leaves open which software runs.
    """

    pcrs: Mapping[int, bytes]

    def __post_init__(self) -> None:
        missing = [index for index in ALWAYS if index not in self.pcrs]
        if missing:
            raise _open(f"none for {', '.join(f'PCR{index}' for index in missing)}")
        for index, value in self.pcrs.items():
            if index not in NAMED:
                raise _open(f"PCR{index}")
            if len(value) != DIGEST_BYTES or value == ZERO:
                raise _open(f"PCR{index}, which is {value.hex()}")


def read_measurement(toml: bytes) -> Measurement:
    """Return the measurement in the table `measurement` of a plan; signatures are not checked.

    Raises:
        CeremonyError: RF-ATTEST-009 if there is none, or one that leaves open which software runs.
    """
    if len(toml) > MOST_PLAN_BYTES:
        raise _open(f"a file of {len(toml)} bytes")
    try:
        table = _Plan.model_validate(tomllib.loads(toml.decode())).measurement
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _open(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise _open("a file that is not TOML") from error
    values = {0: table.pcr0, 1: table.pcr1, 2: table.pcr2, 8: table.pcr8}
    return Measurement({index: bytes.fromhex(value) for index, value in values.items() if value})


def check_production(pcrs: Mapping[int, bytes]) -> None:
    """Refuse a debug enclave, in which everything can be read from outside.

    Raises:
        CeremonyError: RF-ATTEST-004 if a register is empty that every image fills.
    """
    for index in ALWAYS:
        if pcrs.get(index, ZERO) == ZERO:
            raise attestation_error(
                "RF-ATTEST-004",
                "the attestation document is of an enclave in debug mode",
                f"PCR{index} of an image",
                f"PCR{index} is zero" if index in pcrs else f"no PCR{index}",
                "start the enclave without --debug-mode, then ask for a new document",
            )


def check_measurement(pcrs: Mapping[int, bytes], approved: Measurement, operator: str = "") -> None:
    """Refuse software that is not the approved one.

    Raises:
        CeremonyError: RF-ATTEST-005 if a register differs.
    """
    for index, value in sorted(approved.pcrs.items()):
        found = pcrs.get(index, b"")
        if found != value:
            raise attestation_error(
                "RF-ATTEST-005",
                f"{operator or 'the enclave'} runs software that the plan does not name",
                f"PCR{index} {value.hex()}",
                f"PCR{index} {found.hex()}" if found else f"no PCR{index}",
                "start the image that the plan names, or sign a plan that names this one",
                operator=operator,
            )


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    pcr0: Hex48
    pcr1: Hex48
    pcr2: Hex48
    pcr8: Hex48 | None = None
    document_seconds: int | None = None
    insecure_root: str | None = None


class _Plan(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    measurement: _Table


def _open(found: str) -> CeremonyError:
    return attestation_error(
        "RF-ATTEST-009",
        "the policy leaves open which software may run",
        "PCR0, PCR1 and PCR2, or these and PCR8, each of 48 bytes that are not all zero",
        found,
        "write the measurement of the released image into the plan",
        effect="no document is accepted under this policy",
    )
