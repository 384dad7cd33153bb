"""The steps of one restore. Each may run twice around a crash, and each may be the last one before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import cached_property, partial
from itertools import count
from typing import Any
from uuid import UUID

from restorium.catalog.listing import Row
from restorium.catalog.restore_sessions import NewDisk, spec_of
from restorium.disks.interface import DiskReader
from restorium.flows.control import Control
from restorium.flows.durable import StepFailed
from restorium.flows.engine import Engine
from restorium.flows.restore_record import RestoreRecord
from restorium.flows.restore_source import RestoreSource
from restorium.flows.sessions import CANCELLED
from restorium.hosts.interface import DiskInfo, RestoreTarget
from restorium.vault import WINDOW_BYTES
from restorium.vocabulary.errors import (
    ChunkMissing,
    DatabaseUnavailable,
    DataCorrupt,
    HostError,
    RestoriumError,
    TargetFull,
)
from restorium.vocabulary.restore import RestoreSpec
from restorium.vocabulary.sessions import RestorePhase, SessionResult

CHECKPOINT_BYTES = WINDOW_BYTES
"""At most so much of a disk is written again after a crash."""


class Restoring:
    """One restore at work. ``settle_name`` comes first; all else is called inside a step of the flow."""

    def __init__(self, engine: Engine, session_id: UUID) -> None:
        self._engine = engine
        self._session_id = session_id
        self._record = RestoreRecord(engine.database, session_id)
        self._name: str | None = None

    @cached_property
    def spec(self) -> RestoreSpec:
        return spec_of(self._session)

    def settle_name(self) -> None:
        """Decide, once for the flow, under which name a VM beside the original is made."""
        self._name = self._engine.step("name", self._choose_name)

    def preflight(self) -> list[dict[str, Any]]:
        """Hold restore point and target against what the restore needs; gives the disks, as JSON.

        Raises ChunkMissing, DataCorrupt, TargetFull, TargetExists, HostError.
        """
        self._record.enter(RestorePhase.PREFLIGHT)
        control, target, disks = self._control(), self._target, self._source.description.disks
        planned: list[NewDisk] = []
        lost: dict[str, RestoriumError] = {}
        for disk in control.watched(disks):
            data = 0
            try:
                with control.unwinding():
                    data = self._source.check(disk, control.cancelled)
            except (ChunkMissing, DataCorrupt) as damage:
                lost[disk.key] = damage
            planned.append(NewDisk(disk.key, disk.size, data))
        self._record.plan(planned)
        for key, error in lost.items():
            self._record.close_disk(key, SessionResult.FAILED, error.message)
        for error in lost.values():
            raise error
        needed, free = sum(disk.planned_bytes for disk in planned), target.free_bytes()
        if free is not None and free < needed:
            raise TargetFull(f"the restore writes {needed:,} bytes, and the target has room for {free:,}")
        self._record.tell(f"Checked the restore point: every chunk of {needed:,} bytes is there.")
        return [asdict(disk) for disk in disks]

    def create_target(self) -> None:
        """Make an empty image of every disk under its temporary name."""
        self._record.enter(RestorePhase.CREATING_TARGET)
        control, source = self._control(), self._source
        for disk in source.description.disks:
            extents = control.watched(source.vault.extents(source.record(disk)))
            with self._target.create_disk(disk, extents) as writer:
                writer.flush()
        place = "over the original" if self._name is None else f"as {self._name}"
        self._record.tell(f"Made the images to restore {place}, under temporary names.")

    def of_disk(self, disk: DiskInfo, phase: RestorePhase, work: Callable[[DiskInfo], None]) -> None:
        """Make ``work`` on a disk a step in ``phase``; its failure is also the disk's. Raises StepFailed."""

        def step() -> None:
            self._record.enter(phase)
            work(disk)

        try:
            self._engine.step(f"{phase} {disk.key}", step)
        except StepFailed as failure:
            if failure.code != CANCELLED:
                close = partial(self._record.close_disk, disk.key, SessionResult.FAILED, failure.message)
                self._engine.step(f"give up {disk.key}", close)
            raise

    def copy(self, disk: DiskInfo) -> None:
        """Write the disk's data, from the last checkpoint on if its image is there."""
        control, source, record = self._control(), self._source, self._source.record(disk)
        start, copied = self._record.reached(disk.key)
        writer = self._target.reopen_disk(disk)
        if writer is None:
            start = copied = 0
            self._record.restart(disk.key)
            writer = self._target.create_disk(disk, control.watched(source.vault.extents(record)))
        if start:
            self._record.tell(f"Goes on with disk {disk.key} at byte {start:,} of {disk.size:,}.")

        def checkpoint(end: int, written: int) -> None:
            nonlocal copied
            copied += written
            writer.flush()
            self._record.copied(disk.key, checkpoint=end, copied_bytes=copied)

        with writer, self._original_disk(disk) as existing, control.unwinding():
            source.vault.restore_disk(
                record,
                writer,
                start=start,
                window=CHECKPOINT_BYTES,
                on_window=checkpoint,
                cancelled=control.cancelled,
                threads=self._engine.settings.vault.threads,
                existing=existing,
            )
        self._record.tell(f"Copied disk {disk.key}: {copied:,} bytes of data.")

    def verify(self, disk: DiskInfo) -> None:
        """Read the disk's image back, hold it against the restore point, and note its digest.

        Raises VerificationFailed.
        """
        verified = 0

        def report(checked: int) -> None:
            nonlocal verified
            verified += checked
            self._record.verified(disk.key, verified)

        control = self._control(report)
        with self._target.read_disk(disk) as reader, control.unwinding():
            digest = self._source.vault.verify_disk(
                self._source.record(disk),
                reader,
                progress=control.advance,
                cancelled=control.cancelled,
                threads=self._engine.settings.vault.threads,
            )
        control.flush()
        self._record.close_disk(disk.key, SessionResult.SUCCESS, digest=digest)
        self._record.tell(f"Verified disk {disk.key}: it reads back as the restore point says.")

    def finalise(self) -> None:
        """Give the VM its final name, and note the host's name of it. From here on nothing is taken back."""
        self._record.enter(RestorePhase.FINALISING)
        self._control().check()
        ref = self._target.finalise()
        self._record.enter(RestorePhase.FINALISING, restored_ref=ref)
        self._record.tell(f"The VM stands on its host as {ref}.")

    def abandon(self, failure: StepFailed, *, written: bool) -> None:
        """Remove what was ``written`` and has no final name. What cannot be removed is told, no failure."""
        if failure.code == CANCELLED:
            self._record.stopping()
        if not written:
            return
        try:
            self._target.discard()
        except DatabaseUnavailable:
            raise
        except RestoriumError as error:
            self._record.tell(f"What was written could not be removed: {error.message}", level="error")

    @cached_property
    def _session(self) -> Row:
        return self._record.session()

    @cached_property
    def _source(self) -> RestoreSource:
        return RestoreSource(self._engine, self._session)

    @cached_property
    def _target(self) -> RestoreTarget:
        """Kept, so that it can still be discarded when somebody has taken its final name."""
        return self._engine.host(self.spec.host_id or self._session.host_id).restore_target(
            self._source.description,
            attempt=str(self._session_id),
            original_ref=self._session.vm_ref,
            new_name=self._name,
        )

    @contextmanager
    def _original_disk(self, disk: DiskInfo) -> Iterator[DiskReader | None]:
        """For a quick rollback the disk that the original VM has now, held still; None if there is none."""
        with ExitStack() as stack:
            original = None
            if self.spec.quick_rollback:
                try:
                    vm = stack.enter_context(
                        self._engine.host(self._session.host_id).open_vm(self._session.vm_ref)
                    )
                    disks = zip(vm.description.disks, vm.readers, strict=True)
                    original = next((reader for info, reader in disks if info.key == disk.key), None)
                except HostError as error:
                    self._record.tell(
                        f"Disk {disk.key} is restored whole: the original cannot be read. {error.message}",
                        level="warning",
                    )
            if original is not None:
                self._record.tell(
                    f"Compares disk {disk.key} with the original; only what differs is fetched."
                )
            yield original

    def _choose_name(self) -> str | None:
        """None over the original.

        A name made up here is the VM's with the point's moment, on another host the VM's, and numbered if it is taken.
        """
        if not self.spec.keep_original or self.spec.new_name is not None:
            return self.spec.new_name
        base: str = self._session.vm_name
        if self.spec.host_id is None:
            base = f"{base}-{self._source.row.created_at:%Y%m%d-%H%M%S}"
        inventory = self._engine.host(self.spec.host_id or self._session.host_id).inventory()
        taken = {text for vm in inventory for text in (vm.name, vm.ref)}
        names = (base if number == 1 else f"{base}-{number}" for number in count(1))
        return next(name for name in names if name not in taken)

    def _control(self, report: Callable[[int], None] = lambda count: None) -> Control:
        return Control(self._engine, self._record.is_cancelled, report)
