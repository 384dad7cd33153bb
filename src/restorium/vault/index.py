"""The local index: which pack holds which chunk. A cache of pack footers in an SQLite file, never the truth.

It may be deleted at any time, may lag behind packs that another process wrote, and may be damaged: ``sync``
brings in what is new and drops what is gone, and an unreadable file is made anew. Several processes may share
one file.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from restorium.vault.log import warn
from restorium.vault.packs import Encoding, Entry, Kind, Location
from restorium.vocabulary.errors import StorageUnavailable

_T = TypeVar("_T")

_SCHEMA_VERSION = 1
_PAGE = 500
_SYNC_ATTEMPTS = 3
_BUSY_SECONDS = 60.0
_PRIMARY_CODE = 0xFF
_UNUSABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}
"""What says nothing about the file's content."""
_SETUP = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -8192;
PRAGMA temp_store = FILE;
"""
_SCHEMA = """
CREATE TABLE vault (schema_version INTEGER NOT NULL, id BLOB NOT NULL);
CREATE TABLE packs (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, size INTEGER NOT NULL);
CREATE TABLE chunks (
    id BLOB PRIMARY KEY, pack INTEGER NOT NULL, number INTEGER NOT NULL, offset INTEGER NOT NULL,
    kind INTEGER NOT NULL, encoding INTEGER NOT NULL, stored INTEGER NOT NULL, plain INTEGER NOT NULL
) WITHOUT ROWID;
"""
_LOCATE = (
    "SELECT chunks.id, kind, encoding, stored, plain, packs.id, chunks.number, offset"
    " FROM chunks JOIN packs ON packs.number = chunks.pack WHERE chunks.id IN "
)
_KNOWN = "SELECT id FROM chunks WHERE id IN "

Listing = Iterable[tuple[bytes, int]]
"""Packs that the storage has: id and size in bytes."""
FooterReader = Callable[[bytes, int], Sequence[Location] | None]
"""Reads a pack's footer by the pack's id and size; None where the pack is damaged."""


class Index:
    """Chunk ids to locations. Safe to use from several threads."""

    def __init__(self, folder: Path, vault_id: UUID) -> None:
        self._path = folder / f"{vault_id}.index"
        self._vault_id = vault_id
        self._lock = threading.Lock()
        self._syncing = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._connection = self._open()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def locate(self, ids: Iterable[bytes]) -> dict[bytes, Location]:
        """Those of the chunks that the index knows. An unreadable index knows none."""
        wanted = list(set(ids))
        return self._run(lambda connection: _locate(connection, wanted), {})

    def known(self, ids: Iterable[bytes]) -> set[bytes]:
        """The same as the keys of ``locate``, in a third of the time."""
        wanted = list(set(ids))
        return self._run(lambda connection: _known(connection, wanted), set())

    def add(self, pack_id: bytes, size: int, locations: Sequence[Location]) -> None:
        """Take in a pack that the storage has."""
        self._run(lambda connection: _insert(connection, pack_id, size, locations), None)

    def stored_bytes(self) -> int:
        """The sizes of all known packs together."""
        return self._run(_stored_bytes, 0)

    def sync(self, listing: Callable[[], Listing], read_footer: FooterReader) -> None:
        """Make the index agree with the storage. Raises what ``listing`` and ``read_footer`` raise."""
        with self._syncing:
            for _ in range(_SYNC_ATTEMPTS):
                if self._apply(listing()) and self._learn(read_footer):
                    return

    def forget(self, location: Location | None = None) -> None:
        """Drop a chunk and what is known of its pack, or everything; ``sync`` reads the footers again."""
        self._run(_forget_all if location is None else partial(_forget, location=location), None)

    def _apply(self, listing: Listing) -> bool:
        """Note what the storage has and drop the rest; False if the file was damaged."""
        remaining = iter(listing)
        kept = self._run(_start_listing, False)
        while kept and (page := list(islice(remaining, _PAGE))):
            kept = self._run(partial(_note_listed, page=page), False)
        return kept and self._run(_drop_unlisted, False)

    def _learn(self, read_footer: FooterReader) -> bool:
        """Read the footers of the packs that are listed and not known; False if the file was damaged."""
        after = b""
        while (page := self._run(partial(_unknown, after=after), None)) != []:
            if page is None:
                return False
            for pack_id, size in page:
                locations = read_footer(pack_id, size)
                if locations is not None:
                    self.add(pack_id, size, locations)
            after = page[-1][0]
        return True

    def _run(self, work: Callable[[sqlite3.Connection], _T], if_damaged: _T) -> _T:
        """Do ``work`` in one transaction. A damaged file is replaced by an empty one, as at the first use."""
        with self._lock:
            try:
                with self._connection:
                    self._connection.execute("BEGIN")
                    return work(self._connection)
            except (sqlite3.DatabaseError, ValueError) as error:
                self._check_damage(error)
                warn("the local index is damaged and made anew", path=str(self._path), error=str(error))
                self._connection.close()
                self._remove()
                self._connection = self._connect()
                return if_damaged

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            self._check_damage(error)
            self._remove()
            return self._connect()

    def _check_damage(self, error: Exception) -> None:
        """Raise unless the error says that the file's content is wrong."""
        if isinstance(error, sqlite3.ProgrammingError):
            raise error
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & _PRIMARY_CODE in _UNUSABLE:
            raise StorageUnavailable(
                f"the index {self._path} cannot be used: {error}",
                hint="Check the free space and the permissions of the data folder.",
            ) from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.executescript(_SETUP)
            connection.execute("BEGIN IMMEDIATE")
            known = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'vault'").fetchone()
            if known == (0,):
                for statement in _SCHEMA.split(";\n"):
                    connection.execute(statement)
                connection.execute("INSERT INTO vault VALUES (?, ?)", (_SCHEMA_VERSION, self._vault_id.bytes))
            row = connection.execute("SELECT schema_version, id FROM vault").fetchone()
            if row != (_SCHEMA_VERSION, self._vault_id.bytes):
                raise sqlite3.DatabaseError("the index is another vault's")
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _locate(connection: sqlite3.Connection, ids: Sequence[bytes]) -> dict[bytes, Location]:
    found = {}
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        marks = ",".join("?" * len(page))
        for row in connection.execute(f"{_LOCATE} ({marks})", page):
            found[row[0]] = _location(row)
    return found


def _known(connection: sqlite3.Connection, ids: Sequence[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        marks = ",".join("?" * len(page))
        found.update(row[0] for row in connection.execute(f"{_KNOWN} ({marks})", page))
    return found


def _insert(connection: sqlite3.Connection, pack_id: bytes, size: int, locations: Sequence[Location]) -> None:
    inserted = connection.execute("INSERT OR IGNORE INTO packs (id, size) VALUES (?, ?)", (pack_id, size))
    if inserted.rowcount == 0:
        return
    rows = [
        (
            location.entry.id,
            inserted.lastrowid,
            location.number,
            location.offset,
            location.entry.kind,
            location.entry.encoding,
            location.entry.stored,
            location.entry.plain,
        )
        for location in locations
    ]
    connection.executemany("INSERT OR IGNORE INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _stored_bytes(connection: sqlite3.Connection) -> int:
    (total,) = connection.execute("SELECT coalesce(sum(size), 0) FROM packs").fetchone()
    return int(total)


def _forget(connection: sqlite3.Connection, location: Location) -> None:
    connection.execute("DELETE FROM packs WHERE id = ?", (location.pack_id,))
    connection.execute(
        "DELETE FROM chunks WHERE id = ? OR pack NOT IN (SELECT number FROM packs)", (location.entry.id,)
    )


def _forget_all(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM chunks")
    connection.execute("DELETE FROM packs")


def _start_listing(connection: sqlite3.Connection) -> bool:
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS listed (id BLOB PRIMARY KEY, size INTEGER NOT NULL)")
    connection.execute("DELETE FROM listed")
    return True


def _note_listed(connection: sqlite3.Connection, page: Sequence[tuple[bytes, int]]) -> bool:
    connection.executemany("INSERT OR REPLACE INTO listed VALUES (?, ?)", page)
    return True


def _drop_unlisted(connection: sqlite3.Connection) -> bool:
    gone = connection.execute("DELETE FROM packs WHERE (id, size) NOT IN (SELECT id, size FROM listed)")
    if gone.rowcount:
        connection.execute("DELETE FROM chunks WHERE pack NOT IN (SELECT number FROM packs)")
    return True


def _unknown(connection: sqlite3.Connection, after: bytes) -> list[tuple[bytes, int]] | None:
    rows = connection.execute(
        "SELECT id, size FROM listed WHERE id > ? AND id NOT IN (SELECT id FROM packs) ORDER BY id LIMIT ?",
        (after, _PAGE),
    )
    return rows.fetchall()


def _location(row: tuple[bytes, int, int, int, int, bytes, int, int]) -> Location:
    chunk_id, kind, encoding, stored, plain, pack_id, number, offset = row
    return Location(Entry(chunk_id, Kind(kind), Encoding(encoding), stored, plain), pack_id, number, offset)
