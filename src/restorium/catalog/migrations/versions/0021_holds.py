"""The manifest that a task session is about to write; the hold that a worker has of a session."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("task_sessions", sa.Column("vault_point", sa.Text()))
    op.create_index("ix_vm_restore_points_vault_point", "vm_restore_points", ["vault_point"])
    for table in ("restore_sessions", "job_sessions", "drill_runs"):
        op.execute(f"ALTER TABLE {table} RENAME COLUMN worker_id TO hold")
