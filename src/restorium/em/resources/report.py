"""Reports: the summary, and the frames that it links to. Counts are of everything; what has a name, of what is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection

from restorium.catalog import reports
from restorium.catalog.listing import Visibility
from restorium.em.call import Answer, Call
from restorium.em.documents import Link
from restorium.em.roles import MONITORS
from restorium.em.routing import Handler, Route
from restorium.em.shapes import Child, Gives, Shape, addressed
from restorium.em.values import INSTANT, INTEGER, LONG, TEXT, Codec
from restorium.vocabulary.sessions import SessionResult

_ABSENT = ("Links", "Href", "Type")
"""Members that a frame's JSON has as null: frames have neither an address nor links."""
_SUMMARY = "/reports/summary"

Members = dict[str, Any]


def _frame(name: str, *members: Child, attributes: tuple[Child, ...] = ()) -> Shape:
    return Shape(f"{name}ReportFrame", attributes, members, nulls=_ABSENT)


def _each(kind: Codec, *names: str) -> tuple[Child, ...]:
    return tuple(Child(name, kind) for name in names)


_OVERVIEW = _frame(
    "Overview",
    *_each(INTEGER, "BackupServers", "ProxyServers", "RepositoryServers", "RunningJobs", "ScheduledJobs"),
    *_each(INTEGER, "SuccessfulVmLastestStates", "WarningVmLastestStates", "FailedVmLastestStates"),
)
"""Spelt so on the wire."""
_VMS = _frame(
    "VmsOverview",
    *_each(INTEGER, "ProtectedVms", "BackedUpVms", "ReplicatedVms", "RestorePoints"),
    *_each(LONG, "FullBackupPointsSize", "IncrementalBackupPointsSize", "ReplicaRestorePointsSize"),
    *(Child("SourceVmsSize", LONG), Child("SuccessBackupPercents", INTEGER)),
    Child("ProtectedVmsReportLink", TEXT),
)
_STATISTICS = _frame(
    "JobStatistics",
    *_each(INTEGER, "RunningJobs", "ScheduledJobs", "ScheduledBackupJobs", "ScheduledReplicaJobs"),
    *_each(INTEGER, "TotalJobRuns", "SuccessfulJobRuns", "WarningsJobRuns", "FailedJobRuns"),
    *_each(INTEGER, "MaxJobDuration", "MaxBackupJobDuration", "MaxReplicaJobDuration"),
    *_each(TEXT, "MaxDurationBackupJobName", "MaxDurationReplicaJobName", "BackupJobStatusReportLink"),
)
_PERIOD = Shape("Period", members=(Child("Name", TEXT), *_each(LONG, "Capacity", "FreeSpace", "BackupSize")))
_USAGE = _frame(
    "Repository",
    Child("Period", _PERIOD, many="Periods"),
    attributes=(Child("CapacityPlanningReportLink", TEXT),),
)
_DAY = Shape(
    "Day",
    (Child("Timestamp", INSTANT), *_each(INTEGER, "ReplicatedVms", "BackupedVms")),
    type="ProcessedVmsDayType",
)
_PROCESSED = _frame("ProcessedVms", Child("Day", _DAY, many="Days"))
_REPORT = Shape("SummaryReport", addressed("Report"), links=True)


def _overview(connection: Connection, _visible: Visibility) -> Members:
    found = reports.overview(connection)
    return {
        "BackupServers": found.servers,
        "ProxyServers": found.servers,  # the server itself moves the data
        "RepositoryServers": found.repositories,
        "RunningJobs": found.running_jobs,
        "ScheduledJobs": found.scheduled_jobs,
        "SuccessfulVmLastestStates": found.states[SessionResult.SUCCESS],
        "WarningVmLastestStates": found.states[SessionResult.WARNING],
        "FailedVmLastestStates": found.states[SessionResult.FAILED],
    }


def _vms(connection: Connection, _visible: Visibility) -> Members:
    found = reports.vms(connection)
    return {
        "ProtectedVms": found.protected,
        "BackedUpVms": found.protected,
        "ReplicatedVms": 0,
        "RestorePoints": found.restore_points,
        "FullBackupPointsSize": found.full_bytes,
        "IncrementalBackupPointsSize": found.incremental_bytes,
        "ReplicaRestorePointsSize": 0,
        "SourceVmsSize": found.source_bytes,
        "SuccessBackupPercents": found.success_percent,
        "ProtectedVmsReportLink": "",
    }


def _job_statistics(connection: Connection, visible: Visibility) -> Members:
    found = reports.runs(connection, visible)
    return {
        "RunningJobs": found.running_jobs,
        "ScheduledJobs": found.scheduled_jobs,
        "ScheduledBackupJobs": found.scheduled_jobs,
        "ScheduledReplicaJobs": 0,
        "TotalJobRuns": found.total,
        "SuccessfulJobRuns": found.results[SessionResult.SUCCESS],
        "WarningsJobRuns": found.results[SessionResult.WARNING],
        "FailedJobRuns": found.results[SessionResult.FAILED],
        "MaxJobDuration": found.longest_seconds,
        "MaxBackupJobDuration": found.longest_seconds,
        "MaxReplicaJobDuration": 0,
        "MaxDurationBackupJobName": found.longest_name,
        "MaxDurationReplicaJobName": "",
        "BackupJobStatusReportLink": "",
    }


def _repository(connection: Connection, _visible: Visibility) -> Members:
    periods = [
        _PERIOD.made(
            Name=row.name,
            Capacity=row.capacity_bytes,
            FreeSpace=row.free_bytes,
            BackupSize=row.backup_bytes,
        )
        for row in reports.usage(connection)
    ]
    return {"CapacityPlanningReportLink": "", "Period": periods}


def _processed_vms(connection: Connection, _visible: Visibility) -> Members:
    days = [
        _DAY.made(Timestamp=at, ReplicatedVms=0, BackupedVms=number)
        for at, number in reports.processed(connection)
    ]
    return {"Day": days}


_FRAMES: dict[str, tuple[str, Shape, Callable[[Connection, Visibility], Members]]] = {
    "overview": ("Overview", _OVERVIEW, _overview),
    "vms_overview": ("VmsOverview", _VMS, _vms),
    "job_statistics": ("JobStatistics", _STATISTICS, _job_statistics),
    "processed_vms": ("ProcessedVms", _PROCESSED, _processed_vms),
    "repository": ("Repositories", _USAGE, _repository),
}
"""By path, with the names that the summary's links have: clients file the frames by them."""


def _served(shape: Shape, members: Callable[[Connection, Visibility], Members]) -> Handler:
    def serve(call: Call) -> Answer:
        with call.engine.database.read() as connection:
            return Answer(200, shape.made(**members(connection, call.visible)))

    return serve


def _summary(call: Call) -> Answer:
    href = f"{call.base}{_SUMMARY}"
    links = [Link("Down", f"{href}/{path}", name, "ReportFrame") for path, (name, _, _) in _FRAMES.items()]
    return Answer(200, _REPORT.made(links, Href=href))


ROUTES = (
    Route("GET", _SUMMARY, MONITORS, _summary, gives=(Gives(200, _REPORT),)),
    *(
        Route("GET", f"{_SUMMARY}/{path}", MONITORS, _served(shape, members), gives=(Gives(200, shape),))
        for path, (_, shape, members) in _FRAMES.items()
    ),
)
