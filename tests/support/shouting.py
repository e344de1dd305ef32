"""Members that speak TLS properly and HTTP as a script says: nothing helps them to be honest."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from infra.transport.tls import Identity

PIECE = bytes(64 * 1024)
REQUEST_BYTES = 64 * 1024


@dataclass
class Shouter:
    """A member that answers every request by a script; counts what it could get rid of."""

    identity: Identity
    script: Callable[[Shouter, ssl.SSLSocket], None]
    sent: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def send(self, line: ssl.SSLSocket, data: bytes) -> None:
        line.sendall(data)
        self.sent += len(data)

    def answer(self, connection: socket.socket) -> None:
        context = self.identity.server_context()
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as line:
            line.recv(REQUEST_BYTES)
            self.script(self, line)


@contextmanager
def shouting(
    identity: Identity, script: Callable[[Shouter, ssl.SSLSocket], None]
) -> Iterator[tuple[Shouter, int]]:
    """Serve as the script says; yield the server and its port."""
    shouter = Shouter(identity, script)
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threads.append(threading.Thread(target=shouter.answer, args=(connection,)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield shouter, listening.getsockname()[1]
        finally:
            shouter.over.set()
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()


def for_ever(head: bytes, piece: bytes = PIECE) -> Callable[[Shouter, ssl.SSLSocket], None]:
    """Return the script that sends a head and then the same piece again and again."""

    def script(shouter: Shouter, line: ssl.SSLSocket) -> None:
        shouter.send(line, head)
        while not shouter.over.is_set():
            shouter.send(line, piece)

    return script


def drop_by_drop(head: bytes, drop: bytes) -> Callable[[Shouter, ssl.SSLSocket], None]:
    """Return the script that sends a head and then a little at a time."""

    def script(shouter: Shouter, line: ssl.SSLSocket) -> None:
        shouter.send(line, head)
        while not shouter.over.wait(0.02):
            shouter.send(line, drop)

    return script
