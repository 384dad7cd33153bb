"""Backing up one VM of a run: a step that may run twice around a crash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID

from restorium.catalog import backups, job_sessions, manifests, points
from restorium.catalog.listing import Row
from restorium.flows import descriptions
from restorium.flows.control import Control, is_cancelled
from restorium.flows.durable import Interrupted
from restorium.flows.engine import Engine
from restorium.hosts.image_files import open_images
from restorium.hosts.interface import Chain, OpenVm, Tracked
from restorium.vault import BackupStats, BackupWriter, DiskRecord, PointDescription, Vault
from restorium.vocabulary.errors import DataCorrupt, NotFound
from restorium.vocabulary.sessions import SessionResult


@dataclass(frozen=True, slots=True)
class PlannedVm:
    """One VM of a run.

    size: bytes that its disks had when the run began, 0 if nobody could tell. before: the sum of these over
    the VMs that come first. total: that over all.
    """

    task_id: UUID
    host_id: UUID
    ref: str
    name: str
    size: int
    before: int
    total: int


class Captured(TypedDict):
    """What a VM's step leaves behind, as JSON: the manifest's name, and sizes in bytes.

    data: what the disks hold; new: what of it the repository did not have; stored: what it took there. vapp: the ref
    and name of the vApp that the VM is one of, None if it is in none.
    """

    task_id: str
    vm_name: str
    vault_point: str
    full: bool
    data: int
    new: int
    stored: int
    vapp: list[str] | None


@dataclass(frozen=True, slots=True)
class _Parents:
    """The point before, by the key of each disk: what it holds, and what its host calls that state."""

    disks: Mapping[str, DiskRecord]
    tokens: Mapping[str, str]


_UNTRACKED = Tracked()


class Capturing:
    """One VM at work. hold: of the session. moment: of the run's restore point."""

    def __init__(self, engine: Engine, session_id: UUID, hold: str, moment: datetime, vm: PlannedVm) -> None:
        self._engine = engine
        self._session_id = session_id
        self._hold = hold
        self._moment = moment
        self._vm = vm
        with engine.database.write() as connection:
            session = job_sessions.get(connection, session_id)
            job_id = session.job_id
            self._image_files: Sequence[str] | None = session.image_files
            self._backup = None if job_id is None else backups.ensure(connection, job_id)
        self._vault: Vault = engine.vault(session.repository_id)

    def capture(self) -> Captured:
        """What an earlier attempt committed, or what the VM's disks hold now.

        Raises VmNotFound, DiskMissing, DiskDamaged, RepositoryFull, StorageUnavailable, Cancelled.
        """
        with self._engine.database.read() as connection:
            tasks = job_sessions.tasks(connection, self._session_id)
        task = next(each for each in tasks if each.id == self._vm.task_id)
        captured = self._committed(task)
        if captured is None:
            parents = self._parents()
            with self._opened(parents) as opened:
                captured = self._store(opened, parents)
        with self._engine.database.write() as connection:
            job_sessions.end_task(connection, self._vm.task_id, SessionResult.SUCCESS)
            told = f"{captured['vm_name']} is backed up: {captured['stored']:,} bytes were stored."
            job_sessions.add_event(connection, self._session_id, "info", told)
        return captured

    def _opened(self, parents: _Parents) -> AbstractContextManager[OpenVm]:
        if self._image_files is not None:
            return open_images(self._vm.name, [Path(file) for file in self._image_files])
        chain = None if self._backup is None else Chain(str(self._backup.id), parents.tokens)
        return self._engine.host(self._vm.host_id).open_vm(self._vm.ref, chain)

    def _store(self, opened: OpenVm, parents: _Parents) -> Captured:
        """Write the disks, then the manifest, whose name is noted before it is there: so it is found again."""
        disks = opened.description.disks
        total = sum(disk.size for disk in disks)
        with self._engine.database.write() as connection:
            job_sessions.start_task(connection, self._vm.task_id, total_bytes=total)
        self._tell_untracked(opened)
        with self._vault.backup(self._engine.settings.vault.threads) as writer:
            control = self._control(writer)
            with control.unwinding():
                records = tuple(
                    writer.write_disk(
                        disk.key,
                        reader,
                        parents.disks.get(disk.key),
                        control.advance,
                        control.cancelled,
                        changed=opened.tracked.get(disk.key, _UNTRACKED).changed,
                    )
                    for disk, reader in zip(disks, opened.readers, strict=True)
                )
            self._tell_distrusted(writer)
            control.flush()
            control.check()
            self._note(writer.stats)
            sizes = {
                "data": total - writer.stats.hole_bytes,
                "new": writer.stats.new_bytes,
                "full": not parents.disks,
            }
            kept = descriptions.to_json(opened.description) | {
                "sizes": sizes,
                "tracking": {
                    key: each.token for key, each in opened.tracked.items() if each.token is not None
                },
            }
            name = writer.commit(PointDescription(kept, self._moment, records), self._promise)
            self._note(writer.stats)
            return self._captured(kept, name, writer.stats.stored_bytes, sizes)

    def _tell_untracked(self, opened: OpenVm) -> None:
        for key, tracked in opened.tracked.items():
            if tracked.why is not None:
                self._tell(f"Disk {key} of {self._vm.name} is read whole: {tracked.why}.")

    def _tell(self, told: str) -> None:
        with self._engine.database.write() as connection:
            job_sessions.add_event(connection, self._session_id, "warning", told)

    def _tell_distrusted(self, writer: BackupWriter) -> None:
        for key, where in writer.distrusted.items():
            self._tell(
                f"Disk {key} of {self._vm.name} was read whole, for its list of changes is wrong: {where}."
            )

    def _committed(self, task: Row) -> Captured | None:
        """What an attempt before a crash committed. What it promised and did not commit is replaced."""
        if task.vault_point is None:
            return None
        try:
            vm = self._vault.point(task.vault_point).description.vm
        except (NotFound, DataCorrupt):
            return None
        return self._captured(vm, task.vault_point, task.stored_bytes, vm["sizes"])

    def _promise(self, name: str) -> None:
        with self._engine.database.write() as connection:
            promised = manifests.promise(
                connection, self._session_id, self._vm.task_id, name, hold=self._hold
            )
        if not promised:
            raise Interrupted

    def _parents(self) -> _Parents:
        """The VM's newest point of the job, on which this one builds; empty before the first."""
        if self._backup is None:
            return _Parents({}, {})
        with self._engine.database.read() as connection:
            latest = points.latest(connection, self._backup.id, self._vm.host_id, self._vm.ref)
        if latest is None:
            return _Parents({}, {})
        try:
            point = self._vault.point(latest.vault_point)
        except (NotFound, DataCorrupt) as error:
            self._tell(f"{self._vm.name} is read whole, as its last point cannot be: {error.message}")
            return _Parents({}, {})
        return _Parents({disk.key: disk for disk in point.disks}, point.description.vm.get("tracking", {}))

    def _control(self, writer: BackupWriter) -> Control:
        done = 0

        def report(count: int) -> None:
            nonlocal done
            done = min(done + count, self._vm.size)
            self._note(writer.stats)
            if self._vm.total:
                percent = (self._vm.before + done) * 100 // self._vm.total
                with self._engine.database.write() as connection:
                    job_sessions.record_progress(connection, self._session_id, percent)

        engine = self._engine
        asked = partial(is_cancelled, engine.database, job_sessions, self._session_id, self._hold)
        return Control(engine, asked, report)

    def _note(self, stats: BackupStats) -> None:
        with self._engine.database.write() as connection:
            job_sessions.record_task(
                connection, self._vm.task_id, read_bytes=stats.read_bytes, stored_bytes=stats.stored_bytes
            )

    def _captured(self, vm: Mapping[str, Any], point: str, stored: int, sizes: Mapping[str, Any]) -> Captured:
        """vm: as the manifest describes it. sizes: ``data``, ``new`` and ``full``, as the manifest keeps them."""
        vapp = vm.get("part_of")
        return {
            "task_id": str(self._vm.task_id),
            "vm_name": vm["name"],
            "vault_point": point,
            "full": bool(sizes["full"]),
            "data": int(sizes["data"]),
            "new": int(sizes["new"]),
            "stored": stored,
            "vapp": None if vapp is None else [vapp["ref"], vapp["name"]],
        }
