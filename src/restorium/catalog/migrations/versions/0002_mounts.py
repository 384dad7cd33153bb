"""Mounts, which logon sessions hold; tasks that point at any path of the interface."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "mounts",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("vm_restore_point_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["restore_sessions.id"], name="fk_mounts_session_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["token_hash"], ["logon_sessions.token_hash"], name="fk_mounts_token_hash", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["vm_restore_point_id"],
            ["vm_restore_points.id"],
            name="fk_mounts_vm_restore_point_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("session_id", name="pk_mounts"),
        sa.UniqueConstraint("token_hash", "vm_restore_point_id", "number", name="uq_mounts_token_hash"),
    )
    op.create_index("ix_mounts_vm_restore_point_id", "mounts", ["vm_restore_point_id"])
    op.add_column("tasks", sa.Column("related_rel", sa.Text()))
    op.add_column("tasks", sa.Column("related_path", sa.Text()))
