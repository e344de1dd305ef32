"""Entries, checkpoints and their signatures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "entries",
        sa.Column("position", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False, unique=True),
        sa.Column("kind", sa.String(40), nullable=False, index=True),
        sa.Column("author", sa.Integer(), nullable=True),
        sa.Column("slot", sa.String(200), nullable=False),
    )
    op.create_table(
        "checkpoints",
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "signatures",
        sa.Column("epoch", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("purpose", sa.String(16), primary_key=True),
        sa.Column("operator", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["epoch", "size"], ["checkpoints.epoch", "checkpoints.size"]),
    )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("signatures")
    op.drop_table("checkpoints")
    op.drop_table("entries")
