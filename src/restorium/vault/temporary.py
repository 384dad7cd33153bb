"""A database that is there for as long as one look at a whole vault takes: memory does not grow with the vault."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from restorium.vault.index import Index
from restorium.vocabulary.errors import StorageUnavailable


@contextmanager
def database(index: Index, schema: str) -> Iterator[sqlite3.Connection]:
    """An empty one with those tables, beside which the vault's index is ``known`` and only read.

    For one thread at a time. Raises StorageUnavailable for whatever keeps it from its work, a full disk above all.
    """
    try:
        with closing(
            sqlite3.connect("", isolation_level=None, uri=True, check_same_thread=False)
        ) as connection:
            connection.executescript(schema)
            connection.execute("ATTACH ? AS known", (f"{index.path.absolute().as_uri()}?mode=ro",))
            yield connection
    except sqlite3.Error as error:
        raise StorageUnavailable(
            f"the temporary database for {index.path.name} cannot be used: {error}",
            hint="Check the free space of the folder for temporary files, which TMPDIR names.",
        ) from error
