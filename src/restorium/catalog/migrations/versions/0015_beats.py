"""How often each worker has said that it is alive."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("workers", sa.Column("beats", sa.BigInteger(), nullable=False, server_default="0"))
