"""The steps of an instant restore: the VM runs from the restore point, and its disks become its own while it runs.

The point's disks are served over NBD by the process that carries the session, on a socket whose name follows from the
session: after a crash the next process serves them there again, and the VM, which has waited, goes on. Its disks are
not read back, for the guest writes to them; what it reads has been held against its digest by the repository.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from restorium.flows import making
from restorium.flows.control import Control
from restorium.flows.point_disks import PointDisk
from restorium.flows.restoring import Restoring
from restorium.hosts.interface import InstantTarget, RestoreTarget, ServedDisk, VmDescription
from restorium.nbd import Away, NbdServer
from restorium.vault import DiskRecord, Vault
from restorium.vocabulary.errors import HostError, RestoriumError, StorageUnavailable
from restorium.vocabulary.sessions import RestorePhase, SessionResult

_LOOK_SECONDS = 0.25
_AWAY_SECONDS = 1.0


class _Served(PointDisk):
    """A disk that hangs up while the storage does not answer: its readers come again, and no guest sees an error."""

    def __init__(self, vault: Vault, record: DiskRecord, work: InstantRestoring) -> None:
        super().__init__(vault, record, "raw")
        self._work = work

    def read_into(self, offset: int, buffer: memoryview) -> None:
        try:
            super().read_into(offset, buffer)
        except StorageUnavailable as error:
            self._work.wait_for_storage(error)
            raise Away from error
        except Exception as error:
            if self._work.left:
                raise Away from error  # whatever it was, the repository is closed
            raise


class InstantRestoring(Restoring):
    """One instant restore at work. Serves the point's disks from when they are needed until it is left."""

    left = False
    _server: NbdServer | None = None

    def __enter__(self) -> Self:
        self._trouble: dict[str, RestoriumError] = {}
        self._told: set[str] = set()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.left = True
        if self._server is not None:
            self._server.close()
        else:
            self._socket.unlink(missing_ok=True)  # of a process that was killed

    def step_whole(self) -> None:
        """Refuse a point of which a disk is lost: a VM runs with all of its disks or not at all."""
        for failure in self.failures.values():
            raise failure

    def step_start(self) -> None:
        """Run the VM from the restore point."""
        # Never left to itself: a machine that starts when nobody waits for it any more would stay.
        self._engine.step("start", self._start)

    def step_move(self) -> None:
        """Make the disks the VM's own, while it runs."""
        self._step("move", self._move)

    def wait_for_storage(self, error: StorageUnavailable) -> None:
        """A read of the guest's has to be done again."""
        self._tell_once(f"The VM waits for the repository: {error.message}", "warning")
        self._engine.stopping.wait(_AWAY_SECONDS)

    def _start(self) -> None:
        self._control().check()
        self._record.enter(RestorePhase.MOUNTED)
        served = self._serve()
        self._record.tell("The disks of the restore point are served to the VM.")
        self._instant.start(served)
        self._record.enter(RestorePhase.STARTED)
        self._record.tell(f"The VM runs {self.place}, from the restore point.")

    def _move(self, control: Control) -> None:
        self._record.enter(RestorePhase.MOVING)
        planned = self._record.planned()
        self._instant.start(self._serve_again(control))
        while True:
            control.check()
            try:
                moved = self._instant.moved()
            except HostError as error:
                raise self._trouble.popitem()[1] if self._trouble else error from error
            for key, share in moved.items():
                self._record.copied(key, checkpoint=0, copied_bytes=int(planned[key] * share))
            if all(moved[disk.key] >= 1 for disk in self.disks):
                break
            self._engine.stopping.wait(_LOOK_SECONDS)
        for disk in self.disks:
            self._record.close_disk(disk.key, SessionResult.SUCCESS)
        self._record.tell(
            "The disks are the VM's own. They were not read back, for the VM writes to them; each chunk was held "
            "against its digest when it was read."
        )

    def _abandon(self) -> tuple[bool, bool]:
        """A VM that waits for its disks would not end."""
        if self._description is not None:
            with suppress(RestoriumError):
                self._serve()
        return super()._abandon()

    def _serve(self) -> dict[str, ServedDisk]:
        """Raises what reading the restore point does."""
        if self._server is None:
            source = self._source
            disks = {
                disk.key: _Served(source.vault, source.record(disk), self)
                for disk in source.description.disks
            }
            door = self._instant.door(self._socket)
            self._socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._server = NbdServer(door.socket, disks, user=door.user, troubled=self._troubled)
        return {disk.key: ServedDisk(self._server.path, disk.key) for disk in self.disks}

    def _serve_again(self, control: Control) -> dict[str, ServedDisk]:
        """As ``_serve``, but storage that does not answer is waited for: the VM runs already."""
        while True:
            control.check()
            try:
                return self._serve()
            except StorageUnavailable as error:
                self.wait_for_storage(error)

    def _troubled(self, key: str, error: RestoriumError) -> None:
        self._trouble[key] = error
        self._tell_once(f"The VM met an error on disk {key}: {error.message}", "error")

    def _tell_once(self, message: str, level: str) -> None:
        if message not in self._told:
            self._told.add(message)
            with suppress(RestoriumError):
                self._record.tell(message, level=level)

    @property
    def _socket(self) -> Path:
        """Its path must be short: a socket's has 107 bytes at the most."""
        return self._engine.settings.data.resolve() / "nbd" / self._session_id.hex[:12]

    @cached_property
    def _instant(self) -> InstantTarget:
        assert self._description is not None and self._name is not None
        return making.instant_target(
            self._host, self.spec, self._description, attempt=str(self._session_id), new_name=self._name
        )

    def _made_target(self, description: VmDescription) -> RestoreTarget:
        return self._instant if self._description is not None else super()._made_target(description)
