"""vApps in restore points: the VMs that were in one together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "vapp_restore_points",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("restore_point_id", sa.Uuid(), nullable=False),
        sa.Column("host_id", sa.Uuid(), nullable=False),
        sa.Column("vapp_ref", sa.Text(), nullable=False),
        sa.Column("vapp_name", sa.Text(), nullable=False),
        sa.Column("algorithm", sa.SmallInteger(), nullable=False),
        sa.Column("point_type", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["restore_point_id"],
            ["restore_points.id"],
            name="fk_vapp_restore_points_restore_point_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["host_id"], ["hosts.id"], name="fk_vapp_restore_points_host_id", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_vapp_restore_points"),
    )
    op.create_index("ix_vapp_restore_points_restore_point_id", "vapp_restore_points", ["restore_point_id"])
    op.create_index("ix_vapp_restore_points_host_id", "vapp_restore_points", ["host_id"])
    op.create_index("ix_vapp_restore_points_created_at", "vapp_restore_points", ["created_at", "id"])
    op.add_column("vm_restore_points", sa.Column("vapp_restore_point_id", sa.Uuid()))
    op.create_index(
        "ix_vm_restore_points_vapp_restore_point_id", "vm_restore_points", ["vapp_restore_point_id"]
    )
