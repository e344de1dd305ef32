"""One entry of an operator whose process does not run, handed to the host of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.board.client import HttpTransport
from infra.party.attesting import operator_identity
from infra.party.host import address_of
from infra.transport.client import Patience, PeerClient
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from infra.homes import Home
    from mpc_core.protocol.plan import Plan

__all__ = ["post_once"]


def post_once(
    home: Home,
    plan: Plan,
    key: Ed25519PrivateKey,
    board: str,
    envelope: bytes,
    *,
    patience: Patience | None = None,
) -> None:
    """Post an entry, over a connection on which its author proves itself.

    Args:
        home: the operator's.
        plan: the signed plan.
        key: its identity key.
        board: where the log is, host:port; the coordinator or a deputy must answer there.
        envelope: the signed entry.
        patience: how often and how long a host is called.

    Raises:
        CeremonyError: RF-RUN-010 if the address is none; RF-PEER-* if no host of the plan is there;
            the host's refusal.
    """
    address = address_of(board)
    client = PeerClient(operator_identity(home, plan, key), patience=patience or Patience())
    try:
        refusals = []
        for host in plan.hosts:
            way = HttpTransport(client.peer(host, *address), plan.limits.entry_bytes)
            try:
                client.loop.run(way.submit(envelope))
            except CeremonyError as refusal:
                if not refusal.code.startswith("RF-PEER-"):
                    raise
                refusals.append(refusal)
            else:
                return
        raise refusals[0]
    finally:
        client.close()
