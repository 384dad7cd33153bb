"""The opened database: where connections come from."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection
from sqlalchemy.exc import (
    DatabaseError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from restorium.catalog import changes, generations, servers
from restorium.catalog.credentials import CredentialGuard
from restorium.catalog.engines import Engines, begin_straight, engines
from restorium.catalog.migrate import migrate
from restorium.catalog.places import Places
from restorium.catalog.surroundings import BRIEF, CLOCK, GUARD, PLACES
from restorium.vocabulary.clock import Clock
from restorium.vocabulary.errors import DatabaseUnavailable

_MISTAKES = (DataError, IntegrityError, InternalError, ProgrammingError)
"""Errors that say something of a statement, not of the database."""


class Database:
    """One catalog, for any number of threads. A thread must not open a second ``write`` inside its first."""

    def __init__(self, pair: Engines, clock: Clock) -> None:
        surroundings = {CLOCK: clock, GUARD: CredentialGuard(clock)}
        self.clock = clock
        self.reads_wait_for_nobody = pair.local
        self._engines = pair
        self._kept = threading.local()
        self._all_kept: list[Connection] = []
        self._reader = pair.reader.execution_options(**surroundings, **{PLACES: Places()})
        self._writer = pair.writer.execution_options(**surroundings)

    @classmethod
    def open(cls, url: str, clock: Clock) -> Database:
        """Connect, bring the tables up to date, and see that the backup server's row is there.

        url: ``sqlite:///path`` or ``postgresql+psycopg://...``. Raises InvalidInput for another URL,
        DatabaseUnavailable where it cannot be reached, Unsupported where a newer release wrote it.
        """
        pair = engines(url)
        database = cls(pair, clock)
        try:
            with database.write() as connection:
                if migrate(connection, pair.shown):
                    generations.install(connection)
                    changes.install(connection)
                changes.settle(connection)
                servers.ensure(connection)
        except BaseException:
            database.close()
            raise
        return database

    @classmethod
    def inspect(cls, url: str, clock: Clock) -> Database:
        """Connect, to read what is there, and change nothing. Raises InvalidInput for another URL."""
        return cls(engines(url), clock)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one moment of the database and cannot change it."""
        with self._translated(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def read_briefly(self) -> Iterator[Connection]:
        """As ``read``, by a connection that the thread keeps: getting one takes as long as finding a row by its key.

        Only where reads wait for nobody, so that one thread, the event loop's, does them: each thread would keep one of
        the pool. It must not open a second inside its first.
        """
        if not self.reads_wait_for_nobody:
            with self.read() as connection:
                yield connection
            return
        with self._translated():
            kept: Connection | None = getattr(self._kept, "connection", None)
            if kept is None or kept.closed or kept.invalidated:
                kept = self._kept.connection = self._reader.connect().execution_options(**{BRIEF: True})
                self._all_kept.append(kept)
            driver = begin_straight(kept)
            try:
                yield kept
            finally:
                kept.rollback()
                driver.rollback()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection whose changes all happen when the block ends, or none if it raises."""
        with self._translated(), self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        """Let all connections go."""
        for connection in self._all_kept:
            connection.close()
        self._engines.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (DatabaseError, InterfaceError, PoolTimeoutError) as error:
            if isinstance(error, _MISTAKES):
                raise
            cause = error.orig if isinstance(error, DBAPIError) else error
            detail = " ".join(str(cause).split())
            raise DatabaseUnavailable(f"the database {self._engines.shown} failed: {detail}") from None
