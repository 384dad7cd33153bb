"""The steps of one backup run. Each may run twice around a crash, and each may be the last one before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID, uuid5

from restorium.catalog import backups, job_sessions, jobs, points, repositories
from restorium.catalog.listing import Row
from restorium.catalog.points import NewVmPoint
from restorium.flows import descriptions
from restorium.flows.control import Control
from restorium.flows.durable import StepFailed
from restorium.flows.engine import Engine
from restorium.flows.inventory import list_vms
from restorium.vault import BackupStats, BackupWriter, DiskRecord, PointDescription, Vault
from restorium.vocabulary.backups import Algorithm, BackupFileType, PointType
from restorium.vocabulary.errors import (
    DataCorrupt,
    HostError,
    NotFound,
    VaultError,
)
from restorium.vocabulary.sessions import SessionResult, TaskSessionState

_MOST_PERCENT = 1_000_000


@dataclass(frozen=True, slots=True)
class PlannedVm:
    """One VM of a run. ``size`` is what its disks had in bytes when the run began; 0 if nobody could tell."""

    task_id: UUID
    host_id: UUID
    ref: str
    name: str
    size: int


class Captured(TypedDict):
    """What a VM's step leaves behind, as JSON: the manifest's name, and sizes in bytes.

    data: what the disks hold; new: what of it the repository did not have; stored: what it took there.
    """

    task_id: str
    vm_name: str
    vault_point: str
    full: bool
    data: int
    new: int
    stored: int


def plan(engine: Engine, session_id: UUID) -> dict[str, Any]:
    """The moment that the run's restore point bears, and its VMs with their sizes, as JSON."""
    with engine.database.read() as connection:
        tasks = job_sessions.tasks(connection, session_id)
    sizes: dict[tuple[UUID, str], int] = {}
    for host_id in {task.host_id for task in tasks}:
        try:
            vms = list_vms(engine, host_id)
        except HostError:
            continue  # told when a VM of it is come to
        sizes |= {(host_id, vm.ref): sum(disk.size for disk in vm.disks) for vm in vms}
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


class BackingUp:
    """One run at work. planned: what ``plan`` gave."""

    def __init__(self, engine: Engine, session_id: UUID, planned: dict[str, Any]) -> None:
        self._engine = engine
        self._session_id = session_id
        self._moment = datetime.fromisoformat(planned["moment"])
        self.vms = [
            PlannedVm(UUID(vm["task_id"]), UUID(vm["host_id"]), vm["ref"], vm["name"], vm["size"])
            for vm in planned["vms"]
        ]

    def capture(self, vm: PlannedVm) -> Captured:
        """Back up one VM: what an earlier attempt committed, or what its disks hold now.

        Raises VmNotFound, DiskMissing, DiskDamaged, RepositoryFull, StorageUnavailable, Cancelled.
        """
        with self._engine.database.read() as connection:
            task = next(
                each for each in job_sessions.tasks(connection, self._session_id) if each.id == vm.task_id
            )
        committed = self._committed(task) if task.state is not TaskSessionState.PENDING else None
        captured = committed or self._capture(vm)
        with self._engine.database.write() as connection:
            job_sessions.end_task(connection, vm.task_id, SessionResult.SUCCESS)
            job_sessions.add_event(
                connection, self._session_id, "info", f"{captured['vm_name']} is backed up."
            )
        return captured

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
        """Make the run's restore point, of the VMs that succeeded, in the catalog; gives its id, None of no
        VM.
        """
        if not captured:
            return None
        made: UUID = uuid5(self._session_id, "restore point")
        with self._engine.database.write() as connection:
            session = job_sessions.get(connection, self._session_id)
            job = jobs.get(connection, session.job_id)
            repository = repositories.get(connection, job.repository_id)
            new = [self._vm_point(each, repository.url) for each in captured]
            points.record(
                connection,
                restore_point_id=made,
                backup_id=backups.ensure(connection, job.id).id,
                name=f"{job.name}@{self._moment:%Y-%m-%d %H:%M:%S}",
                created_at=self._moment,
                vms=new,
            )
        return str(made)

    def record_usage(self) -> None:
        """Note what the repository now takes. That it cannot be told changes nothing about the run."""
        try:
            usage = self._vault().usage()
        except VaultError as error:
            self._tell("warning", f"The repository's room could not be read: {error.message}")
            return
        with self._engine.database.write() as connection:
            repositories.record_usage(
                connection,
                self._repository_id(),
                capacity_bytes=usage.capacity_bytes,
                free_bytes=usage.free_bytes,
            )

    def _capture(self, vm: PlannedVm) -> Captured:
        vault = self._vault()
        with (
            self._engine.host(vm.host_id).open_vm(vm.ref) as opened,
            vault.backup(self._engine.settings.vault.threads) as writer,
        ):
            disks = opened.description.disks
            with self._engine.database.write() as connection:
                job_sessions.start_task(connection, vm.task_id, total_bytes=sum(disk.size for disk in disks))
            parents = self._parents(vm, vault)
            control = self._control(vm, writer)
            with control.unwinding():
                records = tuple(
                    writer.write_disk(
                        disk.key, reader, parents.get(disk.key), control.advance, control.cancelled
                    )
                    for disk, reader in zip(disks, opened.readers, strict=True)
                )
            control.flush()
            control.check()
            self._note(vm, writer.stats)
            stats, total = writer.stats, sum(disk.size for disk in disks)
            sizes: dict[str, Any] = {
                "data": total - stats.hole_bytes,
                "new": stats.new_bytes,
                "full": not parents,
            }
            name = writer.commit(
                PointDescription(
                    descriptions.to_json(opened.description) | {"task": str(vm.task_id), "sizes": sizes},
                    self._moment,
                    records,
                )
            )
            self._note(vm, writer.stats)
            return _captured(vm.task_id, opened.description.name, name, writer.stats.stored_bytes, sizes)

    def _committed(self, task: Row) -> Captured | None:
        """What an attempt before a crash committed of this VM.

        Manifests are looked through from the newest on.
        """
        vault = self._vault()
        for name in reversed(vault.points()):
            description = vault.point(name).description
            if description.created < self._moment:
                break
            if description.vm.get("task") == str(task.id):
                return _captured(
                    task.id, description.vm["name"], name, task.stored_bytes, description.vm["sizes"]
                )
        return None

    def _parents(self, vm: PlannedVm, vault: Vault) -> dict[str, DiskRecord]:
        """The disks of the VM's newest point by key, on which this one builds; none before the first."""
        with self._engine.database.write() as connection:
            session = job_sessions.get(connection, self._session_id)
            backup_id = backups.ensure(connection, session.job_id).id
            latest = points.latest(connection, backup_id, vm.host_id, vm.ref)
        if latest is None:
            return {}
        try:
            return {disk.key: disk for disk in vault.point(latest.vault_point).disks}
        except (NotFound, DataCorrupt) as error:
            self._tell("warning", f"{vm.name} is read whole, as its last point cannot be: {error.message}")
            return {}

    def _control(self, vm: PlannedVm, writer: BackupWriter) -> Control:
        before = sum(each.size for each in self.vms[: self.vms.index(vm)])
        total = sum(each.size for each in self.vms)
        done = 0

        def report(count: int) -> None:
            nonlocal done
            done += count
            self._note(vm, writer.stats)
            if total:
                with self._engine.database.write() as connection:
                    job_sessions.record_progress(
                        connection, self._session_id, (before + min(done, vm.size)) * 100 // total
                    )

        def is_cancelled() -> bool:
            with self._engine.database.read() as connection:
                return job_sessions.cancel_requested(connection, self._session_id)

        return Control(self._engine, is_cancelled, report)

    def _note(self, vm: PlannedVm, stats: BackupStats) -> None:
        with self._engine.database.write() as connection:
            job_sessions.record_task(
                connection, vm.task_id, read_bytes=stats.read_bytes, stored_bytes=stats.stored_bytes
            )

    def _vm_point(self, captured: Captured, repository_url: str) -> NewVmPoint:
        vm = next(each for each in self.vms if str(each.task_id) == captured["task_id"])
        kind = BackupFileType.VBK if captured["full"] else BackupFileType.VIB
        return NewVmPoint(
            host_id=vm.host_id,
            vm_ref=vm.ref,
            vm_name=captured["vm_name"],
            algorithm=Algorithm.FULL if captured["full"] else Algorithm.INCREMENTAL,
            point_type=PointType.FULL if captured["full"] else PointType.INCREMENT,
            vault_point=captured["vault_point"],
            file_name=f"{captured['vm_name']}D{self._moment:%Y-%m-%dT%H%M%S}.{kind}",
            file_path=f"{repository_url.rstrip('/')}/points/{captured['vault_point']}",
            file_type=kind,
            backup_size=captured["stored"],
            data_size=captured["data"],
            deduplication_ratio=_percent(captured["data"], captured["new"]),
            compress_ratio=_percent(captured["new"], captured["stored"]),
        )

    def _repository_id(self) -> UUID:
        with self._engine.database.read() as connection:
            session = job_sessions.get(connection, self._session_id)
            repository_id: UUID = jobs.get(connection, session.job_id).repository_id
        return repository_id

    def _vault(self) -> Vault:
        return self._engine.vault(self._repository_id())

    def _tell(self, level: str, message: str) -> None:
        with self._engine.database.write() as connection:
            job_sessions.add_event(connection, self._session_id, level, message)


def _captured(task_id: UUID, vm_name: str, point: str, stored: int, sizes: Mapping[str, Any]) -> Captured:
    """sizes: ``data``, ``new`` and ``full``, as the manifest keeps them."""
    return {
        "task_id": str(task_id),
        "vm_name": vm_name,
        "vault_point": point,
        "full": bool(sizes["full"]),
        "data": int(sizes["data"]),
        "new": int(sizes["new"]),
        "stored": stored,
    }


def _percent(before: int, after: int) -> int:
    """How many times smaller something became, in percent: 100 is as large as before."""
    return min(_MOST_PERCENT, before * 100 // after) if after else 100
