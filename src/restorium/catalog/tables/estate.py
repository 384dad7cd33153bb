"""What is there: the server, hosts, repositories, jobs, and what they backed up."""

from __future__ import annotations

import sqlalchemy as sa

from restorium.catalog.tables.base import VOLATILE, identity, metadata, reference
from restorium.catalog.types import Guid, Instant, Ordered
from restorium.vocabulary.backups import Algorithm, BackupFileType, JobType, PointType
from restorium.vocabulary.hierarchy import HostType, ManagedServerType, Platform
from restorium.vocabulary.retention import RetainBy

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
    identity(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("port", sa.Integer, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
)
"""One row: this installation. A table all the same, so that listings can join, filter and sort by it."""

hosts = sa.Table(
    "hosts",
    metadata,
    identity(),
    sa.Column("managed_server_id", Guid, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("platform", Ordered(Platform), nullable=False),
    sa.Column("host_type", Ordered(HostType), nullable=False, server_default="2"),
    sa.Column("server_type", Ordered(ManagedServerType), nullable=False, server_default="5"),
    sa.Column("credentials_id", Guid),
    sa.Column("thumbprint", sa.Text),
    sa.Column("created_at", Instant, nullable=False),
)
"""A hypervisor or image folder: a hierarchy root by ``id`` and a managed server by ``managed_server_id``.

credentials_id: of its logon; ``thumbprint``: SHA-256 in hex of the certificate that it must have.
"""

repositories = sa.Table(
    "repositories",
    metadata,
    identity(),
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
    identity(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("job_type", Ordered(JobType), nullable=False),
    sa.Column("platform", Ordered(Platform), nullable=False),
    reference("repository_id", "repositories"),
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
    identity(),
    reference("job_id", "jobs", on_delete="CASCADE"),
    reference("host_id", "hosts"),
    sa.Column("vm_ref", sa.Text, nullable=False),
    sa.Column("vm_name", sa.Text, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
)

backups = sa.Table(
    "backups",
    metadata,
    identity(),
    sa.Column("name", sa.Text, nullable=False),
    reference("job_id", "jobs", nullable=True, on_delete="SET NULL"),
    reference("repository_id", "repositories"),
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
    identity(),
    sa.Column("name", sa.Text, nullable=False),
    reference("backup_id", "backups", on_delete="CASCADE"),
    sa.Column("created_at", Instant, nullable=False),
    sa.Index("ix_restore_points_created_at", "created_at", "id"),
)
"""One moment of one job."""

backup_files = sa.Table(
    "backup_files",
    metadata,
    identity(),
    sa.Column("name", sa.Text, nullable=False),
    reference("backup_id", "backups", on_delete="CASCADE"),
    reference("restore_point_id", "restore_points", on_delete="CASCADE"),
    reference("repository_id", "repositories"),
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

vapp_restore_points = sa.Table(
    "vapp_restore_points",
    metadata,
    identity(),
    sa.Column("name", sa.Text, nullable=False),
    reference("restore_point_id", "restore_points", on_delete="CASCADE"),
    reference("host_id", "hosts"),
    sa.Column("vapp_ref", sa.Text, nullable=False),
    sa.Column("vapp_name", sa.Text, nullable=False),
    sa.Column("algorithm", Ordered(Algorithm), nullable=False),
    sa.Column("point_type", Ordered(PointType), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Index("ix_vapp_restore_points_created_at", "created_at", "id"),
)
"""One vApp in one restore point: the VMs that were in it together. Full if one of them is."""

vm_restore_points = sa.Table(
    "vm_restore_points",
    metadata,
    identity(),
    sa.Column("name", sa.Text, nullable=False),
    reference("restore_point_id", "restore_points", on_delete="CASCADE"),
    reference("backup_file_id", "backup_files", on_delete="CASCADE"),
    reference("host_id", "hosts"),
    sa.Column("vm_ref", sa.Text, nullable=False),
    sa.Column("vm_name", sa.Text, nullable=False),
    sa.Column("algorithm", Ordered(Algorithm), nullable=False),
    sa.Column("point_type", Ordered(PointType), nullable=False),
    sa.Column("vault_point", sa.Text, nullable=False),
    sa.Column("vapp_restore_point_id", Guid, index=True),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("verified_at", Instant, info=VOLATILE),
    sa.Column("verified_data", sa.Boolean, info=VOLATILE),
    sa.Column("verify_problem", sa.Text, info=VOLATILE),
    sa.Index("ix_vm_restore_points_created_at", "created_at", "id"),
    sa.Index("ix_vm_restore_points_vm", "host_id", "vm_ref", "created_at"),
    sa.Index("ix_vm_restore_points_vm_name", "vm_name", "created_at"),
    sa.Index("ix_vm_restore_points_vault_point", "vault_point"),
)
"""One VM in one restore point. ``vault_point`` is the manifest's name in the repository, ``vapp_restore_point_id`` the
vApp that it is one of, which goes with the same restore point.

``verified_at``: when its repository was last verified; ``verified_data``: by reading all data, not the index alone;
``verify_problem``: what was found to be wrong with the point.
"""

expired_manifests = sa.Table(
    "expired_manifests",
    metadata,
    sa.Column("repository_id", Guid, sa.ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("vault_point", sa.Text, primary_key=True),
)
"""Manifests that no restore point names any more and that are still to be removed from their repository."""
