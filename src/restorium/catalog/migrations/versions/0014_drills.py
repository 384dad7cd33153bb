"""Drill plans, their runs, and the VMs in those."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "drill_plans",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sandbox_host_id", sa.Uuid(), nullable=False),
        sa.Column("objective_seconds", sa.Integer(), nullable=False),
        sa.Column("selection", sa.JSON(), nullable=False),
        sa.Column("checks", sa.JSON(), nullable=False),
        sa.Column("schedule", sa.JSON()),
        sa.Column("schedule_enabled", sa.Boolean(), nullable=False),
        sa.Column("next_run", sa.BigInteger()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_drill_plans"),
        sa.UniqueConstraint("name", name="uq_drill_plans_name"),
        sa.ForeignKeyConstraint(
            ["sandbox_host_id"], ["hosts.id"], name="fk_drill_plans_sandbox_host_id", ondelete="RESTRICT"
        ),
    )
    op.create_index("ix_drill_plans_sandbox_host_id", "drill_plans", ["sandbox_host_id"])
    op.create_table(
        "drill_runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("plan_id", sa.Uuid()),
        sa.Column("plan_name", sa.Text(), nullable=False),
        sa.Column("sandbox_host_id", sa.Uuid(), nullable=False),
        sa.Column("objective_seconds", sa.Integer(), nullable=False),
        sa.Column("checks", sa.JSON(), nullable=False),
        sa.Column("population", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("result", sa.SmallInteger(), nullable=False),
        sa.Column("reason_code", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("hint", sa.Text()),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_from", sa.Text()),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("worker_id", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_drill_runs"),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["drill_plans.id"], name="fk_drill_runs_plan_id", ondelete="SET NULL"
        ),
    )
    op.create_index("ix_drill_runs_plan_id", "drill_runs", ["plan_id"])
    op.create_index("ix_drill_runs_created_at", "drill_runs", ["created_at", "id"])
    op.create_index("ix_drill_runs_state", "drill_runs", ["state"])
    op.create_table(
        "drill_vms",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("host_id", sa.Uuid(), nullable=False),
        sa.Column("vm_ref", sa.Text(), nullable=False),
        sa.Column("vm_name", sa.Text(), nullable=False),
        sa.Column("vm_restore_point_id", sa.Uuid()),
        sa.Column("point_name", sa.Text()),
        sa.Column("point_created_at", sa.BigInteger()),
        sa.Column("session_id", sa.Uuid()),
        sa.Column("copy_name", sa.Text(), nullable=False),
        sa.Column("copy_removed_at", sa.BigInteger()),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("result", sa.SmallInteger(), nullable=False),
        sa.Column("reason_code", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("hint", sa.Text()),
        sa.Column("started_at", sa.BigInteger()),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("restore_ms", sa.BigInteger()),
        sa.Column("boot_ms", sa.BigInteger()),
        sa.Column("recovery_ms", sa.BigInteger()),
        sa.Column("outcomes", sa.JSON(), nullable=False),
        sa.Column("merkle_root", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_drill_vms"),
        sa.ForeignKeyConstraint(
            ["run_id"], ["drill_runs.id"], name="fk_drill_vms_run_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_drill_vms_run_id", "drill_vms", ["run_id"])
    op.create_index("ix_drill_vms_vm", "drill_vms", ["host_id", "vm_ref", "started_at"])
    op.create_index("ix_drill_vms_started_at", "drill_vms", ["started_at", "id"])
