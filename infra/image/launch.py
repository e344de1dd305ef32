"""The launch document: what an enclave, which has no disk, is told at its start by its parent.

It says which plan the operator takes part in and over which ports of the parent it reaches whom.
Nothing in it is secret and nothing is believed: the plan counts by its signatures, the vault opens
under this plan only, and whoever is reached has to prove itself. A parent that lies keeps its own
operator away, which it can do without lying.

Before there is a plan a document without one says that the operator is to be enrolled: its enclave
makes the identity that the plan will name.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import tomllib
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from infra.image.refusals import image_error
from infra.plan.document import first_fault
from infra.plan.sections import Name, Particulars, Section, Text, as_tuple

if TYPE_CHECKING:
    from mpc_core.protocol.errors import CeremonyError

__all__ = ["MOST_BYTES", "Enrolment", "Launch", "Way", "no_launch", "read_launch"]

MOST_BYTES = 1 << 20
LARGEST_PORT = 65_535


def _is_base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not base64") from error
    return text


def _is_ipv4(text: str) -> str:
    if str(ipaddress.IPv4Address(text)) != text:
        raise ValueError("is not the one form of an address")
    return text


Port = Annotated[int, Field(ge=1, le=LARGEST_PORT)]
Host = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}\.?){1,8}$", max_length=253)]
Region = Annotated[str, Field(pattern="^[a-z]{2,4}(-[a-z]{1,16}){1,3}-[0-9]{1,2}$")]
Address = Annotated[str, AfterValidator(_is_ipv4)]
Encoded = Annotated[str, AfterValidator(_is_base64)]


class Way(Section):
    """Somebody whom the enclave reaches: `address` is a name or an address of IPv4."""

    address: Host
    port: Port
    vsock_port: Port

    @property
    def is_name(self) -> bool:
        """Whether the address has to be looked up."""
        try:
            ipaddress.IPv4Address(self.address)
        except ValueError:
            return True
        return False


class _Told(Section):
    """What every document says."""

    operator: Name
    region: Region
    ways: Annotated[tuple[Way, ...], BeforeValidator(as_tuple), Field(max_length=64)]


class Enrolment(Particulars, _Told):
    """What the document says before there is a plan; the particulars stand on the card.

    Attributes:
        operator: whose enclave this is.
        region: of its key and its bucket.
        kms_key: ARN of its key.
        storage: its bucket.
        ways: whom the enclave reaches.
    """

    kms_key: Text
    storage: Text

    @property
    def particulars(self) -> dict[str, str]:
        """What the card says of the operator besides name and keys."""
        found = self.model_dump(include=set(Particulars.model_fields), exclude_none=True)
        return {name: str(value) for name, value in found.items()}


class Launch(_Told):
    """What the document says.

    Attributes:
        operator: whose enclave this is.
        region: of its key and its bucket.
        plan: plan.toml in base64.
        signatures: plan.sig in base64, with as many signatures as there are.
        temporal: address of the Temporal server, host:port, one of the ways.
        board: address of the log, likewise; nothing to wait for a host that takes it over.
        listen: the address at which peers reach the parent.
        port: the port there, and of the enclave.
        rejoin: whether the operator's people say that its vault is lost.
        temporal_line: the instruction by what the Temporal server is known, in base64, likewise
            signed by who speaks for the operator; an operator of a sandbox needs none.
        leave: the instruction to leave for good, in base64 and signed likewise.
        ways: whom the enclave reaches.
    """

    plan: Encoded
    signatures: Encoded
    temporal: Annotated[str, Field(max_length=260)]
    board: Annotated[str, Field(max_length=260)] | None = None
    listen: Address
    port: Port
    rejoin: bool = False
    temporal_line: Encoded | None = None
    leave: Encoded | None = None


def read_launch(data: bytes) -> Launch | Enrolment:
    """Return what a launch document says; one without a plan is that of an enrolment.

    Raises:
        CeremonyError: RF-IMAGE-008 if it is none, or names a way twice.
    """
    if len(data) > MOST_BYTES:
        raise no_launch(f"more than {MOST_BYTES} bytes")
    try:
        table = tomllib.loads(data.decode())
        found = (Launch if "plan" in table else Enrolment).model_validate(table)
    except ValidationError as error:
        raise no_launch(first_fault(error)) from error
    except (ValueError, RecursionError) as error:
        raise no_launch("a file that is not TOML") from error
    ends = [(way.address, way.port) for way in found.ways]
    own = (found.listen, found.port) if isinstance(found, Launch) else None
    if len(set(ends)) != len(ends) or own in ends:
        raise no_launch("a way twice, or one to itself")
    return found


def no_launch(found: str) -> CeremonyError:
    """Return the error for a document that says nothing an enclave can do."""
    return image_error(
        "RF-IMAGE-008",
        "the parent handed the enclave no launch document",
        "operator, plan, signatures, addresses and ways",
        found,
        "write it as the page says and start the enclave again",
        effect="the operator does not start",
    )
