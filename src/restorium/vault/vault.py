"""A vault: create it, open it, and everything that is done with its points."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

from restorium.disks.interface import DiskReader, DiskWriter, Extent
from restorium.vault import config, manifests, opening
from restorium.vault.backup import BackupWriter
from restorium.vault.chunkstore import ChunkStore
from restorium.vault.index import Index
from restorium.vault.keys import Key, Keyring, RandomBytes
from restorium.vault.log import warn
from restorium.vault.manifests import PointDescription
from restorium.vault.opening import Keys
from restorium.vault.prune import Progress, Prune, PrunePolicy, PruneReport
from restorium.vault.restore import Missing, StoredDisk
from restorium.vault.stats import Counting, VaultStats
from restorium.vault.storage import Storage
from restorium.vault.tables import DiskRecord
from restorium.vault.trusted_time import MACHINE, Clocks, TrustedTime
from restorium.vault.verify import Verification, VerifyReport
from restorium.vocabulary.errors import (
    DataCorrupt,
    InvalidInput,
    NotFound,
    PointLocked,
)

WINDOW_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes; -1 where the storage cannot tell. ``stored_bytes`` is what the vault's packs take."""

    capacity_bytes: int
    free_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Point:
    """A restore point as its manifest tells it."""

    name: str
    description: PointDescription

    @property
    def disks(self) -> tuple[DiskRecord, ...]:
        return self.description.disks


class Vault:
    """An opened vault. Safe to use from several threads; several processes may open the same one."""

    def __init__(
        self,
        storage: Storage,
        opened: config.Config,
        keyring: Keyring,
        quota_bytes: int | None,
        cache: Path,
        random_bytes: RandomBytes,
        clocks: Clocks,
    ) -> None:
        self.id: UUID = opened.vault_id
        self.chunk_size = opened.chunk_size
        self._storage = storage
        self._keyring = keyring
        self._quota_bytes = quota_bytes
        self._random_bytes = random_bytes
        self._trusted_time = TrustedTime(storage, keyring, clocks)
        self._index = Index(cache, opened.vault_id)
        self._chunks = ChunkStore(storage, keyring, opened.vault_id, self._index)

    @classmethod
    def create(
        cls,
        url: str | Storage,
        key: Key,
        *,
        quota_bytes: int | None = None,
        cache: Path,
        random_bytes: RandomBytes = secrets.token_bytes,
        clocks: Clocks = MACHINE,
    ) -> Vault:
        """Make a vault where none is, and open it. ``random_bytes`` must never give the same twice.

        Raises VaultExists, InvalidInput (no URL of a repository), StorageUnavailable, RepositoryFull.
        """
        storage = url if isinstance(url, Storage) else Storage.open(url, make=True)
        opening.make(storage, key, random_bytes)
        return cls.open(
            storage, key, quota_bytes=quota_bytes, cache=cache, random_bytes=random_bytes, clocks=clocks
        )

    @classmethod
    def open(
        cls,
        url: str | Storage,
        key: Key,
        *,
        quota_bytes: int | None = None,
        cache: Path,
        random_bytes: RandomBytes = secrets.token_bytes,
        clocks: Clocks = MACHINE,
    ) -> Vault:
        """Open a vault. ``quota_bytes`` is the most that its packs may take; ``cache`` a folder of this
        machine.

        Raises WrongKey, NotAVault, Unsupported, DataCorrupt, StorageUnavailable, InvalidInput.
        """
        storage = url if isinstance(url, Storage) else Storage.open(url)
        opened = opening.load(storage, key)
        return cls(storage, opened.config, opened.keyring(), quota_bytes, cache, random_bytes, clocks)

    @staticmethod
    def keys(url: str | Storage, key: Key, *, random_bytes: RandomBytes = secrets.token_bytes) -> Keys:
        """The keys that open the vault, to be listed and changed by whoever has one of them."""
        storage = url if isinstance(url, Storage) else Storage.open(url)
        return Keys(storage, key, random_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the local index back. What runs meanwhile fails."""
        self._index.close()

    def usage(self) -> Usage:
        """The storage's room, and within the quota if there is one. Raises StorageUnavailable."""
        self._chunks.sync()
        stored = self._index.stored_bytes()
        capacity, free = self._storage.free_space() or (-1, -1)
        if self._quota_bytes is not None:
            room = max(self._quota_bytes - stored, 0)
            capacity, free = self._quota_bytes, room if free < 0 else min(room, free)
        return Usage(capacity, free, stored)

    def backup(self, threads: int = 0) -> BackupWriter:
        """A writer of one restore point, to be used in a with statement. ``threads``: 0 is one a core."""
        return BackupWriter(
            self._chunks,
            self.id,
            self.chunk_size,
            self._trusted_time,
            quota_bytes=self._quota_bytes,
            random_bytes=self._random_bytes,
            threads=threads,
        )

    def points(self) -> list[str]:
        """Names of all restore points, oldest first."""
        return sorted(name for name, _ in manifests.listed(self._storage))

    def point(self, name: str) -> Point:
        """Raises NotFound, DataCorrupt, StorageUnavailable."""
        try:
            content = self._storage.get(manifests.object_name(name))
        except (NotFound, InvalidInput) as error:
            raise NotFound(f"{self._storage.url} has no restore point {name}") from error
        return Point(name, manifests.open_sealed(self._keyring, self.id, name, content))

    def check_deletable(self, name: str) -> None:
        """Raises PointLocked if a restore point may not be deleted yet, InvalidInput, StorageUnavailable."""
        try:
            locked_until = self.point(name).description.locked_until
        except NotFound:
            return
        except DataCorrupt as error:
            warn("a damaged restore point may be deleted", point=name, error=error.message)
            return
        if locked_until is not None and self._trusted_time.now() < locked_until:
            raise PointLocked(
                f"restore point {name} may not be deleted before {locked_until:%Y-%m-%d %H:%M} UTC"
            )

    def delete_point(self, name: str) -> None:
        """Remove a restore point: its manifest alone, for good. One that is not there is no error.

        Its chunks stay in their packs until a prune. Raises what ``check_deletable`` does.
        """
        object_name = manifests.object_name(name)
        self.check_deletable(name)
        # In this order, a writer that is about to commit under this name finds out, and takes the point back.
        self._storage.delete(manifests.intent_name(name))
        self._storage.delete(object_name, durable=True)

    def prune(
        self,
        policy: PrunePolicy | None = None,
        *,
        progress: Progress = lambda phase, done, total: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> PruneReport:
        """Give back the room of chunks that no point needs: doom packs, and remove those doomed long ago.

        May run beside backups, restores and other prunes, and be stopped anywhere. Raises Cancelled,
        StorageUnavailable, RepositoryFull.
        """
        return Prune(
            self._chunks,
            self.id,
            self.chunk_size,
            policy or PrunePolicy(),
            self._trusted_time,
            self._random_bytes,
            progress,
            cancelled,
        ).run()

    def stats(
        self,
        *,
        progress: Callable[[int, int], None] = lambda done, total: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> VaultStats:
        """What the room is used for. Raises Cancelled, StorageUnavailable."""
        return Counting(self._chunks, self.id, self.chunk_size).run(progress, cancelled)

    def missing_chunks(
        self, point: Point, disk: DiskRecord, *, cancelled: Callable[[], bool] = lambda: False
    ) -> Missing:
        """What of the disk's data no pack has.

        Raises ChunkMissing or DataCorrupt if the disk's table is lost, and Cancelled.
        """
        if disk not in point.disks:
            raise NotFound(f"restore point {point.name} has no such disk {disk.key!r}")
        self._chunks.sync()
        return self._stored(disk).missing(cancelled)

    def extents(self, disk: DiskRecord, *, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Extent]:
        """Data and holes, in whole chunks, covering the disk. Raises Cancelled."""
        return self._stored(disk).extents(cancelled)

    def planned_bytes(self, disk: DiskRecord, *, cancelled: Callable[[], bool] = lambda: False) -> int:
        """What a restore of the disk writes. Raises Cancelled."""
        extents = self.extents(disk, cancelled=cancelled)
        return sum(extent.length for extent in extents if not extent.hole)

    def restore_disk(
        self,
        disk: DiskRecord,
        writer: DiskWriter,
        *,
        start: int = 0,
        window: int = WINDOW_BYTES,
        on_window: Callable[[int, int], None] = lambda end, copied: None,
        cancelled: Callable[[], bool] = lambda: False,
        threads: int = 0,
        existing: DiskReader | None = None,
    ) -> None:
        """Write the disk's data; holes are left alone, so the target is new or an earlier attempt's.

        start: where that attempt got to, as ``on_window`` told it. window: so many
        bytes at most are written beyond the offset told last, so that no more is written again after a crash.
        on_window: called in this thread with an offset, in order, once all below it is handed to the writer,
        and with the bytes of data written since the call before. The last call is with the disk's size,
        and there is none if ``start`` is that already.
        existing: another state of the disk, of any size. Each chunk that it holds at the same place, as its
        digest tells, is copied from there; only the others are read from the storage.
        Raises DataCorrupt or ChunkMissing naming disk and bytes, Cancelled, StorageUnavailable, and what the
        writer raises.
        """
        self._stored(disk).copy(writer, start, window, on_window, cancelled, threads, existing)

    def verify_disk(
        self,
        disk: DiskRecord,
        reader: DiskReader,
        *,
        progress: Callable[[int], None] = lambda count: None,
        cancelled: Callable[[], bool] = lambda: False,
        threads: int = 0,
    ) -> str:
        """Hold what ``reader`` gives against the disk, holes included; gives its digest as disks.digest has it.

        progress: called with newly verified bytes of data; they sum up to ``planned_bytes``.
        Raises VerificationFailed naming disk and bytes, and Cancelled.
        """
        return self._stored(disk).verify(reader, progress, cancelled, threads)

    def read(self, disk: DiskRecord, offset: int, length: int) -> bytes:
        """Any bytes of the disk. Raises InvalidInput, DataCorrupt, ChunkMissing, StorageUnavailable."""
        return self._stored(disk).read(offset, length)

    def verify(
        self,
        *,
        read_data: bool = True,
        quarantine: bool = False,
        progress: Callable[[int], None] = lambda count: None,
        cancelled: Callable[[], bool] = lambda: False,
        threads: int = 0,
    ) -> VerifyReport:
        """Follow the tables of every point, and read everything and hold it against its digests.

        read_data: without it no data is read; each chunk has to be in a pack that is there in its full size.
        quarantine: doom packs in which something is damaged, so that the next backup which has it stores it again.
        progress: called with newly read bytes; they sum up to the sizes of all packs. Damage is reported, not
        raised; raises Cancelled and StorageUnavailable.
        """
        return Verification(self._chunks, self.id, self.chunk_size, progress, cancelled, threads).run(
            read_data=read_data, quarantine=self._random_bytes if quarantine else None
        )

    def _stored(self, disk: DiskRecord) -> StoredDisk:
        return StoredDisk(self._chunks, disk, self.chunk_size)
