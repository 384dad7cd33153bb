"""Runs of one VM, backups of no job and when they go, and secrets that are kept for later use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("job_sessions", sa.Column("kind", sa.SmallInteger(), nullable=False, server_default="0"))
    op.add_column("job_sessions", sa.Column("repository_id", sa.Uuid()))
    op.add_column("job_sessions", sa.Column("delete_after", sa.BigInteger()))
    op.execute(
        "UPDATE job_sessions SET repository_id ="
        " (SELECT jobs.repository_id FROM jobs WHERE jobs.id = job_sessions.job_id)"
    )
    _let_sessions_have_no_job()
    op.add_column("backups", sa.Column("delete_after", sa.BigInteger()))
    op.create_table(
        "credentials",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_credentials"),
    )
    op.create_table(
        "password_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_password_keys"),
    )


def _let_sessions_have_no_job() -> None:
    """SQLite makes the table anew for it, which would take the task sessions along: they stand aside meanwhile.

    Triggers, and indexes over expressions, are lost to it, and made again as they were.
    """
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("job_sessions", "job_id", existing_type=sa.Uuid(), nullable=True)
        return
    before = _made_for_sessions()
    op.execute("CREATE TEMPORARY TABLE tasks_aside AS SELECT * FROM task_sessions")
    for name, (kind, _) in before.items():
        op.execute(f'DROP {kind} "{name}"')
    with op.batch_alter_table("job_sessions", reflect_kwargs={"resolve_fks": False}) as table:
        table.alter_column("job_id", existing_type=sa.Uuid(), nullable=True)
    op.execute("INSERT INTO task_sessions SELECT * FROM tasks_aside")
    op.execute("DROP TABLE tasks_aside")
    for _, statement in before.values():
        op.get_bind().exec_driver_sql(statement)


def _made_for_sessions() -> dict[str, tuple[str, str]]:
    """Indexes and triggers of the job sessions by name: what each is, and the statement that made it."""
    found = op.get_bind().exec_driver_sql(
        "SELECT name, type, sql FROM sqlite_master"
        " WHERE tbl_name = 'job_sessions' AND type IN ('index', 'trigger') AND sql IS NOT NULL"
    )
    return {row.name: (row.type, row.sql) for row in found}
