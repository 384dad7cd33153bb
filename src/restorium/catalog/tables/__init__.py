"""The database's tables, as SQLAlchemy Core sees them. Alembic's migrations under migrations/ make them."""

from __future__ import annotations

import sqlalchemy as sa

from restorium.catalog.tables.accounts import (
    account_roles,
    account_scopes,
    accounts,
    credentials,
    logon_sessions,
    mounts,
    password_keys,
    tasks,
)
from restorium.catalog.tables.base import metadata, unfinished
from restorium.catalog.tables.drills import (
    drill_plans,
    drill_runs,
    drill_vms,
)
from restorium.catalog.tables.estate import (
    backup_files,
    backup_servers,
    backups,
    expired_manifests,
    generations,
    hosts,
    job_objects,
    jobs,
    repositories,
    restore_points,
    vapp_restore_points,
    vm_restore_points,
)
from restorium.catalog.tables.service import (
    audit_head,
    audit_log,
    webhook_deliveries,
    webhooks,
    workers,
)
from restorium.catalog.tables.sessions import (
    changes,
    evidence,
    evidence_keys,
    job_sessions,
    restore_disks,
    restore_rates,
    restore_samples,
    restore_sessions,
    session_events,
    task_sessions,
)
from restorium.catalog.text import folded

__all__ = [
    "FOLDED",
    "metadata",
    "unfinished",
    "account_roles",
    "account_scopes",
    "accounts",
    "audit_head",
    "audit_log",
    "backup_files",
    "backup_servers",
    "backups",
    "changes",
    "credentials",
    "drill_plans",
    "drill_runs",
    "drill_vms",
    "evidence",
    "evidence_keys",
    "expired_manifests",
    "generations",
    "hosts",
    "job_objects",
    "job_sessions",
    "jobs",
    "logon_sessions",
    "mounts",
    "password_keys",
    "repositories",
    "restore_disks",
    "restore_points",
    "restore_rates",
    "restore_samples",
    "restore_sessions",
    "session_events",
    "task_sessions",
    "tasks",
    "vapp_restore_points",
    "vm_restore_points",
    "webhook_deliveries",
    "webhooks",
    "workers",
]

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
