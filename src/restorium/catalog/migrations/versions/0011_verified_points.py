"""What the last verification of a repository found of each restore point in it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("vm_restore_points", sa.Column("verified_at", sa.BigInteger()))
    op.add_column("vm_restore_points", sa.Column("verified_data", sa.Boolean()))
    op.add_column("vm_restore_points", sa.Column("verify_problem", sa.Text()))
