"""The host's log: entries in the order in which they were taken, in SQLite or PostgreSQL.

An append is serialised, admitted by the rules that operators apply too, and durable before it
returns. The log only grows. Nobody trusts the host for this: operators sign what they checked.
"""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from infra.board import strict
from infra.board.admission import Admission
from infra.board.models import (
    CERTIFICATE,
    HEAD,
    SLOT_LENGTH,
    CheckpointRow,
    EntryRow,
    OpeningRow,
    SignatureRow,
)
from infra.board.moves import Opening
from infra.board.notes import Checkpoint, Head, HeadSignature
from mpc_core.protocol.entries import Close
from mpc_core.protocol.errors import CeremonyError
from mpc_core.protocol.merkle import MerkleTree, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy.engine.interfaces import DBAPIConnection

    from infra.board.wire import SignedEntry
    from mpc_core.protocol.entries import Entry
    from mpc_core.protocol.plan import Plan

__all__ = ["BoardLog"]

ROWS_AT_ONCE = 500

_MIGRATIONS = str(Path(__file__).parent / "migrations")


class BoardLog:
    """The entries of one ceremony. Safe to use from several threads."""

    def __init__(self, engine: sa.Engine, plan: Plan) -> None:
        self._engine = engine
        self._lock = threading.RLock()
        self._plan = plan
        self._admission = Admission(plan)
        self._tree = MerkleTree()
        self._lengths: list[int] = []
        self._behind = True
        self._catch_up()

    @classmethod
    def open(cls, url: str, plan: Plan) -> BoardLog:
        """Open the log in this database, brought to the current schema.

        Args:
            url: SQLAlchemy URL, `sqlite:///...` or `postgresql+psycopg://...`.
            plan: the plan under which every entry is signed.

        Raises:
            CeremonyError: RF-LOG-010 if the database cannot be used, RF-LOG-011 if it holds
                something else than a log of this plan.
        """
        try:
            engine = _engine(url)
        except SQLAlchemyError as error:
            raise _unusable(error) from error
        try:
            _migrate(engine)
        except SQLAlchemyError as error:
            engine.dispose()
            raise _unusable(error) from error
        try:
            return cls(engine, plan)
        except CeremonyError:
            engine.dispose()
            raise

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self._lengths)

    def append(self, data: bytes) -> int:
        """Take an envelope as the next entry; the same bytes again have their first position.

        Raises:
            CeremonyError: RF-LOG-001 to -007 if it is not an entry, RF-LOG-010 if the database
                does not take it.
        """
        with self._lock:
            self._catch_up()
            known = self._admission.position_of(data)
            if known is not None:
                return known
            signed = self._admission.check(data)
            position = self.size
            row = _row(position, data, signed)
            self._commit(lambda session: session.add(row))
            self._admit(data, signed)
            return position

    def entries(self, first: int, limit: int, most_bytes: int | None = None) -> list[bytes]:
        """Return up to `limit` entries from position `first`.

        Args:
            first: position of the first one.
            limit: most entries to return.
            most_bytes: most bytes to return; one entry is returned whatever its length.
        """
        with self._lock:
            count, total = 0, 0
            for length in self._lengths[first : first + limit]:
                total += length
                if most_bytes is not None and total > most_bytes and count:
                    break
                count += 1
        if not count:
            return []
        wanted = EntryRow.position.between(first, first + count - 1)
        with self._reading() as session:
            return list(
                session.scalars(sa.select(EntryRow.data).where(wanted).order_by(EntryRow.position))
            )

    def root(self, size: int | None = None) -> bytes:
        """Return the root over the first `size` entries, all by default."""
        with self._lock:
            return self._tree.root(size)

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the proof that the entry at `index` is in the log of this size."""
        with self._lock:
            return self._tree.inclusion(index, size)

    def consistency(self, first: int, size: int) -> tuple[bytes, ...]:
        """Return the proof that the log of `size` entries begins with that of `first`."""
        with self._lock:
            return self._tree.consistency(first, size)

    def record(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint that counts, with its signatures; the same again changes nothing.

        Raises:
            CeremonyError: RF-LOG-010 if the database does not take it.
        """
        head = checkpoint.head
        rows = [
            SignatureRow(
                epoch=head.epoch,
                size=head.size,
                purpose=purpose,
                operator=part.signer,
                signature=part.signature,
            )
            for purpose, parts in (
                (HEAD, checkpoint.head_signatures),
                (CERTIFICATE, checkpoint.certificate_signatures),
            )
            for part in parts
        ]
        row = CheckpointRow(epoch=head.epoch, size=head.size, root=head.root)
        with self._lock:
            self._commit(lambda session: _add_once(session, row, rows))

    def checkpoint(self) -> Checkpoint | None:
        """Return the newest checkpoint that was recorded."""
        newest = sa.select(CheckpointRow).order_by(
            CheckpointRow.epoch.desc(), CheckpointRow.size.desc()
        )
        with self._reading() as session:
            row = session.scalars(newest.limit(1)).first()
            if row is None:
                return None
            head = Head(row.epoch, row.size, row.root)
            return Checkpoint(
                head,
                _signatures(session, head, HEAD),
                _signatures(session, head, CERTIFICATE),
            )

    def opening(self) -> Opening | None:
        """Return what opened the newest epoch, None in epoch 0."""
        newest = sa.select(OpeningRow).order_by(OpeningRow.epoch.desc())
        with self._reading() as session:
            row = session.scalars(newest.limit(1)).first()
        return strict.decode(Opening, row.data) if row is not None else None

    def begin(self, opening: Opening, entries: Sequence[bytes]) -> tuple[bytes, ...]:
        """Begin an epoch with the entries below its base; return what is above them here.

        The log may be empty, or of the epoch before: what it holds is replaced, all at once.

        Args:
            opening: what opened the epoch, verified.
            entries: exactly the entries below its base.

        Raises:
            CeremonyError: RF-LOG-010 if the database does not take it, RF-LOG-011 if these are not
                the entries below the base.
        """
        base = opening.base
        tree = MerkleTree(leaf_hash(data) for data in entries)
        if base is not None and (len(tree), tree.root()) != (base.head.size, base.head.root):
            raise _damaged(len(tree), "entries that are not those below the base of the epoch")
        with self._lock:
            self._catch_up()
            held = self.entries(0, self.size)
            admission = Admission(self._plan)
            rows = []
            for position, data in enumerate(entries):
                signed = admission.check(data)
                admission.admit(data, signed)
                rows.append(_row(position, data, signed))
            opened = OpeningRow(epoch=opening.epoch, data=strict.encode(opening))

            def replace_all(session: Session) -> None:
                session.execute(sa.delete(EntryRow))
                session.add_all(rows)
                session.merge(opened)

            self._commit(replace_all)
            self._admission, self._tree, self._lengths = Admission(self._plan), MerkleTree(), []
            self._behind = True
            self._catch_up()
            known = set(entries)
            return tuple(data for data in held if data not in known)

    def _admit(self, data: bytes, signed: SignedEntry) -> None:
        self._tree.append(self._admission.admit(data, signed).leaf_hash)
        self._lengths.append(len(data))

    def _catch_up(self) -> None:
        """Take in what the database holds beyond memory: at start, and after a failed write."""
        if not self._behind:
            return
        beyond = sa.select(EntryRow).where(EntryRow.position >= self.size)
        in_order = beyond.order_by(EntryRow.position).execution_options(yield_per=ROWS_AT_ONCE)
        with self._reading() as session, closing(session.scalars(in_order)) as rows:
            for row in rows:
                if row.position != self.size or row.leaf_hash != leaf_hash(row.data):
                    raise _damaged(row.position, "another entry than was written")
                try:
                    self._admit(row.data, self._admission.check(row.data))
                except CeremonyError as error:
                    raise _damaged(row.position, error.subject) from error
        self._behind = False

    def _commit(self, change: Callable[[Session], object]) -> None:
        """Commit a change; whether a failed commit took effect is found out before the next one."""
        try:
            with Session(self._engine) as session, session.begin():
                change(session)
        except SQLAlchemyError as error:
            self._behind = True
            raise _unusable(error) from error

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        try:
            with Session(self._engine) as session:
                yield session
        except SQLAlchemyError as error:
            raise _unusable(error) from error


def _add_once(session: Session, row: CheckpointRow, rows: list[SignatureRow]) -> None:
    if session.get(CheckpointRow, (row.epoch, row.size)) is None:
        session.add_all((row, *rows))


def _engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _make_durable)
    return engine


def _make_durable(connection: DBAPIConnection, _record: object) -> None:
    """Let SQLite keep what it acknowledged, also when the power fails."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _migrate(engine: sa.Engine) -> None:
    config = Config()
    config.set_main_option("script_location", _MIGRATIONS.replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _row(position: int, data: bytes, signed: SignedEntry) -> EntryRow:
    return EntryRow(
        position=position,
        data=data,
        leaf_hash=leaf_hash(data),
        kind=signed.entry.kind,
        author=None if signed.is_statement else signed.signers[0],
        slot=_slot(signed.entry),
    )


def _slot(entry: Entry) -> str:
    """Return what the entry is about, printable in every database."""
    about = entry.slot if isinstance(entry, Close) else str(getattr(entry, "batch", ""))
    return about.encode("unicode_escape").decode()[:SLOT_LENGTH]


def _signatures(session: Session, head: Head, purpose: str) -> tuple[HeadSignature, ...]:
    rows = sa.select(SignatureRow).where(
        SignatureRow.epoch == head.epoch,
        SignatureRow.size == head.size,
        SignatureRow.purpose == purpose,
    )
    return tuple(
        HeadSignature(row.operator, row.signature)
        for row in session.scalars(rows.order_by(SignatureRow.operator))
    )


def _unusable(error: SQLAlchemyError) -> CeremonyError:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return CeremonyError(
        "RF-LOG-010",
        "the database of the board does not answer or does not take the entry",
        expected="a writable database with room on its disk",
        found=str(cause).strip().partition("\n")[0],
        effect="nothing was acknowledged; operators try again",
        next_step="free space or repair the database, then start the coordinator again",
        runbook="board-database",
    )


def _damaged(position: int, found: str) -> CeremonyError:
    return CeremonyError(
        "RF-LOG-011",
        f"the database of the board is damaged at entry {position}",
        expected="the entries of this plan, one after the other",
        found=found,
        effect="the board does not start: a head over this would be a fork",
        next_step="restore the database, or move the log to an empty one: --take-over",
        runbook="board-database",
    )
