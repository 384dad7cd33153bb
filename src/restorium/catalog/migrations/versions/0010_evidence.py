"""Signed records of restores, the keys that sign them, and the digests of restored disks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("restore_disks", sa.Column("digest", sa.Text()))
    op.create_table(
        "evidence",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["restore_sessions.id"], name="fk_evidence_session_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session_id", name="pk_evidence"),
    )
    op.create_table(
        "evidence_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("secret", sa.LargeBinary()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_evidence_keys"),
        sa.UniqueConstraint("public_key", name="uq_evidence_keys_public_key"),
    )
