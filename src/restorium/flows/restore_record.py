"""What a restore notes of itself in the catalog, each note in a transaction of its own."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from restorium.catalog import restore_sessions
from restorium.catalog.database import Database
from restorium.catalog.listing import Row
from restorium.catalog.restore_sessions import NewDisk
from restorium.flows import control
from restorium.vocabulary.sessions import RestorePhase, SessionResult


class RestoreRecord:
    """The record of one restore session, by who has the ``hold`` of it. Every method may be repeated."""

    def __init__(self, database: Database, session_id: UUID, hold: str) -> None:
        self._database = database
        self._session_id = session_id
        self._hold = hold

    def session(self) -> Row:
        """Raises NotFound."""
        with self._database.read() as connection:
            return restore_sessions.get(connection, self._session_id)

    def is_cancelled(self) -> bool:
        """Raises as ``control.is_cancelled``."""
        return control.is_cancelled(self._database, restore_sessions, self._session_id, self._hold)

    def enter(self, phase: RestorePhase, *, restored_ref: str | None = None) -> None:
        with self._database.write() as connection:
            restore_sessions.enter_phase(connection, self._session_id, phase, restored_ref=restored_ref)

    def tell(self, message: str, *, level: str = "info") -> None:
        with self._database.write() as connection:
            restore_sessions.add_event(connection, self._session_id, level, message)

    def plan(self, planned: Sequence[NewDisk]) -> None:
        with self._database.write() as connection:
            restore_sessions.plan(connection, self._session_id, planned)

    def planned(self) -> dict[str, int]:
        """By the disk's key, the bytes of data in it."""
        with self._database.read() as connection:
            disks = restore_sessions.disks(connection, self._session_id)
        return {disk.disk_key: disk.planned_bytes for disk in disks}

    def reached(self, disk_key: str) -> tuple[int, int]:
        """A disk's checkpoint, and the bytes of data copied up to it."""
        with self._database.read() as connection:
            disks = restore_sessions.disks(connection, self._session_id)
        row = next(disk for disk in disks if disk.disk_key == disk_key)
        return row.checkpoint, row.copied_bytes

    def restart(self, disk_key: str) -> None:
        """A disk's image is gone."""
        with self._database.write() as connection:
            restore_sessions.restart_disk(connection, self._session_id, disk_key)

    def copied(self, disk_key: str, *, checkpoint: int, copied_bytes: int) -> None:
        """Everything of the disk below ``checkpoint`` is written and flushed."""
        with self._database.write() as connection:
            restore_sessions.record_disk(
                connection, self._session_id, disk_key, checkpoint=checkpoint, copied_bytes=copied_bytes
            )

    def verified(self, disk_key: str, verified_bytes: int) -> None:
        with self._database.write() as connection:
            restore_sessions.record_disk(
                connection, self._session_id, disk_key, verified_bytes=verified_bytes
            )

    def close_disk(
        self,
        disk_key: str,
        result: SessionResult,
        reason: str | None = None,
        *,
        digest: str | None = None,
    ) -> None:
        """digest: of the disk as it was read back."""
        with self._database.write() as connection:
            restore_sessions.record_disk(
                connection, self._session_id, disk_key, result=result, reason=reason, digest=digest
            )
