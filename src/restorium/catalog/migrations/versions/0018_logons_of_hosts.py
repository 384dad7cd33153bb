"""What a host is called in the Enterprise Manager API, and how to get into it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    # ESXi, as which image folders are shown; there were no others.
    op.add_column("hosts", sa.Column("host_type", sa.SmallInteger(), nullable=False, server_default="2"))
    op.add_column("hosts", sa.Column("server_type", sa.SmallInteger(), nullable=False, server_default="5"))
    op.add_column("hosts", sa.Column("credentials_id", sa.Uuid()))
    op.add_column("hosts", sa.Column("thumbprint", sa.Text()))
