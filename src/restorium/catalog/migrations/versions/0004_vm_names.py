"""VM restore points by the name of their VM."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_index("ix_vm_restore_points_vm_name", "vm_restore_points", ["vm_name", "created_at"])
