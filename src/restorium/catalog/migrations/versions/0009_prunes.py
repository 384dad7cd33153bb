"""When each repository was last pruned, and what came of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("repositories", sa.Column("prune_began_at", sa.BigInteger()))
    op.add_column("repositories", sa.Column("prune_outcome", sa.Text()))
