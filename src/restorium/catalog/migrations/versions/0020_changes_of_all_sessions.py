"""Change numbers of job sessions and drill runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    for table in ("job_sessions", "drill_runs"):
        op.add_column(table, sa.Column("change", sa.BigInteger(), nullable=False, server_default="0"))
        op.create_index(f"ix_{table}_change", table, ["change", "id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION IF EXISTS number_change_of_session CASCADE")
