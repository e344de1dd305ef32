"""Run the migrations on the connection that the caller hands over."""

from __future__ import annotations

from alembic import context

from infra.board.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
