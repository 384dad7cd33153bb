"""The steps of one backup run. Each may run twice around a crash, and each may be the last one before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from restorium.catalog import backups, hosts, job_sessions, jobs, points, repositories
from restorium.catalog.listing import Row
from restorium.catalog.new_points import NewVmPoint
from restorium.flows import repositories as repository_flows
from restorium.flows.capturing import Captured, Capturing, PlannedVm
from restorium.flows.durable import StepFailed
from restorium.flows.engine import Engine
from restorium.flows.inventory import list_vms
from restorium.hosts.image_files import open_images
from restorium.vocabulary.backups import Algorithm, BackupFileType, PointType
from restorium.vocabulary.errors import HostError, VaultError
from restorium.vocabulary.sessions import SessionResult

_MOST_PERCENT = 1_000_000


def plan(engine: Engine, session_id: UUID) -> dict[str, Any]:
    """The moment that the run's restore point bears, and its VMs with their sizes, as JSON."""
    with engine.database.read() as connection:
        tasks = job_sessions.tasks(connection, session_id)
        files = job_sessions.get(connection, session_id).image_files
    sizes = (
        _sizes_on_hosts(engine, {task.host_id for task in tasks})
        if files is None
        else _size_of(tasks[0], files)
    )
    return {
        "moment": engine.clock.now().isoformat(),
        "vms": [
            {
                "task_id": str(task.id),
                "host_id": str(task.host_id),
                "ref": task.vm_ref,
                "name": task.vm_name,
                "size": sizes.get((task.host_id, task.vm_ref), 0),
            }
            for task in tasks
        ],
    }


def _sizes_on_hosts(engine: Engine, host_ids: Iterable[UUID]) -> dict[tuple[UUID, str], int]:
    sizes: dict[tuple[UUID, str], int] = {}
    for host_id in host_ids:
        try:
            vms = list_vms(engine, host_id)
        except HostError:
            continue  # told when a VM of it is come to
        sizes |= {(host_id, vm.ref): sum(disk.size for disk in vm.disks) for vm in vms}
    return sizes


def _size_of(task: Row, files: Sequence[str]) -> dict[tuple[UUID, str], int]:
    try:
        with open_images(task.vm_name, [Path(file) for file in files]) as opened:
            return {(task.host_id, task.vm_ref): sum(disk.size for disk in opened.description.disks)}
    except HostError:
        return {}  # told when the VM is come to


class BackingUp:
    """One run at work. hold: of the session. planned: what ``plan`` gave.

    Its methods are called inside steps of the flow.
    """

    def __init__(self, engine: Engine, session_id: UUID, hold: str, planned: dict[str, Any]) -> None:
        self._engine = engine
        self._session_id = session_id
        self._hold = hold
        self._moment = datetime.fromisoformat(planned["moment"])
        self.vms = list(_planned_vms(planned["vms"]))

    def capture(self, vm: PlannedVm) -> Captured:
        """Back up one VM. See Capturing.capture."""
        return Capturing(self._engine, self._session_id, self._hold, self._moment, vm).capture()

    def give_up(self, vm: PlannedVm, failure: StepFailed) -> None:
        """Note why a VM could not be backed up."""
        with self._engine.database.write() as connection:
            job_sessions.end_task(
                connection,
                vm.task_id,
                SessionResult.FAILED,
                reason_code=failure.code,
                reason=failure.message,
            )
            told = f"{vm.name} could not be backed up: {failure.message}"
            job_sessions.add_event(connection, self._session_id, "error", told)

    def record(self, captured: list[Captured]) -> str | None:
        """Make the run's restore point, of the VMs that succeeded, in the catalog; its id, None of no VM."""
        if not captured:
            return None
        restore_point_id = uuid5(self._session_id, "restore point")
        with self._engine.database.write() as connection:
            session = job_sessions.get(connection, self._session_id)
            if session.job_id is None:
                platform = hosts.get(connection, self.vms[0].host_id).platform
                backup, title = backups.ensure_one_time(connection, session, platform), session.name
            else:
                backup = backups.ensure(connection, session.job_id)
                job = jobs.get(connection, session.job_id)
                title = f"{job.name}@{self._moment:%Y-%m-%d %H:%M:%S}"
            url = repositories.get(connection, session.repository_id).url
            points.record(
                connection,
                restore_point_id=restore_point_id,
                backup_id=backup.id,
                name=title,
                created_at=self._moment,
                vms=[self._vm_point(each, url) for each in captured],
            )
        return str(restore_point_id)

    def record_usage(self) -> None:
        """Note what the repository now takes. That it cannot be told changes nothing about the run."""
        with self._engine.database.read() as connection:
            repository_id = job_sessions.get(connection, self._session_id).repository_id
        try:
            repository_flows.record_usage(self._engine, repository_id)
        except VaultError as error:
            told = f"The repository's room could not be read: {error.message}"
            with self._engine.database.write() as connection:
                job_sessions.add_event(connection, self._session_id, "warning", told)

    def _vm_point(self, captured: Captured, repository_url: str) -> NewVmPoint:
        vm = next(each for each in self.vms if str(each.task_id) == captured["task_id"])
        file_type = BackupFileType.VBK if captured["full"] else BackupFileType.VIB
        vapp = captured.get("vapp")
        return NewVmPoint(
            host_id=vm.host_id,
            vm_ref=vm.ref,
            vm_name=captured["vm_name"],
            algorithm=Algorithm.FULL if captured["full"] else Algorithm.INCREMENTAL,
            point_type=PointType.FULL if captured["full"] else PointType.INCREMENT,
            vault_point=captured["vault_point"],
            file_name=f"{captured['vm_name']}D{self._moment:%Y-%m-%dT%H%M%S}.{file_type}",
            file_path=f"{repository_url.rstrip('/')}/points/{captured['vault_point']}",
            file_type=file_type,
            backup_size=captured["stored"],
            data_size=captured["data"],
            deduplication_ratio=_percent(captured["data"], captured["new"]),
            compress_ratio=_percent(captured["new"], captured["stored"]),
            vapp=None if vapp is None else (vapp[0], vapp[1]),
        )


def _planned_vms(stored: list[dict[str, Any]]) -> Iterator[PlannedVm]:
    total = sum(vm["size"] for vm in stored)
    before = 0
    for vm in stored:
        yield PlannedVm(
            UUID(vm["task_id"]), UUID(vm["host_id"]), vm["ref"], vm["name"], vm["size"], before, total
        )
        before += vm["size"]


def _percent(before: int, after: int) -> int:
    """How many times smaller something became, in percent: 100 is as large as before."""
    return min(_MOST_PERCENT, before * 100 // after) if after else 100
