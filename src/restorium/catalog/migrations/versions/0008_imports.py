"""Imports of image files: which files a session reads."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("job_sessions", sa.Column("image_files", sa.JSON()))
