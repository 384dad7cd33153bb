"""The steps of one restore. Each may run twice around a crash, and each may be the last one before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property, partial
from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from restorium.catalog import points, restore_sessions
from restorium.catalog.listing import Row, Visibility
from restorium.flows import descriptions
from restorium.flows.control import Control
from restorium.flows.durable import StepFailed
from restorium.flows.engine import Engine
from restorium.flows.sessions import CANCELLED
from restorium.hosts.interface import DiskInfo, RestoreTarget, VmDescription
from restorium.vault import WINDOW_BYTES, DiskRecord, Point, Vault
from restorium.vocabulary.errors import (
    ChunkMissing,
    DatabaseUnavailable,
    DataCorrupt,
    NotFound,
    RestoriumError,
    TargetFull,
)
from restorium.vocabulary.restore import RestoreSpec
from restorium.vocabulary.sessions import RestorePhase, SessionResult, SessionState

CHECKPOINT_BYTES = WINDOW_BYTES
"""At most so much of a disk is written again after a crash."""


class Restoring:
    """One restore at work.

    What it needs is looked up when first used, which is inside a step, and never changes.
    """

    def __init__(self, engine: Engine, session_id: UUID) -> None:
        self._engine = engine
        self._session_id = session_id
        self._name: str | None = None

    @cached_property
    def spec(self) -> RestoreSpec:
        return restore_sessions.spec_of(self._session)

    def settle_name(self) -> None:
        """Decide, once, under which name a VM beside the original is made."""
        self._name = self._engine.step("name", self._choose_name)

    def preflight(self) -> list[dict[str, Any]]:
        """Hold the restore point and the target against what the restore needs, and plan the disks, which it
        gives.

        Raises ChunkMissing, DataCorrupt, TargetFull, TargetExists, HostError.
        """
        self._enter(RestorePhase.PREFLIGHT)
        control = self._control()
        target = self._target()
        planned: list[restore_sessions.NewDisk] = []
        lost: dict[str, RestoriumError] = {}
        for disk in self._description.disks:
            control.check()
            size = 0
            try:
                size = self._check_chunks(disk)
            except (ChunkMissing, DataCorrupt) as damage:
                lost[disk.key] = damage
            planned.append(restore_sessions.NewDisk(disk.key, disk.size, size))
        with self._engine.database.write() as connection:
            restore_sessions.plan(connection, self._session_id, planned)
            for key, error in lost.items():
                restore_sessions.record_disk(
                    connection, self._session_id, key, result=SessionResult.FAILED, reason=error.message
                )
        for error in lost.values():
            raise error
        needed, free = sum(disk.planned_bytes for disk in planned), target.free_bytes()
        if free is not None and free < needed:
            raise TargetFull(f"the restore writes {needed:,} bytes, and the target has room for {free:,}")
        self._tell(f"Checked the restore point: every chunk of {needed:,} bytes is there.")
        return [asdict(disk) for disk in self._description.disks]

    def create_target(self) -> None:
        """Make an empty image of every disk under its temporary name."""
        self._enter(RestorePhase.CREATING_TARGET)
        target, control = self._target(), self._control()
        for disk in self._description.disks:
            extents = control.watched(self._vault.extents(self._record(disk)))
            with target.create_disk(disk, extents) as writer:
                writer.flush()
        place = "over the original" if self._name is None else f"as {self._name}"
        self._tell(f"Made the images to restore {place}, under temporary names.")
        if self.spec.quick_rollback:
            self._tell("A quick rollback was asked for; the disks are written whole all the same.")

    def of_disk(self, disk: DiskInfo, phase: RestorePhase, work: Callable[[DiskInfo], None]) -> None:
        """``work`` on a disk as a step in a phase; a failure is also the disk's. Raises StepFailed."""

        def step() -> None:
            self._enter(phase)
            work(disk)

        try:
            self._engine.step(f"{phase} {disk.key}", step)
        except StepFailed as failure:
            if failure.code != CANCELLED:
                self._engine.step("note the disk", partial(self._fail_disk, disk, failure.message))
            raise

    def copy(self, disk: DiskInfo) -> None:
        """Write the disk's data, from the last checkpoint on if its image is there."""
        target, record, control = self._target(), self._record(disk), self._control()
        start, copied = self._reached(disk)
        writer = target.reopen_disk(disk)
        if writer is None:
            start = copied = 0
            with self._engine.database.write() as connection:
                restore_sessions.restart_disk(connection, self._session_id, disk.key)
            writer = target.create_disk(disk, control.watched(self._vault.extents(record)))
        if start:
            self._tell(f"Goes on with disk {disk.key} at byte {start:,} of {disk.size:,}.")

        def checkpoint(end: int, written: int) -> None:
            nonlocal copied
            copied += written
            writer.flush()
            with self._engine.database.write() as connection:
                restore_sessions.record_disk(
                    connection, self._session_id, disk.key, checkpoint=end, copied_bytes=copied
                )

        with writer, control.unwinding():
            self._vault.restore_disk(
                record,
                writer,
                start=start,
                window=CHECKPOINT_BYTES,
                on_window=checkpoint,
                cancelled=control.cancelled,
                threads=self._engine.settings.vault.threads,
            )
        self._tell(f"Copied disk {disk.key}: {copied:,} bytes of data.")

    def verify(self, disk: DiskInfo) -> None:
        """Read the disk's image back and hold it against the restore point. Raises VerificationFailed."""
        verified = 0

        def report(count: int) -> None:
            nonlocal verified
            verified += count
            with self._engine.database.write() as connection:
                restore_sessions.record_disk(connection, self._session_id, disk.key, verified_bytes=verified)

        control = self._control(report)
        with self._target().read_disk(disk) as reader, control.unwinding():
            self._vault.verify_disk(
                self._record(disk),
                reader,
                progress=control.advance,
                cancelled=control.cancelled,
                threads=self._engine.settings.vault.threads,
            )
        control.flush()
        with self._engine.database.write() as connection:
            restore_sessions.record_disk(connection, self._session_id, disk.key, result=SessionResult.SUCCESS)
        self._tell(f"Verified disk {disk.key}: what was written reads back as the restore point says.")

    def finalise(self) -> None:
        """Give the VM its final name, and note the host's name of it. From here on nothing is taken back."""
        self._enter(RestorePhase.FINALISING)
        self._control().check()
        ref = self._target().finalise()
        with self._engine.database.write() as connection:
            restore_sessions.enter_phase(
                connection, self._session_id, RestorePhase.FINALISING, restored_ref=ref
            )
        self._tell(f"The VM stands on its host as {ref}.")

    def discard(self, failure: StepFailed) -> None:
        """Remove what has no final name yet. What cannot be removed is told, and changes no outcome."""
        if failure.code == CANCELLED:
            with self._engine.database.write() as connection:
                if self._row(connection).state is SessionState.WORKING:
                    restore_sessions.advance(connection, self._session_id, SessionState.STOPPING)
        try:
            self._target().discard()
        except DatabaseUnavailable:
            raise
        except RestoriumError as error:
            self._tell(f"What was written could not be removed: {error.message}", level="error")

    @cached_property
    def _session(self) -> Row:
        with self._engine.database.read() as connection:
            return self._row(connection)

    @cached_property
    def _point_row(self) -> Row:
        point_id = self._session.vm_restore_point_id
        with self._engine.database.read() as connection:
            row = point_id and points.vm_listing.one(connection, point_id, Visibility.everything())
        if not row:
            raise NotFound(f"the restore point {self._session.vm_restore_point_name} is not there any more")
        return row

    @cached_property
    def _vault(self) -> Vault:
        return self._engine.vault(self._point_row.repository_id)

    @cached_property
    def _point(self) -> Point:
        return self._vault.point(self._point_row.vault_point)

    @cached_property
    def _description(self) -> VmDescription:
        return descriptions.from_json(self._point.description.vm)

    def _record(self, disk: DiskInfo) -> DiskRecord:
        for record in self._point.disks:
            if record.key == disk.key:
                return record
        raise DataCorrupt(f"the restore point describes a disk {disk.key!r} that it does not hold")

    def _target(self) -> RestoreTarget:
        return self._engine.host(self._session.host_id).restore_target(
            self._description,
            attempt=str(self._session_id),
            original_ref=self._session.vm_ref,
            new_name=self._name,
        )

    def _choose_name(self) -> str | None:
        """None over the original. A name made up here is the point's, numbered if it is taken."""
        if not self.spec.keep_original or self.spec.new_name is not None:
            return self.spec.new_name
        base = f"{self._session.vm_name}-{self._point_row.created_at:%Y%m%d-%H%M%S}"
        taken = {
            text for vm in self._engine.host(self._session.host_id).inventory() for text in (vm.name, vm.ref)
        }
        names = (base if number == 1 else f"{base}-{number}" for number in count(1))
        return next(name for name in names if name not in taken)

    def _check_chunks(self, disk: DiskInfo) -> int:
        """Bytes of data in the disk. Raises ChunkMissing."""
        record = self._record(disk)
        missing = self._vault.missing_chunks(self._point, record)
        if missing:
            raise ChunkMissing(
                f"disk {disk.key!r} of the restore point misses {missing} chunks in the repository"
            )
        return self._vault.planned_bytes(record)

    def _reached(self, disk: DiskInfo) -> tuple[int, int]:
        """The disk's checkpoint, and the bytes copied up to it."""
        with self._engine.database.read() as connection:
            [row] = [
                each
                for each in restore_sessions.disks(connection, self._session_id)
                if each.disk_key == disk.key
            ]
        return row.checkpoint, row.copied_bytes

    def _fail_disk(self, disk: DiskInfo, reason: str) -> None:
        with self._engine.database.write() as connection:
            restore_sessions.record_disk(
                connection, self._session_id, disk.key, result=SessionResult.FAILED, reason=reason
            )

    def _control(self, report: Callable[[int], None] = lambda count: None) -> Control:
        def is_cancelled() -> bool:
            with self._engine.database.read() as connection:
                return restore_sessions.cancel_requested(connection, self._session_id)

        return Control(self._engine, is_cancelled, report)

    def _enter(self, phase: RestorePhase) -> None:
        with self._engine.database.write() as connection:
            restore_sessions.enter_phase(connection, self._session_id, phase)

    def _tell(self, message: str, *, level: str = "info") -> None:
        with self._engine.database.write() as connection:
            restore_sessions.add_event(connection, self._session_id, level, message)

    def _row(self, connection: Connection) -> Row:
        return restore_sessions.get(connection, self._session_id)
