"""Plans of drills, their runs, and the VMs in them."""

from __future__ import annotations

import sqlalchemy as sa

from restorium.catalog.tables.base import change_number, identity, metadata, reference
from restorium.catalog.types import Guid, Instant, Ordered
from restorium.vocabulary.sessions import SessionResult, SessionState, TaskSessionState

drill_plans = sa.Table(
    "drill_plans",
    metadata,
    identity(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    reference("sandbox_host_id", "hosts"),
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
    identity(),
    sa.Column("name", sa.Text, nullable=False),
    reference("plan_id", "drill_plans", nullable=True, on_delete="SET NULL"),
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
    sa.Column("hold", sa.Text),
    change_number(),
    sa.Index("ix_drill_runs_change", "change", "id"),
    sa.Index("ix_drill_runs_created_at", "created_at", "id"),
    sa.Index("ix_drill_runs_state", "state"),
)
"""One run of a drill plan, with what the plan asked for then. ``population``: how many VMs it chose from."""

drill_vms = sa.Table(
    "drill_vms",
    metadata,
    identity(),
    reference("run_id", "drill_runs", on_delete="CASCADE"),
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
