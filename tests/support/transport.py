"""Members with identities, and servers of them on real sockets."""

from __future__ import annotations

from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.loop import BackgroundLoop
from infra.transport.client import Patience, Peer, PeerClient
from infra.transport.outbox import serve
from infra.transport.tls import COORDINATOR, Identity, Members

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

    from infra.transport.gate import Room
    from mpc_core.protocol.errors import CeremonyError

CEREMONY = "00112233445566778899aabbccddeeff"
NAMES = ("op-01", "op-02", "op-03", "op-04", COORDINATOR)
QUICK = Patience(
    connect_seconds=5.0,
    silence_seconds=5.0,
    attempts=3,
    first_delay_seconds=0.01,
    longest_delay_seconds=0.02,
)


def keys_of(names: tuple[str, ...] = NAMES) -> dict[str, Ed25519PrivateKey]:
    return {name: Ed25519PrivateKey.generate() for name in names}


def members_of(keys: dict[str, Ed25519PrivateKey], ceremony_id: str = CEREMONY) -> Members:
    raw = {name: key.public_key().public_bytes_raw() for name, key in keys.items()}
    return Members(ceremony_id, raw)


@dataclass
class World:
    """All keys of a ceremony, its members, and what each of them refused."""

    keys: dict[str, Ed25519PrivateKey] = field(default_factory=keys_of)
    refusals: list[CeremonyError] = field(default_factory=list)

    @property
    def members(self) -> Members:
        return members_of(self.keys)

    def identity(self, name: str) -> Identity:
        return Identity(name, self.keys[name], self.members, refused=self.refusals.append)


@contextmanager
def serving(
    app: web.Application, identity: Identity, port: int = 0, **options: Room
) -> Iterator[int]:
    """Serve an application on a loop of its own; yield the port."""
    loop, stack = BackgroundLoop("test-server"), AsyncExitStack()

    async def start() -> int:
        return await stack.enter_async_context(serve(app, identity, port=port, **options))

    try:
        yield loop.run(start())
    finally:
        loop.run(stack.aclose())
        loop.close()


@contextmanager
def calling(identity: Identity, name: str, port: int, patience: Patience = QUICK) -> Iterator[Peer]:
    """Yield the peer `name` at a port of this machine, as `identity` calls it."""
    with PeerClient(identity, patience=patience) as client:
        yield client.peer(name, "127.0.0.1", port)
