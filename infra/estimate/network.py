"""What it costs to carry bytes from one member to another: TLS, HTTP, hash and file, measured."""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np

from infra.leaves import leaf_root
from infra.loop import BackgroundLoop
from infra.plan.keys import create_identity, public_key_of
from infra.transport.client import PeerClient
from infra.transport.fetch import fetch_blob
from infra.transport.ledger import SentLedger
from infra.transport.outbox import Outbox, make_app, serve
from infra.transport.tls import Identity, Members
from mpc_core.protocol.merkle import chunk_root

__all__ = ["carry_costs"]

BLOB_BYTES = 1 << 25
CEREMONY = "00" * 16
SERVER, CLIENT = "server", "client"


def carry_costs(leaf_bytes: int, repetitions: int) -> tuple[float, float]:
    """Return the CPU seconds that serving and fetching a byte take.

    Both sides run in this process and are measured together; what the hash and the file of the
    receiver cost alone is measured beside, and of the rest each side does half.

    Args:
        leaf_bytes: leaves of the Merkle tree.
        repetitions: how often.
    """
    data = np.zeros(BLOB_BYTES, np.uint8).tobytes()
    root = chunk_root(data, leaf_bytes)
    keys = {name: create_identity() for name in (SERVER, CLIENT)}
    members = Members(CEREMONY, {name: public_key_of(key) for name, key in keys.items()})
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        identity = Identity(SERVER, keys[SERVER], members)
        outbox = Outbox(place / "outbox", SentLedger(place / "sent.json"))
        outbox.path(root, "N").write_bytes(data)
        loop, stack = BackgroundLoop("serving"), AsyncExitStack()
        try:
            port = loop.run(stack.enter_async_context(serve(make_app(identity, outbox), identity)))
            with PeerClient(Identity(CLIENT, keys[CLIENT], members)) as client:
                peer = client.peer(SERVER, "127.0.0.1", port)
                together, alone = [], []
                for number in range(repetitions + 1):
                    start = time.process_time()
                    fetch_blob(peer, root, BLOB_BYTES, leaf_bytes, place / f"{number}")
                    fetched = time.process_time()
                    leaf_root(data, leaf_bytes)
                    (place / "alone").write_bytes(data)
                    together.append(fetched - start)
                    alone.append(time.process_time() - fetched)
        finally:
            loop.run(stack.aclose())
            loop.close()
    receiving = statistics.median(alone[1:]) / BLOB_BYTES
    carrying = max(statistics.median(together[1:]) / BLOB_BYTES - receiving, 0.0)
    return carrying / 2, receiving + carrying / 2
