"""Restores to another host than the VM's own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("restore_sessions", sa.Column("target_host_id", sa.Uuid()))
