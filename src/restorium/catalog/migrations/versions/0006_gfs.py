"""Which weekly, monthly and yearly restore points a job keeps beside its newest."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("retain_gfs", sa.JSON()))
