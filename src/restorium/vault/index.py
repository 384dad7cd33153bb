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

_SCHEMA_VERSION = 2
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
    id BLOB NOT NULL, pack INTEGER NOT NULL, number INTEGER NOT NULL, offset INTEGER NOT NULL,
    kind INTEGER NOT NULL, encoding INTEGER NOT NULL, stored INTEGER NOT NULL, plain INTEGER NOT NULL,
    PRIMARY KEY (id, pack)
) WITHOUT ROWID;
CREATE TABLE marks (number INTEGER PRIMARY KEY);
CREATE TABLE doomed (id BLOB PRIMARY KEY) WITHOUT ROWID;
"""
_LOCATE = (
    "SELECT chunks.id, kind, encoding, stored, plain, packs.id, chunks.number, offset, doomed.id"
    " FROM chunks JOIN packs ON packs.number = chunks.pack LEFT JOIN doomed ON doomed.id = packs.id"
    " WHERE chunks.id IN "
)
_KNOWN = (
    "SELECT id FROM chunks WHERE NOT EXISTS"
    " (SELECT 1 FROM packs JOIN doomed ON doomed.id = packs.id WHERE packs.number = chunks.pack) AND id IN "
)

Listing = Iterable[tuple[bytes, int]]
"""Packs that the storage has: id and size in bytes."""
FooterReader = Callable[[bytes, int], Sequence[Location] | None]
"""Reads a pack's footer by the pack's id and size; None where the pack is damaged."""


class Index:
    """Chunk ids to locations. Safe to use from several threads."""

    def __init__(self, folder: Path, vault_id: UUID) -> None:
        self.path = folder / f"{vault_id}.index"
        self._vault_id = vault_id
        self._lock = threading.Lock()
        self._syncing = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._connection: sqlite3.Connection | None = self._open()

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()

    def locate(self, ids: Iterable[bytes], *, lasting: bool = False) -> dict[bytes, Location]:
        """Those of the chunks that the index knows. An unreadable index knows none.

        lasting: leave out what lies in doomed packs alone. Otherwise they are named where no other pack is.
        """
        wanted = list(set(ids))
        return self._run(lambda connection: _locate(connection, wanted, lasting=lasting), {})

    def locations(self, chunk_id: bytes) -> list[Location]:
        """Everywhere that a chunk lies."""
        return self._run(
            lambda connection: [_location(row) for row in connection.execute(f"{_LOCATE} (?)", (chunk_id,))],
            [],
        )

    def size(self, pack_id: bytes) -> int:
        """Of a known pack, in bytes; 0 of another."""
        return self._run(lambda connection: _size(connection, pack_id), 0)

    def known_marks(self) -> set[int]:
        """Numbers of the marks that ``doom`` was told of."""
        return self._run(_known_marks, set())

    def is_doomed(self, pack_id: bytes) -> bool:
        """Whether a mark that is known dooms the pack."""
        statement = "SELECT 1 FROM doomed WHERE id = ?"
        found = self._run(lambda connection: connection.execute(statement, (pack_id,)).fetchone(), None)
        return found is not None

    def doom(self, number: int, pack_ids: Iterable[bytes]) -> None:
        """Note a mark and the packs that it dooms, be they known or not."""
        rows = [(pack_id,) for pack_id in pack_ids]
        self._run(lambda connection: _doom(connection, number, rows), None)

    def known(self, ids: Iterable[bytes]) -> set[bytes]:
        """The same as the keys of ``locate`` for what lasts, in less time."""
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
        """Drop what is known of a pack, or everything; ``sync`` reads the footers again."""
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
        """Do ``work`` in one transaction. A damaged file is replaced by an empty one, as at the first use.

        Where that cannot be done now, the next call does it. Raises StorageUnavailable.
        """
        with self._lock:
            connection = self._connection = self._connection or self._open()
            try:
                with connection:
                    connection.execute("BEGIN")
                    return work(connection)
            except (sqlite3.DatabaseError, ValueError) as error:
                self._check_damage(error)
                warn("the local index is damaged and made anew", path=str(self.path), error=str(error))
                connection.close()
                self._connection = None
                self._remove()
                self._connection = self._open()
                return if_damaged

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            self._check_damage(error)
        self._remove()
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error

    def _check_damage(self, error: Exception) -> None:
        """Raise unless the error says that the file's content is wrong."""
        if isinstance(error, sqlite3.ProgrammingError):
            raise error
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & _PRIMARY_CODE in _UNUSABLE:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StorageUnavailable:
        return StorageUnavailable(
            f"the index {self.path} cannot be used: {error}",
            hint="Check the free space and the permissions of the data folder.",
        )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
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
        try:
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(error) from error


def _locate(connection: sqlite3.Connection, ids: Sequence[bytes], *, lasting: bool) -> dict[bytes, Location]:
    found: dict[bytes, Location] = {}
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        places = ",".join("?" * len(page))
        for row in connection.execute(f"{_LOCATE} ({places})", page):
            doomed = row[8] is not None
            if not doomed or not (lasting or row[0] in found):
                found[row[0]] = _location(row)
    return found


def _known(connection: sqlite3.Connection, ids: Sequence[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        marks = ",".join("?" * len(page))
        found.update(row[0] for row in connection.execute(f"{_KNOWN} ({marks})", page))
    return found


def _size(connection: sqlite3.Connection, pack_id: bytes) -> int:
    row = connection.execute("SELECT size FROM packs WHERE id = ?", (pack_id,)).fetchone()
    return 0 if row is None else int(row[0])


def _known_marks(connection: sqlite3.Connection) -> set[int]:
    return {number for (number,) in connection.execute("SELECT number FROM marks")}


def _doom(connection: sqlite3.Connection, number: int, rows: Sequence[tuple[bytes]]) -> None:
    connection.execute("INSERT OR IGNORE INTO marks VALUES (?)", (number,))
    connection.executemany("INSERT OR IGNORE INTO doomed VALUES (?)", rows)


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
    connection.execute("DELETE FROM chunks WHERE pack NOT IN (SELECT number FROM packs)")


def _forget_all(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM chunks")
    connection.execute("DELETE FROM packs")
    connection.execute("DELETE FROM marks")
    connection.execute("DELETE FROM doomed")


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


def _location(row: tuple[bytes, int, int, int, int, bytes, int, int, bytes | None]) -> Location:
    chunk_id, kind, encoding, stored, plain, pack_id, number, offset, _ = row
    return Location(Entry(chunk_id, Kind(kind), Encoding(encoding), stored, plain), pack_id, number, offset)
