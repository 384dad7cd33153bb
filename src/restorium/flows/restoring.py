"""The steps of one restore. Each may run twice around a crash, and each may be the last one before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from typing import Any, TypeVar
from uuid import UUID

from restorium.catalog.listing import Row
from restorium.catalog.restore_sessions import NewDisk, spec_of
from restorium.disks.interface import DiskReader
from restorium.flows import descriptions, making, preflight, restored_name
from restorium.flows.control import Control
from restorium.flows.durable import StepFailed
from restorium.flows.engine import Engine
from restorium.flows.restore_record import RestoreRecord
from restorium.flows.restore_source import RestoreSource
from restorium.flows.sessions import CANCELLED
from restorium.hosts.interface import DiskInfo, Host, RestoreTarget, VmDescription
from restorium.vault import WINDOW_BYTES
from restorium.vocabulary.errors import (
    ChunkMissing,
    DatabaseUnavailable,
    DataCorrupt,
    DiskDamaged,
    HostError,
    RestoriumError,
    TargetExists,
    VerificationFailed,
)
from restorium.vocabulary.restore import RestoreSpec
from restorium.vocabulary.sessions import RestorePhase, SessionResult

T = TypeVar("T")

CHECKPOINT_BYTES = WINDOW_BYTES
"""At most so much of a disk is written again after a crash."""

_OF_ONE_DISK = {error.code for error in (ChunkMissing, DataCorrupt, VerificationFailed, DiskDamaged)}
"""Failures that say nothing of the VM's other disks."""


class Restoring:
    """One restore at work. What is called a step by its name is one; all else is called inside of one.

    hold: of the session. The disks that cannot be restored are left out, and ``failures`` says why, by key.
    """

    def __init__(self, engine: Engine, session_id: UUID, hold: str) -> None:
        self.failures: dict[str, StepFailed] = {}
        self._engine = engine
        self._session_id = session_id
        self._record = RestoreRecord(engine.database, session_id, hold)
        self._name: str | None = None
        self._description: VmDescription | None = None

    @cached_property
    def spec(self) -> RestoreSpec:
        return spec_of(self._session)

    @property
    def disks(self) -> tuple[DiskInfo, ...]:
        """All disks of the point, once the preflight is over."""
        return () if self._description is None else self._description.disks

    @property
    def whole(self) -> list[DiskInfo]:
        """Those of them of which nothing has failed yet."""
        return [disk for disk in self.disks if disk.key not in self.failures]

    @property
    def place(self) -> str:
        """Where the VM goes, in words."""
        return "over the original" if self._name is None else f"as {self._name}"

    def step_name(self) -> None:
        """Decide, once for the flow, under which name a VM beside the original is made."""
        self._name = self._step("name", self._choose_name)

    def step_preflight(self) -> None:
        """Learn which disks there are, and which of them are lost."""
        found = self._step("preflight", self._preflight)
        self._description = descriptions.from_json(found["vm"])
        self.failures = {key: StepFailed(**lost) for key, lost in found["lost"].items()}

    def step_create_target(self) -> None:
        """Make an empty image of every disk under its temporary name."""
        self._step("create the target", self._create_target)

    def step_copy(self, disk: DiskInfo) -> None:
        """Write the disk's data, from the last checkpoint on if its image is there."""
        self._of_disk(disk, RestorePhase.COPYING, self._copy)

    def step_verify(self, disk: DiskInfo) -> None:
        """Read the disk's image back, hold it against the restore point, and note its digest."""
        self._of_disk(disk, RestorePhase.VERIFYING, self._verify)

    def step_set_aside(self) -> None:
        """Give a VM that lacks disks a place of its own if it would have taken the original's."""
        if self.failures and self._name is None:
            self._name = self._step("name of the part", self._choose_name_of_part)
            self.__dict__.pop("_target", None)

    def step_finalise(self) -> None:
        """Give the VM its final name. From here on nothing is taken back."""
        # Never left to itself: it is whole or it is taken back.
        self._engine.step("finalise", self._finalise)

    def step_power_on(self) -> StepFailed | None:
        """Start the VM that stands; gives why it does not run."""
        try:
            self._engine.step("power on", self._power_on)
        except StepFailed as failure:
            return failure
        return None

    def step_abandon(self, failure: StepFailed) -> tuple[StepFailed, bool]:
        """Remove what has no final name; gives what the session failed by, and whether the VM stands all the same."""
        stands, cancelled = self._engine.step("abandon", self._abandon)
        if cancelled and failure.code != CANCELLED:
            told = f"the session was cancelled by request; {failure.message}"
            failure = StepFailed(CANCELLED, told, failure.hint)
        return failure, stands

    def _choose_name(self, _control: Control) -> str | None:
        return restored_name.settled(
            self._host, self.spec, self._session.vm_name, self._source.row.created_at
        )

    def _choose_name_of_part(self, control: Control) -> str:
        name = restored_name.beside(self._host, self._session.vm_name, self._source.row.created_at)
        control.check()
        self._record.tell(
            f"The original stays as it is: disks are lost, and the others become the VM {name} beside it.",
            level="warning",
        )
        return name

    def _preflight(self, control: Control) -> dict[str, Any]:
        """Hold restore point and target against what the restore needs. Gives JSON: ``vm``, and ``lost`` by disk.

        Raises ChunkMissing, DataCorrupt, TargetFull, TargetExists, HostError.
        """
        self._record.enter(RestorePhase.PREFLIGHT)
        description = self._source.description
        control.check()
        found = preflight.examine(self._source, lambda: self._made_target(description), control, _raise)
        planned = [
            NewDisk(each.disk.key, each.disk.size, each.data_bytes if each.lost is None else 0)
            for each in found.disks
        ]
        self._record.plan(planned)
        lost: dict[str, dict[str, str]] = {}
        for key, error in found.lost.items():
            lost[key] = StepFailed.of(error).as_json()
            self._give_up(key, error.message)
        preflight.hold(found, _raise)
        for told in found.not_carried:
            self._record.tell(told, level="warning")
        there = "of what can be restored" if lost else "of the restore point"
        self._record.tell(f"Checked that every chunk {there} is there, {found.needed_bytes:,} bytes.")
        return {"vm": descriptions.to_json(description), "lost": lost}

    def _create_target(self, control: Control) -> None:
        self._record.enter(RestorePhase.CREATING_TARGET)
        source = self._source
        for disk in control.watched(self.whole):
            extents = control.watched(source.vault.extents(source.record(disk)))
            control.check()
            with self._target.create_disk(disk, extents) as writer:
                writer.flush()
        self._record.tell(f"Made the images to restore {self.place}, under temporary names.")

    def _copy(self, disk: DiskInfo, control: Control) -> None:
        source, record = self._source, self._source.record(disk)
        start, copied = self._record.reached(disk.key)
        control.check()
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

    def _verify(self, disk: DiskInfo, control: Control) -> None:
        verified = 0

        def report(checked: int) -> None:
            nonlocal verified
            verified += checked
            self._record.verified(disk.key, verified)

        control.report = report
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

    def _finalise(self) -> None:
        self._record.enter(RestorePhase.FINALISING)
        if self._target.finalised() is None:
            self._control().check()
        self._settle(self._target.finalise(self.failures))

    def _power_on(self) -> None:
        ref = self._record.session().restored_ref
        self._host.power_on(ref)
        self._record.tell(f"The VM {ref} is powered on.")

    def _settle(self, ref: str) -> None:
        """Note the host's name of the VM."""
        self._record.enter(RestorePhase.FINALISING, restored_ref=ref)
        self._record.tell(f"The VM stands on its host as {ref}.")

    def _abandon(self) -> tuple[bool, bool]:
        """Gives whether the VM stands, and whether a cancel was asked for."""
        return self._take_back() is not None, self._record.session().cancel_requested

    def _take_back(self) -> str | None:
        """Remove what has no final name, or give the VM's. What cannot be removed is told, no failure."""
        if self._description is None:
            return None
        try:
            ref = self._target.finalised()
            if ref is not None:
                self._settle(ref)
            self._target.discard()
        except TargetExists:  # or it could be asked for: nothing of this restore is there
            return None
        except DatabaseUnavailable:
            raise
        except RestoriumError as error:
            self._record.tell(f"What was written could not be removed: {error.message}", level="error")
            return None
        return ref

    def _step(self, name: str, work: Callable[[Control], T]) -> T:
        """A step that a cancel does not wait for. Raises StepFailed."""

        def watched() -> T:
            control = self._control()
            control.check()
            return control.within_patience(lambda: work(control))

        return self._engine.step(name, watched)

    def _of_disk(
        self, disk: DiskInfo, phase: RestorePhase, work: Callable[[DiskInfo, Control], None]
    ) -> None:
        """A step in ``phase`` on a disk. If it is lost, the others go on; raises StepFailed otherwise."""

        def step(control: Control) -> None:
            self._record.enter(phase)
            work(disk, control)

        try:
            self._step(f"{phase} {disk.key}", step)
        except StepFailed as failure:
            if failure.code == CANCELLED:
                raise
            self._engine.step(f"give up {disk.key}", partial(self._give_up, disk.key, failure.message))
            self.failures[disk.key] = failure
            if failure.code not in _OF_ONE_DISK or not self.whole:
                raise

    def _give_up(self, key: str, reason: str) -> None:
        self._record.close_disk(key, SessionResult.FAILED, reason)
        self._record.tell(f"Disk {key} of {self._session.vm_name} is lost: {reason}", level="error")

    @cached_property
    def _session(self) -> Row:
        return self._record.session()

    @cached_property
    def _source(self) -> RestoreSource:
        session = self._session
        return RestoreSource(self._engine, session.vm_restore_point_id, session.vm_restore_point_name)

    @property
    def _host(self) -> Host:
        """Where the VM is made."""
        return self._engine.host(self.spec.host_id or self._session.host_id)

    @cached_property
    def _target(self) -> RestoreTarget:
        """Kept, so that it can still be discarded when somebody has taken its final name."""
        assert self._description is not None
        return self._made_target(self._description)

    def _made_target(self, description: VmDescription) -> RestoreTarget:
        return making.target(
            self._host,
            self.spec,
            description,
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

    def _control(self) -> Control:
        return Control(self._engine, self._record.is_cancelled)


def _raise(error: RestoriumError) -> None:
    raise error
