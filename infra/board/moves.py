"""Moving the board to another host: who asks, what operators answer, and what opens an epoch.

A *move request* is signed by the party that wants to host: the coordinator or a deputy of the plan.
It says where that host can be reached. An operator answers with a *move statement*: a note that
names the highest certificate it holds. n-t statements for one epoch and host are its *opening*, and
the highest certificate among them is its *base*: the new log begins with the entries below it
(PROTOCOL.md, "Model").

Security: a checkpoint that counts was certified by n-t operators, each of which kept the
certificate before it signed. So among any n-t statements an honest one names it, or a higher one;
whatever operators have acted upon is below every base. After its statement an operator signs
nothing in older epochs, so nothing can begin to count there afterwards.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.board import strict

# The types of fields are looked up when messages are read, so these are needed at run time.
from infra.board.notes import (
    Checkpoint,
    Head,
    HeadSignature,
    head_text,
    require_quorum,
    signature_is_valid,
)
from infra.board.wire import verify_signature
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from mpc_core.protocol.plan import Plan

__all__ = [
    "MoveRequest",
    "MoveStatement",
    "Opening",
    "SignedRequest",
    "check_request",
    "check_statement",
    "move_text",
    "sign_request",
    "sign_statement",
    "verify_opening",
]

REQUEST_DOMAIN = b"ringforge/move-request/v1\0"
HOST_BYTES = 255
"""Most bytes of a host's address."""


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """A party of the plan wants to host the board.

    Attributes:
        epoch: the epoch that is to open.
        host: the party's name in the plan.
        address: where it serves the board.
        port: the port there.
    """

    epoch: int
    host: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A move request under the signature of the party that it names."""

    request: MoveRequest
    signature: bytes


@dataclass(frozen=True, slots=True)
class MoveStatement:
    """An operator's answer: from now on it signs nothing before `epoch`.

    Attributes:
        signer: index of the operator.
        epoch: the epoch that is to open.
        host: who is to host it.
        certified: the highest certificate that the signer holds, with its n-t signatures.
        signature: under `move_text`.
    """

    signer: int
    epoch: int
    host: str
    certified: Checkpoint | None
    signature: bytes


@dataclass(frozen=True, slots=True)
class Opening:
    """What opens an epoch: n-t statements, ascending by signer, and the request they answer."""

    request: SignedRequest
    statements: tuple[MoveStatement, ...]

    @property
    def epoch(self) -> int:
        """The epoch that is open by this."""
        return self.request.request.epoch

    @property
    def host(self) -> str:
        """Name of the party that hosts it."""
        return self.request.request.host

    @property
    def base(self) -> Checkpoint | None:
        """The highest certificate that the statements name, None for the empty log."""
        named = [each.certified for each in self.statements if each.certified is not None]
        return max(named, key=lambda found: (found.head.epoch, found.head.size), default=None)


def sign_request(plan: Plan, request: MoveRequest, key: Ed25519PrivateKey) -> SignedRequest:
    """Sign a request with the key of the party that it names."""
    return SignedRequest(request, key.sign(_request_bytes(plan, request)))


def check_request(plan: Plan, signed: SignedRequest) -> None:
    """Check that a party which may host the board signed the request.

    Raises:
        CeremonyError: RF-LOG-030.
    """
    request = signed.request
    key = plan.hosts.get(request.host)
    if key is None or not verify_signature(key, _request_bytes(plan, request), signed.signature):
        raise _refused(
            "a move of the board is asked for by somebody who may not host it",
            expected="the signature of one of " + ", ".join(plan.hosts),
            found=f"a request in the name of {request.host[:40]!r}",
        )
    if request.epoch < 1 or len(request.address) > HOST_BYTES or not 0 < request.port < 1 << 16:
        raise _refused(
            "a move request says nothing that an operator could follow",
            expected="an epoch from 1 on, an address and a port",
            found=f"epoch {request.epoch}, port {request.port}",
        )


def move_text(ceremony_id: str, epoch: int, host: str, highest: Head | None) -> bytes:
    """Return the text of a move statement; it names the highest certificate by its head."""
    named = "none"
    if highest is not None:
        digest = hashlib.sha256(head_text(ceremony_id, highest)).digest()
        named = f"{highest.epoch} {highest.size} {base64.b64encode(digest).decode()}"
    return (
        f"ringforge/{ceremony_id}/move\nepoch {epoch}\nhost {host}\ncertificate {named}\n".encode()
    )


def sign_statement(
    plan: Plan,
    request: MoveRequest,
    highest: Checkpoint | None,
    signer: int,
    key: Ed25519PrivateKey,
) -> MoveStatement:
    """Sign a move statement; that it may be signed is the caller's duty (`witness`)."""
    head = highest.head if highest is not None else None
    text = move_text(plan.ceremony_id, request.epoch, request.host, head)
    return MoveStatement(signer, request.epoch, request.host, highest, key.sign(text))


def check_statement(plan: Plan, request: MoveRequest, statement: MoveStatement) -> None:
    """Check that a statement answers this request and names a certificate that is one.

    Raises:
        CeremonyError: RF-LOG-031, or RF-LOG-024 if what it names is not certified.
    """
    highest = statement.certified
    head = highest.head if highest is not None else None
    text = move_text(plan.ceremony_id, statement.epoch, statement.host, head)
    fits = (statement.epoch, statement.host) == (request.epoch, request.host)
    part = HeadSignature(statement.signer, statement.signature)
    is_older = head is None or head.epoch < request.epoch
    if not fits or not is_older or not signature_is_valid(plan, text, part):
        raise _no_opening("a move statement that does not answer the request")
    if highest is not None:
        require_quorum(plan, head_text(plan.ceremony_id, highest.head), highest.head_signatures)


def verify_opening(plan: Plan, opening: Opening) -> None:
    """Check that n-t operators opened this epoch under this host.

    Raises:
        CeremonyError: RF-LOG-030 if the request is not signed by a possible host, RF-LOG-031 if
            the statements do not open it, RF-LOG-024 if one names what is no certificate.
    """
    check_request(plan, opening.request)
    signers = [each.signer for each in opening.statements]
    if signers != sorted(set(signers)) or len(signers) < plan.quorum:
        raise _no_opening(f"statements of {len(set(signers))} operators")
    for statement in opening.statements:
        check_statement(plan, opening.request.request, statement)


def _request_bytes(plan: Plan, request: MoveRequest) -> bytes:
    return REQUEST_DOMAIN + plan.hash + strict.encode(request)


def _refused(subject: str, expected: str, found: str) -> CeremonyError:
    return CeremonyError(
        "RF-LOG-030",
        subject,
        expected=expected,
        found=found,
        effect="this operator stays with the host that it has",
        next_step="ask the people of that host whether they asked for it",
        runbook="coordinator-lost",
    )


def _no_opening(found: str) -> CeremonyError:
    return CeremonyError(
        "RF-LOG-031",
        "nothing shows that n-t operators opened this epoch of the log",
        expected="move statements of n-t operators for one epoch and host",
        found=found,
        effect="nothing is signed in that epoch",
        next_step="ask the host to gather the statements again",
        runbook="coordinator-lost",
    )
