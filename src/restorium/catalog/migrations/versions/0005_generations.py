"""Generations of tables, and indexes for the orders and filters of long lists."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_FOLDED = {"sqlite": "fold({})", "postgresql": 'lower({} COLLATE "und-x-icu") COLLATE "C"'}
_SORTED_TEXT = {
    "restore_sessions": ("name", "vm_name"),
    "vm_restore_points": ("name", "vm_name"),
    "task_sessions": ("name", "vm_name"),
    "job_sessions": ("name",),
    "restore_points": ("name",),
    "backup_files": ("name",),
}


def upgrade() -> None:
    op.create_table(
        "generations",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_generations"),
    )
    op.create_index("ix_generations_name", "generations", ["name"])
    for table in ("restore_sessions", "job_sessions"):
        op.create_index(f"ix_{table}_result", table, ["result", "created_at", "id", "state"])
        op.create_index(f"ix_{table}_result_id", table, ["result", "id"])
        op.create_index(f"ix_{table}_ended_at", table, [_nulls_first("ended_at"), "id"])
    folded = _FOLDED[op.get_bind().dialect.name]
    for table, columns in _SORTED_TEXT.items():
        for column in columns:
            op.create_index(f"ix_{table}_{column}_folded", table, [sa.text(folded.format(column)), "id"])


def _nulls_first(column: str) -> sa.TextClause:
    """SQLite does so by itself, and knows no such words in an index."""
    return sa.text(f"{column} NULLS FIRST" if op.get_bind().dialect.name == "postgresql" else column)
