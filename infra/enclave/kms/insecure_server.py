"""INSECURE: the local key service on a port of this machine."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from infra.enclave.kms.policy import KeyHolder
from infra.loop import BackgroundLoop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from infra.enclave.kms.insecure_local import InsecureLocalKms

__all__ = ["LOOPBACK", "access_key", "sandbox_holder", "sandbox_principals", "serving"]

LOOPBACK = "127.0.0.1"
ROLE = "arn:aws:iam::000000000000:role/"
ADMINISTRATOR = "Admin"


def access_key(operator: str, *, administrator: bool = False) -> str:
    """Return the access key under which a sandbox's operator, or who destroys its key, asks."""
    return operator.replace("-", "") + (ADMINISTRATOR if administrator else "")


def sandbox_holder(operator: str) -> KeyHolder:
    """Return who has to do with the key of a sandbox's operator."""
    return KeyHolder(f"{ROLE}{operator}", f"{ROLE}{operator}{ADMINISTRATOR}")


def sandbox_principals(operators: Iterable[str]) -> dict[str, str]:
    """Return the callers of a sandbox's key service by access key."""
    found = {}
    for name in operators:
        holder = sandbox_holder(name)
        found[access_key(name)] = holder.role
        found[access_key(name, administrator=True)] = holder.administrator
    return found


@contextmanager
def serving(kms: InsecureLocalKms, port: int = 0, host: str = LOOPBACK) -> Iterator[str]:
    """Serve while the context lasts; gives the URL for clients that reach `host`."""
    loop = BackgroundLoop("insecure-local-kms")
    runner = web.AppRunner(kms.application(), access_log=None)
    try:
        address = loop.run(_start(runner, port, host))
        yield f"http://{address[0]}:{address[1]}"
    finally:
        loop.run(runner.cleanup())
        loop.close()


async def _start(runner: web.AppRunner, port: int, host: str) -> tuple[str, int]:
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    found, bound = runner.addresses[0][:2]
    return found, bound
