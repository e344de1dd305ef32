"""Tables of the board's database, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKeyConstraint, LargeBinary, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = [
    "CERTIFICATE",
    "HEAD",
    "SLOT_LENGTH",
    "Base",
    "CheckpointRow",
    "EntryRow",
    "OpeningRow",
    "SignatureRow",
]

HEAD = "head"
CERTIFICATE = "certificate"
SLOT_LENGTH = 200


class Base(DeclarativeBase):
    """The schema; `migrations` holds the way to it."""


class EntryRow(Base):
    """One entry at its place. Kind, author and slot are for people and queries only."""

    __tablename__ = "entries"

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    leaf_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    kind: Mapped[str] = mapped_column(String(40), index=True)
    author: Mapped[int | None]
    slot: Mapped[str] = mapped_column(String(SLOT_LENGTH))


class CheckpointRow(Base):
    """A checkpoint that counts."""

    __tablename__ = "checkpoints"

    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(LargeBinary)


class SignatureRow(Base):
    """One operator's signature of a head or of its certificate."""

    __tablename__ = "signatures"
    __table_args__ = (
        ForeignKeyConstraint(["epoch", "size"], ["checkpoints.epoch", "checkpoints.size"]),
    )

    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    purpose: Mapped[str] = mapped_column(String(16), primary_key=True)
    operator: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    signature: Mapped[bytes] = mapped_column(LargeBinary)


class OpeningRow(Base):
    """What opened an epoch."""

    __tablename__ = "openings"

    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(LargeBinary)
