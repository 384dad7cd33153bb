"""The catalog of VMs: names under which VMs were backed up, and the VM restore points of each.

A name stands for all VMs that had it when they were backed up, by whatever job and on whatever host; a VM that was
renamed is there under each of its names. Names that differ in case only are two.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from restorium.catalog.listing import Listing, columns_of
from restorium.catalog.tables import vm_restore_points
from restorium.catalog.types import Exact, Instant
from restorium.catalog.visibility import in_scope

_SECOND = 1_000_000
_same = vm_restore_points.alias("same")
_named = sa.select(vm_restore_points.c.vm_name).distinct().subquery("named")


def _exact(column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    return sa.type_coerce(column, Exact)


def _second(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """An instant without what is below a second."""
    microseconds = sa.type_coerce(column, sa.BigInteger)
    return sa.type_coerce(microseconds - microseconds % _SECOND, Instant)


listing = Listing(
    {"id": _exact(_named.c.vm_name), "name": _named.c.vm_name, "vm_name": _named.c.vm_name},
    _named,
    cut=sa.exists(
        sa.select(sa.literal(1))
        .select_from(_same)
        .where(_same.c.vm_name == _named.c.vm_name, in_scope(_same.c.host_id, _same.c.vm_ref))
    ),
)
"""Names, each of which is its own id. Seen by whoever may see one of the restore points."""

point_listing = Listing(
    columns_of(vm_restore_points)
    | {
        "catalog_vm_id": _exact(vm_restore_points.c.vm_name),
        "catalog_vm_name": vm_restore_points.c.vm_name,
        "vm_restore_point_id": vm_restore_points.c.id,
        "vm_restore_point_name": vm_restore_points.c.name,
        "second": _second(vm_restore_points.c.created_at),
    },
    vm_restore_points,
    cut=in_scope(vm_restore_points.c.host_id, vm_restore_points.c.vm_ref),
)
"""VM restore points, each under the name of its VM."""
