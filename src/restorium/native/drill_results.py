"""What drills of VMs came to: how long each restore took, what the checks found, and where its evidence is."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from restorium.catalog import drill_vms
from restorium.catalog.listing import Row
from restorium.native.exchange import show
from restorium.native.lists import Choice, guid, one_of, page_of, period, text
from restorium.native.operation import Call, Operation
from restorium.native.paging import Page
from restorium.native.reasons import Reason, reason_of
from restorium.native.roles import EVERYONE
from restorium.vocabulary import drills as values
from restorium.vocabulary.sessions import SessionResult, TaskSessionState

_CHOICE = Choice(
    "-started_at",
    ("started_at",),
    {
        "vm": text("vm_name"),
        "plan": guid("plan_id"),
        "result": one_of("result", SessionResult),
        **period("started_at"),
    },
    partial=frozenset({"started_at"}),
)


class CheckOutcome(msgspec.Struct):
    """``subject``: what was looked at, if that is not the whole VM."""

    kind: values.CheckKind
    result: values.CheckResult
    subject: str | None
    detail: str


class DrilledVm(msgspec.Struct):
    """One VM in one run. Times in milliseconds: ``recovery_ms`` is that of the restore and of a boot that is asked for.

    session_id: the restore, whose evidence has the ``merkle_root``. copy_removed_at: since when it is gone from the
    sandbox.
    """

    id: UUID
    run_id: UUID
    plan_name: str
    host_id: UUID
    vm_ref: str
    vm_name: str
    vm_restore_point_id: UUID | None
    point_name: str | None
    point_created_at: datetime | None
    session_id: UUID | None
    copy_name: str
    copy_removed_at: datetime | None
    state: TaskSessionState
    result: SessionResult
    reason: Reason | None
    started_at: datetime | None
    ended_at: datetime | None
    restore_ms: int | None
    boot_ms: int | None
    recovery_ms: int | None
    objective_seconds: int
    checks: list[CheckOutcome]
    merkle_root: str | None


def _list(call: Call) -> Page[DrilledVm]:
    """What drills of VMs came to, newest first; ``vm`` is a name, ``plan`` the id of a plan; ``result`` is one or more
    names with commas between them; ``since`` and ``until`` are about when its restore began.
    """
    return page_of(call, drill_vms.listing, _CHOICE, lambda _connection, rows: [drilled(row) for row in rows])


def drilled(row: Row) -> DrilledVm:
    """A row of drill_vms.listing."""
    own = {
        name: getattr(row, name) for name in DrilledVm.__struct_fields__ if name not in ("reason", "checks")
    }
    outcomes = [show(outcome, CheckOutcome) for outcome in drill_vms.outcomes_of(row)]
    return DrilledVm(**own, reason=reason_of(row), checks=outcomes)


OPERATIONS = (Operation("GET", "/drill-results", _list, EVERYONE, query=_CHOICE.query),)
