"""The tables of the first release.

A migration says what the tables were when it was written, so it uses plain column types and never the
program's own: instants are microseconds since 1970 in a BigInteger, enumerations the place of the member in a
SmallInteger.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("restore_all", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("name_key", name="uq_accounts_name_key"),
    )
    op.create_table(
        "backup_servers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("port", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_backup_servers"),
    )
    op.create_table(
        "hosts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("managed_server_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("platform", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_hosts"),
        sa.UniqueConstraint("managed_server_id", name="uq_hosts_managed_server_id"),
        sa.UniqueConstraint("name", name="uq_hosts_name"),
    )
    op.create_table(
        "repositories",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("quota_bytes", sa.BigInteger()),
        sa.Column("capacity_bytes", sa.BigInteger(), nullable=False),
        sa.Column("free_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_repositories"),
        sa.UniqueConstraint("name", name="uq_repositories_name"),
    )
    op.create_table(
        "session_events",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_session_events"),
    )
    op.create_index("ix_session_events_session_id", "session_events", ["session_id"])
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("host_name", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.create_table(
        "account_roles",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_account_roles_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "role", name="pk_account_roles"),
    )
    op.create_table(
        "account_scopes",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("host_id", sa.Uuid(), nullable=False),
        sa.Column("vm_ref", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_account_scopes_account_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["host_id"], ["hosts.id"], name="fk_account_scopes_host_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "host_id", "vm_ref", name="pk_account_scopes"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("job_type", sa.SmallInteger(), nullable=False),
        sa.Column("platform", sa.SmallInteger(), nullable=False),
        sa.Column("repository_id", sa.Uuid(), nullable=False),
        sa.Column("schedule_configured", sa.Boolean(), nullable=False),
        sa.Column("schedule_enabled", sa.Boolean(), nullable=False),
        sa.Column("next_run", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name="fk_jobs_repository_id", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("name", name="uq_jobs_name"),
    )
    op.create_index("ix_jobs_repository_id", "jobs", ["repository_id"])
    op.create_table(
        "logon_sessions",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("last_task", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_logon_sessions_account_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name="pk_logon_sessions"),
    )
    op.create_index("ix_logon_sessions_last_seen_at", "logon_sessions", ["last_seen_at"])
    op.create_table(
        "backups",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid()),
        sa.Column("repository_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_backups_job_id", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name="fk_backups_repository_id", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_backups"),
    )
    op.create_index("ix_backups_job_id", "backups", ["job_id"])
    op.create_index("ix_backups_repository_id", "backups", ["repository_id"])
    op.create_table(
        "job_objects",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("host_id", sa.Uuid(), nullable=False),
        sa.Column("vm_ref", sa.Text(), nullable=False),
        sa.Column("vm_name", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["host_id"], ["hosts.id"], name="fk_job_objects_host_id", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_objects_job_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_job_objects"),
    )
    op.create_index("ix_job_objects_host_id", "job_objects", ["host_id"])
    op.create_index("ix_job_objects_job_id", "job_objects", ["job_id"])
    op.create_table(
        "tasks",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("success", sa.Boolean()),
        sa.Column("message", sa.Text()),
        sa.Column("related_kind", sa.Text()),
        sa.Column("related_id", sa.Uuid()),
        sa.Column("related_name", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["token_hash"], ["logon_sessions.token_hash"], name="fk_tasks_token_hash", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", "number", name="pk_tasks"),
    )
    op.create_table(
        "restore_points",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("backup_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["backup_id"], ["backups.id"], name="fk_restore_points_backup_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_restore_points"),
    )
    op.create_index("ix_restore_points_backup_id", "restore_points", ["backup_id"])
    op.create_index("ix_restore_points_created_at", "restore_points", ["created_at", "id"])
    op.create_table(
        "backup_files",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("backup_id", sa.Uuid(), nullable=False),
        sa.Column("restore_point_id", sa.Uuid(), nullable=False),
        sa.Column("repository_id", sa.Uuid(), nullable=False),
        sa.Column("file_path", sa.Text(), nullable=False),
        sa.Column("file_type", sa.SmallInteger(), nullable=False),
        sa.Column("backup_size", sa.BigInteger(), nullable=False),
        sa.Column("data_size", sa.BigInteger(), nullable=False),
        sa.Column("deduplication_ratio", sa.Integer(), nullable=False),
        sa.Column("compress_ratio", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["backup_id"], ["backups.id"], name="fk_backup_files_backup_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name="fk_backup_files_repository_id", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["restore_point_id"],
            ["restore_points.id"],
            name="fk_backup_files_restore_point_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_backup_files"),
    )
    op.create_index("ix_backup_files_backup_id", "backup_files", ["backup_id"])
    op.create_index("ix_backup_files_repository_id", "backup_files", ["repository_id"])
    op.create_index("ix_backup_files_restore_point_id", "backup_files", ["restore_point_id"])
    op.create_table(
        "job_sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("restore_point_id", sa.Uuid()),
        sa.Column("job_type", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("result", sa.SmallInteger(), nullable=False),
        sa.Column("progress", sa.Integer(), nullable=False),
        sa.Column("is_retry", sa.Boolean(), nullable=False),
        sa.Column("reason_code", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("hint", sa.Text()),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("worker_id", sa.Text()),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_sessions_job_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["restore_point_id"],
            ["restore_points.id"],
            name="fk_job_sessions_restore_point_id",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_job_sessions"),
    )
    op.create_index("ix_job_sessions_created_at", "job_sessions", ["created_at", "id"])
    op.create_index("ix_job_sessions_job_id", "job_sessions", ["job_id"])
    op.create_index("ix_job_sessions_restore_point_id", "job_sessions", ["restore_point_id"])
    op.create_index("ix_job_sessions_state", "job_sessions", ["state", "created_at", "id"])
    op.create_table(
        "task_sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("job_session_id", sa.Uuid(), nullable=False),
        sa.Column("host_id", sa.Uuid(), nullable=False),
        sa.Column("vm_ref", sa.Text(), nullable=False),
        sa.Column("vm_name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("result", sa.SmallInteger(), nullable=False),
        sa.Column("reason_code", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("read_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["host_id"], ["hosts.id"], name="fk_task_sessions_host_id", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["job_session_id"],
            ["job_sessions.id"],
            name="fk_task_sessions_job_session_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_task_sessions"),
    )
    op.create_index("ix_task_sessions_created_at", "task_sessions", ["created_at", "id"])
    op.create_index("ix_task_sessions_host_id", "task_sessions", ["host_id"])
    op.create_index("ix_task_sessions_job_session_id", "task_sessions", ["job_session_id"])
    op.create_table(
        "vm_restore_points",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("restore_point_id", sa.Uuid(), nullable=False),
        sa.Column("backup_file_id", sa.Uuid(), nullable=False),
        sa.Column("host_id", sa.Uuid(), nullable=False),
        sa.Column("vm_ref", sa.Text(), nullable=False),
        sa.Column("vm_name", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.SmallInteger(), nullable=False),
        sa.Column("point_type", sa.SmallInteger(), nullable=False),
        sa.Column("vault_point", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["backup_file_id"],
            ["backup_files.id"],
            name="fk_vm_restore_points_backup_file_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["host_id"], ["hosts.id"], name="fk_vm_restore_points_host_id", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["restore_point_id"],
            ["restore_points.id"],
            name="fk_vm_restore_points_restore_point_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_vm_restore_points"),
    )
    op.create_index("ix_vm_restore_points_backup_file_id", "vm_restore_points", ["backup_file_id"])
    op.create_index("ix_vm_restore_points_created_at", "vm_restore_points", ["created_at", "id"])
    op.create_index("ix_vm_restore_points_host_id", "vm_restore_points", ["host_id"])
    op.create_index("ix_vm_restore_points_restore_point_id", "vm_restore_points", ["restore_point_id"])
    op.create_index("ix_vm_restore_points_vm", "vm_restore_points", ["host_id", "vm_ref", "created_at"])
    op.create_table(
        "restore_sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("job_type", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("result", sa.SmallInteger(), nullable=False),
        sa.Column("progress", sa.Integer(), nullable=False),
        sa.Column("vm_restore_point_id", sa.Uuid()),
        sa.Column("vm_restore_point_name", sa.Text(), nullable=False),
        sa.Column("host_id", sa.Uuid(), nullable=False),
        sa.Column("vm_ref", sa.Text(), nullable=False),
        sa.Column("vm_name", sa.Text(), nullable=False),
        sa.Column("restored_ref", sa.Text()),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("phase", sa.SmallInteger(), nullable=False),
        sa.Column("planned_bytes", sa.BigInteger(), nullable=False),
        sa.Column("done_bytes", sa.BigInteger(), nullable=False),
        sa.Column("reason_code", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("hint", sa.Text()),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_from", sa.Text()),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("worker_id", sa.Text()),
        sa.ForeignKeyConstraint(
            ["vm_restore_point_id"],
            ["vm_restore_points.id"],
            name="fk_restore_sessions_vm_restore_point_id",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_restore_sessions"),
        sa.UniqueConstraint("requested_by", "idempotency_key", name="uq_restore_sessions_idempotency"),
    )
    op.create_index("ix_restore_sessions_created_at", "restore_sessions", ["created_at", "id"])
    op.create_index("ix_restore_sessions_state", "restore_sessions", ["state", "created_at", "id"])
    op.create_index("ix_restore_sessions_vm_restore_point_id", "restore_sessions", ["vm_restore_point_id"])
    op.create_table(
        "restore_disks",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("disk_key", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("planned_bytes", sa.BigInteger(), nullable=False),
        sa.Column("checkpoint", sa.BigInteger(), nullable=False),
        sa.Column("copied_bytes", sa.BigInteger(), nullable=False),
        sa.Column("verified_bytes", sa.BigInteger(), nullable=False),
        sa.Column("result", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.ForeignKeyConstraint(
            ["session_id"], ["restore_sessions.id"], name="fk_restore_disks_session_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session_id", "disk_key", name="pk_restore_disks"),
    )
