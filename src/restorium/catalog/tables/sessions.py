"""What happened: runs of jobs and restores, each with its parts, its events and its evidence."""

from __future__ import annotations

import sqlalchemy as sa

from restorium.catalog.tables.base import VOLATILE, change_number, identity, metadata, reference, unfinished
from restorium.catalog.types import Guid, Instant, Ordered
from restorium.vocabulary.backups import JobType, RunKind
from restorium.vocabulary.sessions import (
    RestoreKind,
    RestorePhase,
    SessionResult,
    SessionState,
    TaskSessionState,
)

job_sessions = sa.Table(
    "job_sessions",
    metadata,
    identity(),
    sa.Column("name", sa.Text, nullable=False),
    reference("job_id", "jobs", nullable=True, on_delete="CASCADE"),
    reference("restore_point_id", "restore_points", nullable=True, on_delete="SET NULL"),
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
    sa.Column("hold", sa.Text, info=VOLATILE),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, info=VOLATILE),
    change_number(),
    sa.Index("ix_job_sessions_change", "change", "id"),
    sa.Index("ix_job_sessions_created_at", "created_at", "id"),
    sa.Index("ix_job_sessions_state", "state", "created_at", "id"),
    sa.Index("ix_job_sessions_result", "result", "created_at", "id", "state"),
    sa.Index("ix_job_sessions_result_id", "result", "id"),
)
"""One run of a job, or of none (``kind``). ``attempt``: 0 of a run by schedule, n of its nth retry, nothing of what
somebody asked for.

``repository_id`` is where it backs up to; ``delete_after`` becomes that of the backup that it makes.
``image_files``: paths of the images that an import reads, in the order of the VM's disks. ``hold``: of the attempt that
carries it out.
"""

task_sessions = sa.Table(
    "task_sessions",
    metadata,
    identity(),
    sa.Column("name", sa.Text, nullable=False),
    reference("job_session_id", "job_sessions", on_delete="CASCADE"),
    reference("host_id", "hosts"),
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
    sa.Column("vault_point", sa.Text, info=VOLATILE),
    sa.Index("ix_task_sessions_created_at", "created_at", "id"),
)
"""One VM in one run. ``vault_point``: the manifest that is written for it, from just before on."""

restore_sessions = sa.Table(
    "restore_sessions",
    metadata,
    identity(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("job_type", Ordered(RestoreKind), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
    sa.Column("state", Ordered(SessionState), nullable=False),
    sa.Column("result", Ordered(SessionResult), nullable=False),
    sa.Column("progress", sa.Integer, nullable=False, info=VOLATILE),
    reference("vm_restore_point_id", "vm_restore_points", nullable=True, on_delete="SET NULL"),
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
    sa.Column("hold", sa.Text, info=VOLATILE),
    change_number(),
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
"""One row in SQLite: the last number that was given to a change of a session. None in PostgreSQL."""

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
    identity(),
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

for _table in (job_sessions, restore_sessions):
    sa.Index(f"ix_{_table.name}_ended_at", _table.c.ended_at.nulls_first(), _table.c.id)
    sa.Index(
        f"ix_{_table.name}_unfinished",
        _table.c.created_at,
        _table.c.id,
        sqlite_where=unfinished(_table),
        postgresql_where=unfinished(_table),
    )
