"""Fetching a blob: resumable, never longer than promised, verified before it has its name.

What arrives is kept in `.<name>.<peer>.part` beside the target, one file per peer, so that nobody
answers for another one's bytes. The target appears by an atomic rename once its Merkle root fits.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from io import FileIO
from typing import TYPE_CHECKING

from infra.files import SECRET_FILE, disk_errors, make_directory, replace_durably
from infra.transport.client import RefusedRequestError, read_limited, too_long
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import root_of_chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import aiohttp

    from infra.transport.client import Peer

__all__ = ["fetch_blob", "is_blob"]

_SHORT_ANSWER = 4096
_OK, _PARTIAL, _NOT_FOUND = 200, 206, 404


@dataclass(frozen=True, slots=True)
class _Download:
    """One blob on its way from one peer."""

    peer: Peer
    root: bytes
    size: int
    leaf_bytes: int
    part: Path

    @property
    def path(self) -> str:
        return f"/blobs/{self.root.hex()}"

    def present(self) -> int:
        """Return how many bytes have arrived."""
        return self.part.stat().st_size if self.part.exists() else 0

    def is_right(self) -> bool:
        return is_blob(self.part, self.root, self.size, self.leaf_bytes)


def fetch_blob(
    peer: Peer,
    root: bytes,
    size: int,
    leaf_bytes: int,
    target: Path,
    *,
    tick: Callable[[], None] | None = None,
) -> Path:
    """Bring the blob with this root into `target`, from a thread.

    Args:
        peer: who is asked.
        root: RFC 6962 root over the blob's leaves.
        size: its length in bytes.
        leaf_bytes: length of all leaves but the last.
        target: where it is put; nothing is fetched if it is there and right.
        tick: called about every second in this thread; what it raises ends the fetch.

    Returns:
        `target`.

    Raises:
        CeremonyError: RF-PEER-010 if the peer has less than `size` bytes, -011 if it sends more,
            -012 if they do not fit the root, -014 if it has no such blob (in these cases nothing
            is kept); -007 or -013 if it cannot be reached or is too slow (what arrived is kept and
            continued by the next call); as `PeerClient.persist`; RF-DISK-001 and -002.
    """
    with peer.client.exclusive(target):
        if is_blob(target, root, size, leaf_bytes):
            return target
        if not target.parent.is_dir():
            make_directory(target.parent)
        part = target.with_name(f".{target.name}.{peer.name}.part")
        download = _Download(peer, root, size, leaf_bytes, part)
        resumed = download.present() > 0
        _complete(download, tick)
        if resumed and not download.is_right():
            # A part left by a crash may be torn: only bytes of this run count against the peer.
            part.unlink()
            _complete(download, tick)
        if not download.is_right():
            part.unlink()
            raise _altered(download)
        replace_durably(part, target)
        return target


def is_blob(path: Path, root: bytes, size: int, leaf_bytes: int) -> bool:
    """Tell whether the file is there and is the blob with this root."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    return root_of_chunks(_leaves(path, leaf_bytes)) == root


def _leaves(path: Path, leaf_bytes: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while leaf := file.read(leaf_bytes):
            yield leaf


def _complete(download: _Download, tick: Callable[[], None] | None) -> None:
    """Let all bytes arrive; an answer that cannot be right takes its part along."""
    peer = download.peer
    try:
        peer.run(peer.client.persist(peer, lambda: _continue(download)), tick)
    except CeremonyError as error:
        if error.code in {"RF-PEER-010", "RF-PEER-011"}:
            download.part.unlink(missing_ok=True)
        raise


async def _continue(download: _Download) -> None:
    """Ask once for what is missing and append it."""
    peer, present = download.peer, download.present()
    if download.part.exists() and present >= download.size:
        return
    headers = {"Range": f"bytes={present}-"} if present else {}
    async with (
        asyncio.timeout(peer.client.patience.seconds_for(download.size - present)),
        peer.client.exchange(peer, "GET", download.path, headers=headers) as response,
    ):
        start = await _start_of(download, response, present)
        await _append(download, response, start)


async def _start_of(download: _Download, response: aiohttp.ClientResponse, present: int) -> int:
    """Return where the answer begins: at the bytes asked for, or at 0 if it is the whole blob."""
    if response.status == _OK:
        return 0
    if response.status == _PARTIAL and present:
        wanted = f"bytes {present}-{download.size - 1}/{download.size}"
        found = response.headers.get("Content-Range", "")
        if found == wanted:
            return present
        raise _truncated(download, f"the range {found[:100]!r}")
    answer = await read_limited(response, _SHORT_ANSWER, download.peer, download.path)
    if response.status == _NOT_FOUND:
        raise _missing(download)
    raise RefusedRequestError(download.peer.name, download.path, response.status, answer)


async def _append(download: _Download, response: aiohttp.ClientResponse, start: int) -> None:
    missing = download.size - start
    declared = response.content_length
    if declared is not None and declared > missing:
        raise too_long(download.peer, download.path, download.size)
    if declared is not None and declared < missing:
        raise _truncated(download, f"{start + declared} bytes")
    with _open_at(download.part, start) as file:
        async for piece in response.content.iter_any():
            missing -= len(piece)
            if missing < 0:
                raise too_long(download.peer, download.path, download.size)
            _write(download.part, file, piece)
    if missing:
        raise _truncated(download, f"{download.size - missing} bytes")


def _open_at(part: Path, start: int) -> FileIO:
    """Open a part unbuffered, so that a lost connection loses no byte that arrived."""
    with disk_errors(part):
        file = FileIO(part, "r+" if start else "w", opener=_open_private)
        file.seek(start)
        return file


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, SECRET_FILE)


def _write(part: Path, file: FileIO, piece: bytes) -> None:
    with disk_errors(part):
        rest = memoryview(piece)
        while rest:
            rest = rest[file.write(rest) :]


def _truncated(download: _Download, found: str) -> CeremonyError:
    return _useless(
        "RF-PEER-010", download, "sent less than the log says", f"{download.size} bytes", found
    )


def _altered(download: _Download) -> CeremonyError:
    return _useless(
        "RF-PEER-012",
        download,
        "sent bytes that are not those it committed to",
        f"Merkle root {download.root.hex()}",
        "another root",
    )


def _missing(download: _Download) -> CeremonyError:
    return _useless(
        "RF-PEER-014",
        download,
        "does not serve a blob it should have",
        f"the blob {download.root.hex()}",
        "HTTP status 404",
    )


def _useless(code: str, download: _Download, what: str, expected: str, found: str) -> CeremonyError:
    name = download.peer.name
    return CeremonyError(
        code,
        f"{name} {what}",
        expected=expected,
        found=found,
        effect="the answer was thrown away; other members can still be asked",
        next_step=f"tell the people who run {name}: their process or their disk is broken",
        runbook="peer-sends-garbage",
        operator=name,
    )
