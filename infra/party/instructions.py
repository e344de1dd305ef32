"""What its people tell an operator's enclave at its start, by way of a parent that nobody believes.

An instruction counts under the signature of who speaks for the operator by the plan. It lies in the
launch document, whose other fields are the parent's. The parent can keep it back, or show an older
one of the same plan; it cannot make one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from infra.board import strict
from infra.governance.refusals import governance_error
from infra.plan.hybrid import speaker_of

if TYPE_CHECKING:
    from infra.plan.hybrid import HybridIdentity
    from mpc_core.protocol.errors import CeremonyError
    from mpc_core.protocol.plan import Plan

__all__ = ["Instruction", "Leave", "TemporalLine", "read_instruction", "sign_instruction"]

DOMAIN = b"ringforge/instruction/v1\0"


@dataclass(frozen=True, slots=True)
class Leave:
    """The operator is to leave for good.

    Attributes:
        board: address of the log, host:port, on which it says so first; "" if nobody hosts it.
    """

    kind: ClassVar[str] = "leave"
    board: str


@dataclass(frozen=True, slots=True)
class TemporalLine:
    """By what the operator knows the Temporal server, and the server the operator.

    Attributes:
        address: of the server, host:port.
        server_name: the name in its certificate, "" for that of the address.
        namespace: where the operator's task queues are, "" for the one that all share.
        authority: certificates under one of which the server's is, in PEM.
        certificate: the operator's, in PEM, with those between it and its authority; empty where
            the server asks for none.
    """

    kind: ClassVar[str] = "temporal-line"
    address: str
    server_name: str
    namespace: str
    authority: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True)
class _Signed:
    body: bytes
    signature: bytes


Instruction = TypeVar("Instruction", Leave, TemporalLine)


def sign_instruction(
    said: Instruction, plan: Plan, operator: int, speaker: HybridIdentity
) -> bytes:
    """Return an instruction as it stands in a launch document, before base64.

    Args:
        said: the instruction.
        plan: the signed plan.
        operator: index of the operator that is told.
        speaker: identity of who speaks for it.
    """
    body = strict.encode(said)
    return strict.encode(_Signed(body, speaker.sign(_message(said.kind, plan, operator, body))))


def read_instruction(
    shape: type[Instruction], data: bytes, plan: Plan, operator: int
) -> Instruction:
    """Return an instruction of this kind.

    Args:
        shape: what kind it has to be.
        data: what the launch document says.
        plan: the signed plan.
        operator: index of the operator that is told.

    Raises:
        CeremonyError: RF-GOVERN-011 if it is none, or not signed for this operator under this plan.

    Security: before the signature is verified, nothing but its envelope is decoded.
    """
    name = plan.name_of(operator)
    if plan.representative_of(operator) is None:
        raise _refused("a plan that names nobody who speaks for it", name, shape.kind)
    try:
        signed = strict.decode(_Signed, data)
        message = _message(shape.kind, plan, operator, signed.body)
        if not speaker_of(plan, operator).verifies(signed.signature, message):
            raise _refused("no such signature", name, shape.kind)
        return strict.decode(shape, signed.body)
    except strict.Malformed as error:
        raise _refused(str(error), name, shape.kind) from error


def _message(kind: str, plan: Plan, operator: int, body: bytes) -> bytes:
    return DOMAIN + kind.encode() + b"\0" + plan.hash + bytes([operator]) + body


def _refused(found: str, operator: str, kind: str) -> CeremonyError:
    return governance_error(
        "RF-GOVERN-011",
        f"nobody who speaks for {operator} told its enclave this",
        f"a {kind} instruction under this plan, signed by its representative",
        found,
        "have that person sign it anew, and put it into the launch document as it is",
        effect="the enclave does nothing",
        operator=operator,
    )
