"""INSECURE: the local key service on a port of this machine."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from infra.loop import BackgroundLoop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from infra.enclave.kms.insecure_local import InsecureLocalKms

__all__ = ["serving"]

LOOPBACK = "127.0.0.1"


@contextmanager
def serving(kms: InsecureLocalKms, port: int = 0) -> Iterator[str]:
    """Serve while the context lasts; gives the URL for clients on this machine."""
    loop = BackgroundLoop("insecure-local-kms")
    runner = web.AppRunner(kms.application(), access_log=None)
    try:
        address = loop.run(_start(runner, port))
        yield f"http://{address[0]}:{address[1]}"
    finally:
        loop.run(runner.cleanup())
        loop.close()


async def _start(runner: web.AppRunner, port: int) -> tuple[str, int]:
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port).start()
    host, bound = runner.addresses[0][:2]
    return host, bound
