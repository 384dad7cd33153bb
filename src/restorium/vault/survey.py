"""What the points of a vault need and what its packs hold, side by side, in a temporary database.

Memory does not grow with the vault: everything is on disk, and gone when the survey is closed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from restorium.vault import temporary
from restorium.vault.index import Index

_PAGE = 500
_SCHEMA = """
CREATE TABLE live (id BLOB PRIMARY KEY, locked INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE walked (id BLOB PRIMARY KEY, locked INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE listed (id BLOB PRIMARY KEY, size INTEGER NOT NULL, modified REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE doomed (id BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE ripe (id BLOB PRIMARY KEY) WITHOUT ROWID;
"""
_NEEDED = "SELECT id, locked FROM live WHERE id IN "
_HELD = """
SELECT listed.id, listed.size, held.stored, held.needed, held.locked
FROM (
    SELECT chunks.pack, sum(chunks.stored) AS stored,
        coalesce(sum(chunks.stored) FILTER (WHERE live.id IS NOT NULL), 0) AS needed,
        coalesce(max(live.locked), 0) AS locked
    FROM known.chunks LEFT JOIN live ON live.id = chunks.id GROUP BY chunks.pack
) AS held
JOIN known.packs ON packs.number = held.pack
JOIN listed ON listed.id = packs.id
WHERE listed.modified <= ? AND listed.id NOT IN (SELECT id FROM doomed)
ORDER BY held.needed * 1.0 / held.stored
"""


@dataclass(frozen=True, slots=True)
class Held:
    """A pack. ``stored``: bytes of its chunks; ``needed``: of those that some point needs.

    locked: whether such a point may not be deleted yet.
    """

    pack_id: bytes
    size: int
    stored: int
    needed: int
    locked: bool


class Survey:
    """One look at a whole vault. For one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """connection: what ``open`` made."""
        self._connection = connection

    @classmethod
    @contextmanager
    def open(cls, index: Index) -> Iterator[Self]:
        """Begin, when the index knows all marks. Raises StorageUnavailable, also for what is done in the block."""
        with temporary.database(index, _SCHEMA) as connection:
            connection.execute("INSERT INTO doomed SELECT id FROM known.doomed")
            yield cls(connection)

    def first_walk(self, table_id: bytes, *, locked: bool) -> bool:
        """Whether what lies below a part of a table is still to be added, for a point that is ``locked``."""
        row = self._connection.execute("SELECT locked FROM walked WHERE id = ?", (table_id,)).fetchone()
        if row is not None and row[0] >= locked:
            return False
        self._connection.execute("INSERT OR REPLACE INTO walked VALUES (?, ?)", (table_id, locked))
        return True

    def add_needed(self, ids: Iterable[bytes], *, locked: bool) -> None:
        """Some point needs these chunks. ``locked``: it may not be removed yet."""
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT INTO live VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET locked = max(locked, excluded.locked)",
            ((chunk_id, locked) for chunk_id in ids),
        )
        self._connection.execute("COMMIT")

    def add_listed(self, packs: Iterable[tuple[bytes, int, datetime]]) -> None:
        """The storage has these packs: id, size, when they were written."""
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT OR REPLACE INTO listed VALUES (?, ?, ?)",
            ((pack_id, size, modified.timestamp()) for pack_id, size, modified in packs),
        )
        self._connection.execute("COMMIT")

    def add_ripe(self, packs: Iterable[bytes]) -> None:
        """These have been doomed for long enough."""
        self._connection.executemany("INSERT OR IGNORE INTO ripe VALUES (?)", ((each,) for each in packs))

    def has(self, packs: Iterable[bytes]) -> bool:
        """Whether any of the packs is listed."""
        found = (
            self._connection.execute("SELECT 1 FROM listed WHERE id = ?", (each,)).fetchone()
            for each in packs
        )
        return any(found)

    def doomed(self) -> list[tuple[bytes, int]]:
        """Ids and sizes of the doomed packs that are listed."""
        return self._connection.execute(
            "SELECT id, size FROM listed WHERE id IN (SELECT id FROM doomed) ORDER BY id"
        ).fetchall()

    def is_doomed(self, pack_id: bytes) -> bool:
        return self._has("SELECT 1 FROM doomed WHERE id = ?", pack_id)

    def is_ripe(self, pack_id: bytes) -> bool:
        return self._has("SELECT 1 FROM ripe WHERE id = ?", pack_id)

    def _has(self, statement: str, pack_id: bytes) -> bool:
        return self._connection.execute(statement, (pack_id,)).fetchone() is not None

    def needed(self, ids: Sequence[bytes]) -> dict[bytes, bool]:
        """Those of the chunks that some point needs, and whether one of those may not be removed yet."""
        found: dict[bytes, bool] = {}
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            places = ",".join("?" * len(page))
            rows = self._connection.execute(f"{_NEEDED} ({places})", page)
            found |= {chunk_id: bool(locked) for chunk_id, locked in rows}
        return found

    def held(self, written_until: datetime) -> Iterator[Held]:
        """Packs that are old enough and not doomed, the emptiest first."""
        rows = self._connection.execute(_HELD, (written_until.timestamp(),))
        for pack_id, size, stored, needed, locked in rows:
            yield Held(pack_id, size, stored, needed, bool(locked))
