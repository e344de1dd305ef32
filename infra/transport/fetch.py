"""Fetching a blob: resumable, never longer than promised, verified before it has its name.

What arrives is hashed at once and kept in `.<name>.<peer>.part` beside the target, one file per
peer, so that nobody answers for another one's bytes; with several ranges at once each has a file.
The target appears by an atomic rename once its Merkle root fits. A blob that other parties on this
machine hold already arrives all the same, and is compared with their copy instead of written.
"""

from __future__ import annotations

import http.client
import os
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from infra.files import append, disk_errors, make_directory, mapped, move
from infra.leaves import leaf_root
from infra.transport.client import RefusedRequestError, too_long
from infra.transport.notice import NOTICE, refused_by
from infra.transport.parts import Part
from mpc_core.protocol import merkle
from mpc_core.protocol.errors import CeremonyError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from infra.shared import SharedOpenings
    from infra.spares import SpareFiles
    from infra.transport.bulk import HangUp
    from infra.transport.client import Peer

__all__ = ["fetch_blob", "is_blob"]

_SHORT_ANSWER = 4096
_TICK_SECONDS = 1.0
_OK, _PARTIAL, _NOT_FOUND = 200, 206, 404
_WRONG_ANSWERS = frozenset({"RF-PEER-010", "RF-PEER-011", "RF-PEER-014", "RF-PEER-019"})


def fetch_blob(
    peer: Peer,
    root: bytes,
    size: int,
    leaf_bytes: int,
    target: Path,
    *,
    tick: Callable[[], None] = lambda: None,
    shared: SharedOpenings | None = None,
    spares: SpareFiles | None = None,
) -> Path:
    """Bring the blob with this root into `target`, from a thread.

    Args:
        peer: who is asked.
        root: RFC 6962 root over the blob's leaves.
        size: its length in bytes.
        leaf_bytes: length of all leaves but the last.
        target: where it is put; nothing is fetched if it is there and right.
        tick: called about every second in this thread; what it raises ends the fetch.
        shared: copies of public blobs that this machine's parties have in common, if this is one.
        spares: files to be written over instead of making new ones.

    Returns:
        `target`.

    Raises:
        CeremonyError: RF-PEER-010 if the peer has less than `size` bytes, -011 if it sends more,
            -012 if they do not fit the root, -014 if it has no such blob (in these cases nothing
            is kept); -007 or -013 if it cannot be reached or is too slow (what arrived is kept and
            continued by the next call); as `BulkClient.get`; RF-DISK-001 and -002.
    """
    with _alone(peer.client.exclusive(target), tick):
        if not is_blob(target, root, size, leaf_bytes):
            if not target.parent.is_dir():
                make_directory(target.parent)
            _Download(peer, root, size, leaf_bytes, target, shared, spares).run(tick)
        return target


def is_blob(path: Path, root: bytes, size: int, leaf_bytes: int) -> bool:
    """Tell whether the file is there and is the blob with this root."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    return leaf_root(mapped(path), leaf_bytes) == root


@dataclass(frozen=True, slots=True)
class _Download:
    """One blob on its way from one peer."""

    peer: Peer
    root: bytes
    size: int
    leaf_bytes: int
    target: Path
    shared: SharedOpenings | None
    spares: SpareFiles | None

    @property
    def path(self) -> str:
        return f"/blobs/{self.root.hex()}"

    def run(self, tick: Callable[[], None]) -> None:
        """Let the blob arrive, and give it its name if it is the right one."""
        borrowed = self._beside("borrowed")
        known = None
        if self.shared is not None:
            known = self.shared.borrow(self.root, self.size, borrowed)
        parts = self._cut(known)
        try:
            self._collect(parts, tick)
            right = self._fits(parts)
            if not right and any(part.resumed for part in parts):
                # A part left by a crash may be torn: only bytes of this run count against the peer.
                _restart(parts)
                self._collect(parts, tick)
                right = self._fits(parts)
            if not right:
                _restart(parts)
                raise self._altered()
            if all(part.is_known for part in parts):
                move(borrowed, self.target)
            else:
                self._name(_joined(parts))
        finally:
            borrowed.unlink(missing_ok=True)

    def _beside(self, kind: str) -> Path:
        return self.target.with_name(f".{self.target.name}.{self.peer.name}.{kind}")

    def _cut(self, known: memoryview | None) -> list[Part]:
        """Return the parts that are fetched at once: whole leaves, about the same length."""
        leaves = -(-self.size // self.leaf_bytes)
        step = max(-(-leaves // self.peer.client.patience.ranges), 1) * self.leaf_bytes
        starts = range(0, max(self.size, 1), step)
        parts = []
        for number, start in enumerate(starts):
            stop = min(start + step, self.size)
            kind = "part" if len(starts) == 1 else f"{number + 1}-of-{len(starts)}.part"
            piece = None if known is None else known[start:stop]
            parts.append(self._part(kind, start, stop, piece))
        return parts

    def _part(self, kind: str, start: int, stop: int, known: memoryview | None) -> Part:
        return Part(self._beside(kind), start, stop, self.leaf_bytes, known, spares=self.spares)

    def _collect(self, parts: Sequence[Part], tick: Callable[[], None]) -> None:
        """Let all bytes arrive; an answer that cannot be right takes its parts along."""
        try:
            with self.peer.client.bulk.call() as hang_up:
                _at_once([partial(self._complete, part, hang_up) for part in parts], tick, hang_up)
        except BaseException as error:
            if isinstance(error, CeremonyError) and error.code in _WRONG_ANSWERS:
                _restart(parts)
            with suppress(CeremonyError):
                for part in parts:
                    part.leave()
            raise

    def _complete(self, part: Part, hang_up: HangUp) -> None:
        """Let the bytes of one part arrive."""
        if not part.present:
            part.resume()
        bulk = self.peer.client.bulk
        bulk.persist(self.peer, lambda: self._continue(part, hang_up), hang_up)

    def _continue(self, part: Part, hang_up: HangUp) -> None:
        """Ask once for what is missing of a part and append it."""
        missing = part.size - part.present
        if not missing:
            return
        client, start = self.peer.client, part.start + part.present
        last = "" if part.stop == self.size else part.stop - 1
        headers = {} if missing == self.size else {"Range": f"bytes={start}-{last}"}
        seconds = client.patience.seconds_for(missing)
        with client.bulk.get(
            self.peer, self.path, headers, seconds=seconds, hang_up=hang_up
        ) as response:
            self._check_start(part, response)
            self._append(part, response)

    def _check_start(self, part: Part, response: http.client.HTTPResponse) -> None:
        """Check that the answer begins at the bytes asked for; it may be the whole blob."""
        if response.chunked:
            raise self._in_chunks()
        whole = part.size == self.size
        if response.status == _OK and whole:
            if part.present:
                part.restart()
            return
        if response.status == _PARTIAL and not (whole and not part.present):
            start = part.start + part.present
            found = response.getheader("Content-Range", "")
            if found == f"bytes {start}-{part.stop - 1}/{self.size}":
                return
            raise self._truncated(f"the range {found[:100]!r}")
        answer = response.read(_SHORT_ANSWER)
        if response.status == _NOT_FOUND:
            raise self._missing()
        if response.headers.get_content_type() == NOTICE:
            raise refused_by(self.peer, answer)
        raise RefusedRequestError(self.peer.name, self.path, response.status, answer)

    def _append(self, part: Part, response: http.client.HTTPResponse) -> None:
        missing, declared = part.size - part.present, response.length
        if declared is not None and declared > missing:
            raise too_long(self.peer, self.path, self.size)
        if declared is not None and declared < missing:
            raise self._truncated(f"{part.present + declared} bytes")
        buffer = memoryview(bytearray(2 * self.leaf_bytes))  # what is hashed at once
        while count := response.readinto(buffer[: missing + 1]):
            missing -= count
            if missing < 0:
                raise too_long(self.peer, self.path, self.size)
            part.take(buffer[:count])
        if missing and declared is not None:
            raise http.client.IncompleteRead(b"", missing)
        if missing:
            raise self._truncated(f"{part.present} bytes")

    def _fits(self, parts: Sequence[Part]) -> bool:
        return merkle.root(leaf for part in parts for leaf in part.finish()) == self.root

    def _name(self, whole: Path) -> None:
        if self.shared is not None:
            self.shared.add(self.root, whole)
        move(whole, self.target)

    def _truncated(self, found: str) -> CeremonyError:
        expected = f"{self.size} bytes"
        return self._useless("RF-PEER-010", "sent less than the log says", expected, found)

    def _in_chunks(self) -> CeremonyError:
        # No member sends a blob so, and http.client takes negative sizes of chunks for real ones.
        what, expected = "sent a blob in chunks", f"at most {self.size} bytes, counted beforehand"
        return self._useless("RF-PEER-019", what, expected, "Transfer-Encoding: chunked")

    def _altered(self) -> CeremonyError:
        what = "sent bytes that are not those it committed to"
        expected = f"Merkle root {self.root.hex()}"
        return self._useless("RF-PEER-012", what, expected, "another root")

    def _missing(self) -> CeremonyError:
        what, expected = "does not serve a blob it should have", f"the blob {self.root.hex()}"
        return self._useless("RF-PEER-014", what, expected, "HTTP status 404")

    def _useless(self, code: str, what: str, expected: str, found: str) -> CeremonyError:
        name = self.peer.name
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


@contextmanager
def _alone(lock: threading.Lock, tick: Callable[[], None]) -> Iterator[None]:
    while not lock.acquire(timeout=_TICK_SECONDS):
        tick()
    try:
        yield
    finally:
        lock.release()


def _at_once(jobs: Sequence[Callable[[], None]], tick: Callable[[], None], hang_up: HangUp) -> None:
    """Run every job in a thread of its own; the first that fails, or `tick`, ends the others."""
    with ThreadPoolExecutor(len(jobs), thread_name_prefix="fetch") as pool:
        pending = {pool.submit(job) for job in jobs}
        try:
            while pending:
                done, pending = wait(pending, _TICK_SECONDS, FIRST_COMPLETED)
                for job in done:
                    job.result()
                if pending:
                    tick()
        except BaseException:
            hang_up.now()
            raise


def _restart(parts: Sequence[Part]) -> None:
    for part in parts:
        part.restart()


def _joined(parts: Sequence[Part]) -> Path:
    """Return the file of the first part after the others have been appended to it."""
    for part in parts:
        if part.is_known:
            part.leave()
    first, *others = (part.path for part in parts)
    if others:
        with disk_errors(first):
            descriptor = os.open(first, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                append(descriptor, [mapped(path) for path in others])
            finally:
                os.close(descriptor)
        for path in others:
            path.unlink()
    return first
