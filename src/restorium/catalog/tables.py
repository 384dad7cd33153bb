"""The database's tables, as SQLAlchemy Core sees them. Alembic's migrations under migrations/ make them."""

from __future__ import annotations

import sqlalchemy as sa

from restorium.catalog.text import folded
from restorium.catalog.types import Guid, Instant, Ordered
from restorium.vocabulary.backups import Algorithm, BackupFileType, JobType, PointType, RunKind
from restorium.vocabulary.hierarchy import Platform
from restorium.vocabulary.retention import RetainBy
from restorium.vocabulary.sessions import (
    RestoreKind,
    RestorePhase,
    SessionResult,
    SessionState,
    TaskSessionState,
)
from restorium.vocabulary.tasks import TaskState
from restorium.vocabulary.webhooks import DeliveryState

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

VOLATILE = {"volatile": True}
"""Marks columns that change often while something runs and that the interface neither filters nor sorts by:
``generations`` takes no notice. Give or take the mark together with a migration, after which triggers are made anew.
"""


def _id() -> sa.Column[object]:
    return sa.Column("id", Guid, primary_key=True)


def _ref(name: str, target: str, *, nullable: bool = False, on_delete: str = "RESTRICT") -> sa.Column[object]:
    return sa.Column(
        name, Guid, sa.ForeignKey(f"{target}.id", ondelete=on_delete), nullable=nullable, index=True
    )


generations = sa.Table(
    "generations",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("name", sa.Text, nullable=False, index=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)
"""How many transactions have changed the table of that name, as the sum of its rows."""

backup_servers = sa.Table(
    "backup_servers",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("port", sa.Integer, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
)
"""One row: this installation. A table all the same, so that listings can join, filter and sort by it."""

hosts = sa.Table(
    "hosts",
    metadata,
    _id(),
    sa.Column("managed_server_id", Guid, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("platform", Ordered(Platform), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)
"""A hypervisor or image folder: a hierarchy root by ``id`` and a managed server by ``managed_server_id``."""

repositories = sa.Table(
    "repositories",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("quota_bytes", sa.BigInteger),
    sa.Column("capacity_bytes", sa.BigInteger, nullable=False, info=VOLATILE),
    sa.Column("free_bytes", sa.BigInteger, nullable=False, info=VOLATILE),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("prune_began_at", Instant),
    sa.Column("prune_outcome", sa.Text),
)

jobs = sa.Table(
    "jobs",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("job_type", Ordered(JobType), nullable=False),
    sa.Column("platform", Ordered(Platform), nullable=False),
    _ref("repository_id", "repositories"),
    sa.Column("schedule_configured", sa.Boolean, nullable=False),
    sa.Column("schedule_enabled", sa.Boolean, nullable=False),
    sa.Column("next_run", Instant),
    sa.Column("schedule", sa.JSON(none_as_null=True)),
    sa.Column("after_job_id", Guid, index=True),
    sa.Column("retry_attempt", sa.Integer, nullable=False, server_default="0"),
    sa.Column("retain_by", Ordered(RetainBy)),
    sa.Column("retain_points", sa.Integer),
    sa.Column("retain_days", sa.Integer),
    sa.Column("retain_gfs", sa.JSON(none_as_null=True)),
    sa.Column("created_at", Instant, nullable=False),
)
"""``next_run`` is the retry numbered ``retry_attempt``, a regular run if that is 0. ``after_job_id`` is the job of the
schedule after which it runs. Without ``retain_by`` everything is kept.
"""

job_objects = sa.Table(
    "job_objects",
    metadata,
    _id(),
    _ref("job_id", "jobs", on_delete="CASCADE"),
    _ref("host_id", "hosts"),
    sa.Column("vm_ref", sa.Text, nullable=False),
    sa.Column("vm_name", sa.Text, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
)

backups = sa.Table(
    "backups",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False),
    _ref("job_id", "jobs", nullable=True, on_delete="SET NULL"),
    _ref("repository_id", "repositories"),
    sa.Column("platform", Ordered(Platform), nullable=False),
    sa.Column("delete_after", Instant),
    sa.Column("created_at", Instant, nullable=False),
)
"""What one job keeps on one repository, or a backup of no job, which bears the id of the session that made it.

What has a ``delete_after`` goes after that moment with all that is in it.
"""

restore_points = sa.Table(
    "restore_points",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False),
    _ref("backup_id", "backups", on_delete="CASCADE"),
    sa.Column("created_at", Instant, nullable=False),
    sa.Index("ix_restore_points_created_at", "created_at", "id"),
)
"""One moment of one job."""

backup_files = sa.Table(
    "backup_files",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False),
    _ref("backup_id", "backups", on_delete="CASCADE"),
    _ref("restore_point_id", "restore_points", on_delete="CASCADE"),
    _ref("repository_id", "repositories"),
    sa.Column("file_path", sa.Text, nullable=False),
    sa.Column("file_type", Ordered(BackupFileType), nullable=False),
    sa.Column("backup_size", sa.BigInteger, nullable=False),
    sa.Column("data_size", sa.BigInteger, nullable=False),
    sa.Column("deduplication_ratio", sa.Integer, nullable=False),
    sa.Column("compress_ratio", sa.Integer, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)
"""What one VM restore point added to its repository: the manifest, and the sizes behind it.

Ratios are percentages.
"""

vm_restore_points = sa.Table(
    "vm_restore_points",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False),
    _ref("restore_point_id", "restore_points", on_delete="CASCADE"),
    _ref("backup_file_id", "backup_files", on_delete="CASCADE"),
    _ref("host_id", "hosts"),
    sa.Column("vm_ref", sa.Text, nullable=False),
    sa.Column("vm_name", sa.Text, nullable=False),
    sa.Column("algorithm", Ordered(Algorithm), nullable=False),
    sa.Column("point_type", Ordered(PointType), nullable=False),
    sa.Column("vault_point", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("verified_at", Instant, info=VOLATILE),
    sa.Column("verified_data", sa.Boolean, info=VOLATILE),
    sa.Column("verify_problem", sa.Text, info=VOLATILE),
    sa.Index("ix_vm_restore_points_created_at", "created_at", "id"),
    sa.Index("ix_vm_restore_points_vm", "host_id", "vm_ref", "created_at"),
    sa.Index("ix_vm_restore_points_vm_name", "vm_name", "created_at"),
)
"""One VM in one restore point. ``vault_point`` is the manifest's name in the repository.

``verified_at``: when its repository was last verified; ``verified_data``: by reading all data, not the index alone;
``verify_problem``: what was found to be wrong with the point.
"""

job_sessions = sa.Table(
    "job_sessions",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False),
    _ref("job_id", "jobs", nullable=True, on_delete="CASCADE"),
    _ref("restore_point_id", "restore_points", nullable=True, on_delete="SET NULL"),
    sa.Column("kind", Ordered(RunKind), nullable=False, server_default="0"),
    sa.Column("job_type", Ordered(JobType), nullable=False),
    sa.Column("repository_id", Guid),
    sa.Column("delete_after", Instant),
    sa.Column("image_files", sa.JSON),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("state", Ordered(SessionState), nullable=False),
    sa.Column("result", Ordered(SessionResult), nullable=False),
    sa.Column("progress", sa.Integer, nullable=False, info=VOLATILE),
    sa.Column("is_retry", sa.Boolean, nullable=False),
    sa.Column("attempt", sa.Integer),
    sa.Column("reason_code", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("hint", sa.Text),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("worker_id", sa.Text, info=VOLATILE),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, info=VOLATILE),
    sa.Index("ix_job_sessions_created_at", "created_at", "id"),
    sa.Index("ix_job_sessions_state", "state", "created_at", "id"),
    sa.Index("ix_job_sessions_result", "result", "created_at", "id", "state"),
    sa.Index("ix_job_sessions_result_id", "result", "id"),
)
"""One run of a job, or of none (``kind``). ``attempt``: 0 of a run by schedule, n of its nth retry, nothing of what
somebody asked for.

``repository_id`` is where it backs up to; ``delete_after`` becomes that of the backup that it makes.
``image_files``: paths of the images that an import reads, in the order of the VM's disks.
"""

expired_manifests = sa.Table(
    "expired_manifests",
    metadata,
    sa.Column("repository_id", Guid, sa.ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("vault_point", sa.Text, primary_key=True),
)
"""Manifests that no restore point names any more and that are still to be removed from their repository."""

task_sessions = sa.Table(
    "task_sessions",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False),
    _ref("job_session_id", "job_sessions", on_delete="CASCADE"),
    _ref("host_id", "hosts"),
    sa.Column("vm_ref", sa.Text, nullable=False),
    sa.Column("vm_name", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("state", Ordered(TaskSessionState), nullable=False),
    sa.Column("result", Ordered(SessionResult), nullable=False),
    sa.Column("reason_code", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("total_bytes", sa.BigInteger, nullable=False),
    sa.Column("read_bytes", sa.BigInteger, nullable=False, info=VOLATILE),
    sa.Column("stored_bytes", sa.BigInteger, nullable=False, info=VOLATILE),
    sa.Index("ix_task_sessions_created_at", "created_at", "id"),
)

restore_sessions = sa.Table(
    "restore_sessions",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("job_type", Ordered(RestoreKind), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("state", Ordered(SessionState), nullable=False),
    sa.Column("result", Ordered(SessionResult), nullable=False),
    sa.Column("progress", sa.Integer, nullable=False, info=VOLATILE),
    _ref("vm_restore_point_id", "vm_restore_points", nullable=True, on_delete="SET NULL"),
    sa.Column("vm_restore_point_name", sa.Text, nullable=False),
    sa.Column("host_id", Guid, nullable=False),
    sa.Column("vm_ref", sa.Text, nullable=False),
    sa.Column("vm_name", sa.Text, nullable=False),
    sa.Column("target_host_id", Guid),
    sa.Column("restored_ref", sa.Text),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("phase", Ordered(RestorePhase), nullable=False, info=VOLATILE),
    sa.Column("planned_bytes", sa.BigInteger, nullable=False, info=VOLATILE),
    sa.Column("done_bytes", sa.BigInteger, nullable=False, info=VOLATILE),
    sa.Column("reason_code", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("hint", sa.Text),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("requested_from", sa.Text),
    sa.Column("idempotency_key", sa.Text),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, info=VOLATILE),
    sa.Column("worker_id", sa.Text, info=VOLATILE),
    sa.Column("change", sa.BigInteger, nullable=False, server_default="0", info=VOLATILE),
    sa.Column("measured_at", Instant, info=VOLATILE),
    sa.Column("speed", sa.BigInteger, info=VOLATILE),
    sa.Column("expected_end", Instant, info=VOLATILE),
    sa.UniqueConstraint("requested_by", "idempotency_key", name="uq_restore_sessions_idempotency"),
    sa.Index("ix_restore_sessions_created_at", "created_at", "id"),
    sa.Index("ix_restore_sessions_state", "state", "created_at", "id"),
    sa.Index("ix_restore_sessions_result", "result", "created_at", "id", "state"),
    sa.Index("ix_restore_sessions_result_id", "result", "id"),
    sa.Index("ix_restore_sessions_change", "change", "id"),
)
"""One restore, from its request to its end. Its id is also the id of the durable flow that carries it out.

``host_id`` is the VM's own host; ``target_host_id`` is where it is restored to, if that is another.
``change``: of the last transaction that changed it, its disks or its events (``changes``). ``speed``: bytes a second
over the last seconds before ``measured_at``; ``expected_end``: when it will have verified all, at the rates of then.
"""

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
)
"""One row in SQLite: the last number that was given to a change of a restore session. None in PostgreSQL."""

restore_rates = sa.Table(
    "restore_rates",
    metadata,
    sa.Column("session_id", Guid, sa.ForeignKey("restore_sessions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("repository_id", Guid),
    sa.Column("host_id", Guid, nullable=False),
    sa.Column("measured_at", Instant, nullable=False, index=True),
    sa.Column("copied_bytes", sa.BigInteger, nullable=False),
    sa.Column("verified_bytes", sa.BigInteger, nullable=False),
    sa.Column("copy_rate", sa.Float),
    sa.Column("copy_weight", sa.Float, nullable=False),
    sa.Column("verify_rate", sa.Float),
    sa.Column("verify_weight", sa.Float, nullable=False),
    sa.Index("ix_restore_rates_of", "repository_id", "host_id", "measured_at"),
)
"""How fast each restore copies and verifies, in bytes a second, and over how many seconds, of which the older count
less, each rate was measured. Bytes are those of all its disks at ``measured_at``.
"""

restore_samples = sa.Table(
    "restore_samples",
    metadata,
    sa.Column("session_id", Guid, sa.ForeignKey("restore_sessions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("at", Instant, primary_key=True, autoincrement=False),
    sa.Column("phase", Ordered(RestorePhase), nullable=False),
    sa.Column("copied_bytes", sa.BigInteger, nullable=False),
    sa.Column("verified_bytes", sa.BigInteger, nullable=False),
)
"""How far a restore was at some moments of it."""

restore_disks = sa.Table(
    "restore_disks",
    metadata,
    sa.Column("session_id", Guid, sa.ForeignKey("restore_sessions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("disk_key", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("planned_bytes", sa.BigInteger, nullable=False),
    sa.Column("checkpoint", sa.BigInteger, nullable=False),
    sa.Column("copied_bytes", sa.BigInteger, nullable=False),
    sa.Column("verified_bytes", sa.BigInteger, nullable=False),
    sa.Column("result", Ordered(SessionResult), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("digest", sa.Text),
)
"""Progress of each disk of a restore.

Everything of the disk below offset ``checkpoint`` is written and flushed. ``digest`` is that of the disk as it was read
back, in hexadecimal digits.
"""

drill_plans = sa.Table(
    "drill_plans",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    _ref("sandbox_host_id", "hosts"),
    sa.Column("objective_seconds", sa.Integer, nullable=False),
    sa.Column("selection", sa.JSON, nullable=False),
    sa.Column("checks", sa.JSON, nullable=False),
    sa.Column("schedule", sa.JSON(none_as_null=True)),
    sa.Column("schedule_enabled", sa.Boolean, nullable=False),
    sa.Column("next_run", Instant),
    sa.Column("created_at", Instant, nullable=False),
)

drill_runs = sa.Table(
    "drill_runs",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False),
    _ref("plan_id", "drill_plans", nullable=True, on_delete="SET NULL"),
    sa.Column("plan_name", sa.Text, nullable=False),
    sa.Column("sandbox_host_id", Guid, nullable=False),
    sa.Column("objective_seconds", sa.Integer, nullable=False),
    sa.Column("checks", sa.JSON, nullable=False),
    sa.Column("population", sa.Integer, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("state", Ordered(SessionState), nullable=False),
    sa.Column("result", Ordered(SessionResult), nullable=False),
    sa.Column("reason_code", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("hint", sa.Text),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("requested_from", sa.Text),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    sa.Column("worker_id", sa.Text),
    sa.Index("ix_drill_runs_created_at", "created_at", "id"),
    sa.Index("ix_drill_runs_state", "state"),
)
"""One run of a drill plan, with what the plan asked for then. ``population``: how many VMs it chose from."""

drill_vms = sa.Table(
    "drill_vms",
    metadata,
    _id(),
    _ref("run_id", "drill_runs", on_delete="CASCADE"),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("host_id", Guid, nullable=False),
    sa.Column("vm_ref", sa.Text, nullable=False),
    sa.Column("vm_name", sa.Text, nullable=False),
    sa.Column("vm_restore_point_id", Guid),
    sa.Column("point_name", sa.Text),
    sa.Column("point_created_at", Instant),
    sa.Column("session_id", Guid),
    sa.Column("copy_name", sa.Text, nullable=False),
    sa.Column("copy_removed_at", Instant),
    sa.Column("state", Ordered(TaskSessionState), nullable=False),
    sa.Column("result", Ordered(SessionResult), nullable=False),
    sa.Column("reason_code", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("hint", sa.Text),
    sa.Column("started_at", Instant),
    sa.Column("ended_at", Instant),
    sa.Column("restore_ms", sa.BigInteger),
    sa.Column("boot_ms", sa.BigInteger),
    sa.Column("recovery_ms", sa.BigInteger),
    sa.Column("outcomes", sa.JSON, nullable=False),
    sa.Column("merkle_root", sa.Text),
    sa.Index("ix_drill_vms_vm", "host_id", "vm_ref", "started_at"),
    sa.Index("ix_drill_vms_started_at", "started_at", "id"),
)
"""One VM in a drill. ``session_id``: the restore into the sandbox, and so its evidence; ``copy_name``: the VM there.

Restore point and session are named even when they are gone. ``recovery_ms`` is the time of the restore, from its
request to its verified end, and of the boot if one was asked for.
"""

evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("session_id", Guid, sa.ForeignKey("restore_sessions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
)
"""The signed record of each restore that has ended."""

evidence_keys = sa.Table(
    "evidence_keys",
    metadata,
    _id(),
    sa.Column("public_key", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("secret", sa.LargeBinary),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("retired_at", Instant),
)
"""Keys that sign evidence. One that is retired has no secret any more; one at a time is not."""

session_events = sa.Table(
    "session_events",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("session_id", Guid, nullable=False, index=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("level", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
)
"""What happened in a restore or job session, in order of ``id``. Levels: info, warning, error."""

accounts = sa.Table(
    "accounts",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False, unique=True),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("restore_all", sa.Boolean, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)
"""Who may log on. ``name_key`` is the case-folded name; ``restore_all`` lifts the restore scope."""

account_roles = sa.Table(
    "account_roles",
    metadata,
    sa.Column("account_id", Guid, sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),
)

account_scopes = sa.Table(
    "account_scopes",
    metadata,
    sa.Column("account_id", Guid, sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("host_id", Guid, sa.ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("vm_ref", sa.Text, primary_key=True),
)
"""What an account without ``restore_all`` may see and restore; an empty ``vm_ref`` means the whole host."""

logon_sessions = sa.Table(
    "logon_sessions",
    metadata,
    sa.Column("token_hash", sa.LargeBinary(32), primary_key=True),
    sa.Column("account_id", Guid, sa.ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("last_seen_at", Instant, nullable=False, index=True),
    sa.Column("last_task", sa.Integer, nullable=False),
)
"""Who is logged on. Only a hash of the session's id is kept, since the id is the secret that opens it."""

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column(
        "token_hash",
        sa.LargeBinary(32),
        sa.ForeignKey("logon_sessions.token_hash", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("state", Ordered(TaskState), nullable=False),
    sa.Column("success", sa.Boolean),
    sa.Column("message", sa.Text),
    sa.Column("related_kind", sa.Text),
    sa.Column("related_id", Guid),
    sa.Column("related_name", sa.Text),
    sa.Column("related_rel", sa.Text),
    sa.Column("related_path", sa.Text),
    sa.Column("created_at", Instant, nullable=False),
)
"""Asynchronous actions of one logon session; ``number`` counts from 1 in each. They end with it.

What an action made is named by ``related_kind`` and ``related_id`` or, where it has no id of its own, by
``related_path`` below ``/api``, linked to as ``related_rel``.
"""

mounts = sa.Table(
    "mounts",
    metadata,
    sa.Column("session_id", Guid, sa.ForeignKey("restore_sessions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column(
        "token_hash",
        sa.LargeBinary(32),
        sa.ForeignKey("logon_sessions.token_hash", ondelete="CASCADE"),
        nullable=False,
    ),
    _ref("vm_restore_point_id", "vm_restore_points", on_delete="CASCADE"),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.UniqueConstraint("token_hash", "vm_restore_point_id", "number", name="uq_mounts_token_hash"),
)
"""Open views of the files in a restore point, each of one logon session and with a restore session of its own.

``number`` counts from 1 in each logon session and restore point; 0 is a browse. They end with the logon session.
"""

credentials = sa.Table(
    "credentials",
    metadata,
    _id(),
    sa.Column("username", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)
"""User names with passwords, which are sealed with the master key."""

password_keys = sa.Table(
    "password_keys",
    metadata,
    _id(),
    sa.Column("hint", sa.Text, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("modified_at", Instant, nullable=False),
)
"""Passwords that backups may be encrypted with, sealed with the master key."""

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("host_name", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
    sa.Column("beats", sa.BigInteger, nullable=False, server_default="0"),
)
"""Processes that carry flows, each with a heartbeat."""

audit_log = sa.Table(
    "audit_log",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", Instant, nullable=False, index=True),
    sa.Column("actor", sa.Text),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
    sa.Index("ix_audit_log_actor", "actor", "number"),
    sa.Index("ix_audit_log_operation", "operation", "number"),
)
"""Who did what, as a chain: ``content`` says it, ``hash`` is over the hash before it and the content.

The other columns repeat what the content says, to be asked for.
"""

audit_head = sa.Table(
    "audit_head",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.LargeBinary(32)),
)
"""One row: number and hash of the last entry of ``audit_log``, no hash before the first. Who appends holds its lock."""

webhooks = sa.Table(
    "webhooks",
    metadata,
    _id(),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("events", sa.JSON, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)
"""Who is told of what happens. ``secret`` is sealed with the master key."""

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    _id(),
    _ref("webhook_id", "webhooks", on_delete="CASCADE"),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("state", Ordered(DeliveryState), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", Instant),
    sa.Column("ended_at", Instant, index=True),
    sa.Column("status", sa.Integer),
    sa.Column("problem", sa.Text),
    sa.Index("ix_webhook_deliveries_next_attempt_at", "next_attempt_at", "id"),
    sa.Index("ix_webhook_deliveries_state", "state", "webhook_id", "created_at"),
)
"""What subscribers are to be told, written in the transaction in which it happened.

Who sends one first moves ``next_attempt_at`` on, so that no other does; it is null once the delivery has ended. status,
problem: what came of the last attempt.
"""


def unfinished(table: sa.Table) -> sa.ColumnElement[bool]:
    """True of sessions that are not Stopped: a few among very many, of which there is an index.

    The state is part of the statement's text, or the databases would not know that the index has them all.
    """
    stopped = sa.bindparam(None, SessionState.STOPPED, type_=table.c.state.type, literal_execute=True)
    return table.c.state != stopped


for _table in (job_sessions, restore_sessions):
    sa.Index(f"ix_{_table.name}_ended_at", _table.c.ended_at.nulls_first(), _table.c.id)
    sa.Index(
        f"ix_{_table.name}_unfinished",
        _table.c.created_at,
        _table.c.id,
        sqlite_where=unfinished(_table),
        postgresql_where=unfinished(_table),
    )
FOLDED = [
    sa.Index(f"ix_{column.table.name}_{column.name}_folded", folded(column), column.table.c.id)
    for column in (
        restore_sessions.c.name,
        restore_sessions.c.vm_name,
        vm_restore_points.c.name,
        vm_restore_points.c.vm_name,
        task_sessions.c.name,
        task_sessions.c.vm_name,
        job_sessions.c.name,
        restore_points.c.name,
        backup_files.c.name,
    )
]
"""Indexes on text as it is compared."""
