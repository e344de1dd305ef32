"""Where a party says that it can be called."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from mpc_core.protocol.rules import require

if TYPE_CHECKING:
    from mpc_core.protocol.entries import Address

__all__ = ["check_address"]

HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")
MOST_HOST_CHARACTERS = 253
MOST_PORTS = 1 << 16


def check_address(entry: Address) -> None:
    """Void an entry whose address is no IP address or name of the DNS, and a port."""
    require(_is_address(entry.host, entry.port), "nobody can be called there")


def _is_address(host: str, port: int) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if len(host) > MOST_HOST_CHARACTERS or not HOST_NAME.fullmatch(host):
            return False
    return 0 < port < MOST_PORTS
