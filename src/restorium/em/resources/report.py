"""Reports: the summary, and the frames that it links to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy.engine import Connection

from restorium.catalog import reports
from restorium.em.call import Answer, Call
from restorium.em.documents import Link, Member, Resource, Several
from restorium.em.roles import MONITORS
from restorium.em.routing import Handler, Route
from restorium.em.values import show_instant
from restorium.vocabulary.sessions import SessionResult

_ABSENT = ("Links", "Href", "Type")
"""Members that a frame's JSON has as null: frames have neither an address nor links."""
_SUMMARY = "/reports/summary"

Members = Sequence[tuple[str, Member]]


def _overview(connection: Connection) -> Members:
    found = reports.overview(connection)
    return [
        ("BackupServers", found.servers),
        ("ProxyServers", found.servers),  # the server itself moves the data
        ("RepositoryServers", found.repositories),
        ("RunningJobs", found.running_jobs),
        ("ScheduledJobs", found.scheduled_jobs),
        ("SuccessfulVmLastestStates", found.states[SessionResult.SUCCESS]),  # spelt so on the wire
        ("WarningVmLastestStates", found.states[SessionResult.WARNING]),
        ("FailedVmLastestStates", found.states[SessionResult.FAILED]),
    ]


def _vms(connection: Connection) -> Members:
    found = reports.vms(connection)
    return [
        ("ProtectedVms", found.protected),
        ("BackedUpVms", found.protected),
        ("ReplicatedVms", 0),
        ("RestorePoints", found.restore_points),
        ("FullBackupPointsSize", found.full_bytes),
        ("IncrementalBackupPointsSize", found.incremental_bytes),
        ("ReplicaRestorePointsSize", 0),
        ("SourceVmsSize", found.source_bytes),
        ("SuccessBackupPercents", found.success_percent),
        ("ProtectedVmsReportLink", ""),
    ]


def _job_statistics(connection: Connection) -> Members:
    found = reports.runs(connection)
    return [
        ("RunningJobs", found.running_jobs),
        ("ScheduledJobs", found.scheduled_jobs),
        ("ScheduledBackupJobs", found.scheduled_jobs),
        ("ScheduledReplicaJobs", 0),
        ("TotalJobRuns", found.total),
        ("SuccessfulJobRuns", found.results[SessionResult.SUCCESS]),
        ("WarningsJobRuns", found.results[SessionResult.WARNING]),
        ("FailedJobRuns", found.results[SessionResult.FAILED]),
        ("MaxJobDuration", found.longest_seconds),
        ("MaxBackupJobDuration", found.longest_seconds),
        ("MaxReplicaJobDuration", 0),
        ("MaxDurationBackupJobName", found.longest_name),
        ("MaxDurationReplicaJobName", ""),
        ("BackupJobStatusReportLink", ""),
    ]


def _repository(connection: Connection) -> Members:
    periods = [
        Resource(
            "Period",
            (),
            [
                ("Name", row.name),
                ("Capacity", row.capacity_bytes),
                ("FreeSpace", row.free_bytes),
                ("BackupSize", row.backup_bytes),
            ],
        )
        for row in reports.usage(connection)
    ]
    return [("Period", Several("Periods", periods))]


def _processed_vms(connection: Connection) -> Members:
    days = [
        Resource("Day", [("Timestamp", show_instant(at)), ("ReplicatedVms", 0), ("BackupedVms", number)])
        for at, number in reports.processed(connection)
    ]
    return [("Day", Several("Days", days))]


_FRAMES: dict[str, tuple[str, Callable[[Connection], Members]]] = {
    "overview": ("OverviewReportFrame", _overview),
    "vms_overview": ("VmsOverviewReportFrame", _vms),
    "job_statistics": ("JobStatisticsReportFrame", _job_statistics),
    "repository": ("RepositoryReportFrame", _repository),
    "processed_vms": ("ProcessedVmsReportFrame", _processed_vms),
}


def _frame(name: str, members: Callable[[Connection], Members]) -> Handler:
    attributes = [("CapacityPlanningReportLink", "")] if name == "RepositoryReportFrame" else []

    def serve(call: Call) -> Answer:
        with call.engine.database.read() as connection:
            return Answer(200, Resource(name, attributes, members(connection), nulls=_ABSENT))

    return serve


def _summary(call: Call) -> Answer:
    href = f"{call.base}{_SUMMARY}"
    links = [Link("Up", f"{call.base}/", None, "EnterpriseManager")]
    links += [Link("Down", f"{href}/{path}", None, "ReportFrame") for path in _FRAMES]
    return Answer(200, Resource("SummaryReport", [("Href", href), ("Type", "Report")], (), links))


ROUTES = (
    Route("GET", _SUMMARY, MONITORS, _summary),
    *(
        Route("GET", f"{_SUMMARY}/{path}", MONITORS, _frame(name, members))
        for path, (name, members) in _FRAMES.items()
    ),
)
