"""Change numbers of restore sessions, their speed and expected end, and what these are measured by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column(
        "restore_sessions", sa.Column("change", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.add_column("restore_sessions", sa.Column("measured_at", sa.BigInteger()))
    op.add_column("restore_sessions", sa.Column("speed", sa.BigInteger()))
    op.add_column("restore_sessions", sa.Column("expected_end", sa.BigInteger()))
    op.create_index("ix_restore_sessions_change", "restore_sessions", ["change", "id"])
    op.create_table(
        "changes",
        sa.Column("number", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("number", name="pk_changes"),
    )
    op.create_table(
        "restore_rates",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("repository_id", sa.Uuid()),
        sa.Column("host_id", sa.Uuid(), nullable=False),
        sa.Column("measured_at", sa.BigInteger(), nullable=False),
        sa.Column("copied_bytes", sa.BigInteger(), nullable=False),
        sa.Column("verified_bytes", sa.BigInteger(), nullable=False),
        sa.Column("copy_rate", sa.Float()),
        sa.Column("copy_weight", sa.Float(), nullable=False),
        sa.Column("verify_rate", sa.Float()),
        sa.Column("verify_weight", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["restore_sessions.id"], name="fk_restore_rates_session_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session_id", name="pk_restore_rates"),
    )
    op.create_index("ix_restore_rates_of", "restore_rates", ["repository_id", "host_id", "measured_at"])
    op.create_index("ix_restore_rates_measured_at", "restore_rates", ["measured_at"])
    op.create_table(
        "restore_samples",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("phase", sa.SmallInteger(), nullable=False),
        sa.Column("copied_bytes", sa.BigInteger(), nullable=False),
        sa.Column("verified_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["restore_sessions.id"], name="fk_restore_samples_session_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session_id", "at", name="pk_restore_samples"),
    )
