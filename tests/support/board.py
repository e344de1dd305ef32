"""Plans, keys and entries for tests of the board."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.board import wire
from infra.board.moves import MoveRequest, Opening, sign_request, sign_statement
from infra.board.vault import FileVault
from mpc_core.protocol.context import BatchName
from mpc_core.protocol.entries import Close, Entry, Root
from mpc_core.protocol.plan import (
    COORDINATOR,
    Deadlines,
    DeputyIdentity,
    Layout,
    Limits,
    OperatorIdentity,
    Plan,
    TestRules,
)

if TYPE_CHECKING:
    from pathlib import Path

    from infra.board.notes import Checkpoint

DEPUTY = "deputy-1"
DEPUTY_KEY = 100


def key_of(index: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"key %d" % index).digest())


def public_of(index: int) -> bytes:
    return key_of(index).public_key().public_bytes_raw()


def board_plan(
    *, entries_per_operator: int = 1000, entry_bytes: int = 4096, count: int = 4
) -> Plan:
    return Plan(
        hash=hashlib.sha256(b"plan").digest(),
        ceremony_id="00112233445566778899aabbccddeeff",
        parameters="toy",
        sandbox=True,
        insecure=(),
        threshold=(count - 1) // 3,
        operators=tuple(
            OperatorIdentity(index, f"op-{index:02d}", public_of(index))
            for index in range(1, count + 1)
        ),
        coordinator_key=public_of(0),
        deadlines=Deadlines(step_seconds=10, waiting_seconds=60),
        layout=Layout(1, 1024, 1024, 1024, 4096, 4),
        limits=Limits(entry_bytes, entries_per_operator, corrections_per_operator=2),
        tests=TestRules(42, (1, 2), 8),
        deputies=(DeputyIdentity(DEPUTY, public_of(DEPUTY_KEY)),),
    )


def vault_at(path: Path) -> FileVault:
    """The record of what an operator signed: that of an earlier run, or of a home just made."""
    vault = FileVault(path)
    if not path.exists():
        vault.create()
    return vault


def root_entry(number: int) -> Root:
    digest = hashlib.sha256(b"entry %d" % number).digest()
    return Root(BatchName("N", number), digest, digest)


def signed(number: int, plan: Plan, author: int = 1) -> bytes:
    return wire.sign_entry(root_entry(number), plan, author, key_of(author))


def statement(entry: Entry, plan: Plan, signers: tuple[int, ...]) -> bytes:
    body = wire.body_of(entry)
    return wire.assemble(
        body, [wire.endorse(body, plan.hash, signer, key_of(signer)) for signer in signers]
    )


def closing(slot: str, plan: Plan, signers: tuple[int, ...] = (1, 2, 3)) -> bytes:
    return statement(Close(slot), plan, signers)


def host_key(host: str) -> Ed25519PrivateKey:
    return key_of(0 if host == COORDINATOR else DEPUTY_KEY)


def move_request(plan: Plan, epoch: int, host: str = COORDINATOR, port: int = 7000):
    return sign_request(plan, MoveRequest(epoch, host, "127.0.0.1", port), host_key(host))


def opening_of(
    plan: Plan,
    epoch: int,
    *certificates: Checkpoint | None,
    host: str = COORDINATOR,
    signers: tuple[int, ...] = (1, 2, 3),
) -> Opening:
    """What opens an epoch, when these are the certificates that the signers name."""
    request = move_request(plan, epoch, host)
    named = [*certificates, *[None] * (len(signers) - len(certificates))]
    return Opening(
        request,
        tuple(
            sign_statement(plan, request.request, certificate, signer, key_of(signer))
            for signer, certificate in zip(signers, named, strict=True)
        ),
    )
