"""Engines for the two databases, set up so that reads are snapshots and writes are serial where they must be.

SQLite: write-ahead log, so that readers and the writer never wait for each other. Reads and writes have
engines of their own: readers may not write, and there is one writing connection, which begins IMMEDIATE, so
that threads queue for it in order instead of polling a locked file.
PostgreSQL: one pool. Reads are REPEATABLE READ and read-only, writes READ COMMITTED.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import ArgumentError

from restorium.catalog.text import fold
from restorium.vocabulary.errors import InvalidInput

_BUSY_MILLISECONDS = 30_000
_WAIT_SECONDS = 60
_CONNECT_SECONDS = 10
_HINT = "Use sqlite:///path/to/file or postgresql+psycopg://user:password@host/name."


@dataclass(frozen=True, slots=True)
class Engines:
    """``reader`` for snapshots, ``writer`` for transactions; ``shown`` is the URL without its password.

    local: a read waits for nobody, since the database is a file of this machine.
    """

    reader: Engine
    writer: Engine
    shown: str
    local: bool

    def dispose(self) -> None:
        self.reader.dispose()
        self.writer.dispose()


def engines(url: str) -> Engines:
    """Engines for ``url``; nothing is connected yet. Raises InvalidInput for a URL of any other kind."""
    try:
        parsed = sa.make_url(url)
    except ArgumentError:
        raise InvalidInput("the database's URL cannot be read", hint=_HINT) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return _sqlite(parsed)
    if parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return _postgresql(parsed.set(drivername="postgresql+psycopg"))
    raise InvalidInput(f"{parsed.render_as_string()} is not a database that Restorium can use", hint=_HINT)


def _sqlite(url: URL) -> Engines:
    url = url.set(drivername="sqlite+pysqlite")
    reader = sa.create_engine(url, pool_size=10, max_overflow=30, pool_timeout=_WAIT_SECONDS)
    writer = sa.create_engine(url, pool_size=1, max_overflow=0, pool_timeout=_WAIT_SECONDS)
    sa.event.listen(reader, "connect", _prepare_reader)
    sa.event.listen(writer, "connect", _prepare)
    sa.event.listen(reader, "begin", _begin)
    sa.event.listen(writer, "begin", _begin_immediate)
    return Engines(reader, writer, url.render_as_string(), local=True)


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN would come late and never IMMEDIATE
    connection.create_function("fold", 1, fold, deterministic=True)
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA automatic_index=OFF")  # it indexes a whole table to find one page of it


def _prepare_reader(connection: sqlite3.Connection, record: object) -> None:
    _prepare(connection, record)
    connection.execute("PRAGMA query_only=ON")


def _begin(connection: Connection) -> None:
    begin_straight(connection)


def begin_straight(connection: Connection) -> sqlite3.Connection:
    """Begin a snapshot in SQLite's driver, unless it has one; gives the driver's connection.

    SQLAlchemy's own begin and rollback take as long as finding a row by its key.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    if not driver.in_transaction:
        driver.execute("BEGIN")
    return driver


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _postgresql(url: URL) -> Engines:
    if "connect_timeout" not in url.query:
        url = url.update_query_dict({"connect_timeout": str(_CONNECT_SECONDS)})
    writer = sa.create_engine(
        url, pool_size=10, max_overflow=20, pool_timeout=_WAIT_SECONDS, pool_pre_ping=True
    )
    reader = writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return Engines(reader, writer, url.render_as_string(), local=False)
