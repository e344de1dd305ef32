"""Stands behind the handshake of a server whose callers must prove what they run.

It is the first protocol of a connection: it judges the caller's document before anything that the
caller sent is read, and gives the connection to the real protocol, or says why not and ends it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.transport.notice import raw_answer
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from infra.transport.tls import Identity

__all__ = ["Doorman"]


@dataclass(eq=False, slots=True)
class Doorman(asyncio.Protocol):
    """Lets a caller in, or tells it why not.

    Attributes:
        identity: who serves, and judges.
        protocol: makes what handles a connection of somebody who was let in.
    """

    identity: Identity
    protocol: Callable[[], asyncio.Protocol]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Judge who has just shaken hands."""
        assert isinstance(transport, asyncio.Transport)
        try:
            self.identity.caller(transport)
        except CeremonyError as error:
            self.identity.report(error)
            transport.write(raw_answer(error))
            transport.close()
            return
        protocol = self.protocol()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
