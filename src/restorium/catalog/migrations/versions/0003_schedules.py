"""When jobs run by themselves, how long they keep their restore points, and what is left to remove of those."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("schedule", sa.JSON()))
    op.add_column("jobs", sa.Column("after_job_id", sa.Uuid()))
    op.add_column("jobs", sa.Column("retry_attempt", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("retain_by", sa.SmallInteger()))
    op.add_column("jobs", sa.Column("retain_points", sa.Integer()))
    op.add_column("jobs", sa.Column("retain_days", sa.Integer()))
    op.create_index("ix_jobs_after_job_id", "jobs", ["after_job_id"])
    op.add_column("job_sessions", sa.Column("attempt", sa.Integer()))
    op.create_table(
        "expired_manifests",
        sa.Column("repository_id", sa.Uuid(), nullable=False),
        sa.Column("vault_point", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id"],
            ["repositories.id"],
            name="fk_expired_manifests_repository_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("repository_id", "vault_point", name="pk_expired_manifests"),
    )
