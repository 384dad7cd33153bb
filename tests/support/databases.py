"""Empty, migrated databases for tests: SQLite files, and a PostgreSQL that the tests start themselves.

The server runs from the installed programs in a temporary folder, as an unprivileged user, reachable by a
socket in that folder only, and is stopped by its process id.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import psycopg.sql

from restorium.catalog.database import Database
from restorium.catalog.tables import metadata
from restorium.vocabulary.clock import SystemClock
from tests.support.waiting import wait_until

_INSTALLED = Path("/usr/lib/postgresql")
_UNPRIVILEGED = ("postgres", "nobody")
_TEMPLATE = "migrated"
_SHARED = "shared"
_INITDB = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
_FAST = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "max_wal_size": "128MB",
}


def find_postgres() -> Path | None:
    """The folder with PostgreSQL's server programs, the newest release first; None if none is installed."""
    for folder in sorted(_INSTALLED.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).parent if found else None


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server. ``folder`` holds its data and its socket; ``strategy`` copies a template fastest."""

    folder: Path
    strategy: str

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def execute(self, statement: str) -> None:
        """Run one statement outside any transaction, as the superuser."""
        with psycopg.connect(
            host=str(self.folder), user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement)  # type: ignore[call-overload]  # tests make up their names themselves

    def emptied(self) -> str:
        """The URL of the one database that is emptied for each test; a tenth of the time of a new one."""
        with psycopg.connect(host=str(self.folder), user="postgres", dbname=_SHARED) as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(
                    psycopg.sql.SQL("DELETE FROM {}").format(psycopg.sql.Identifier(table.name))
                )
        return self.url(_SHARED)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new, migrated database of one's own."""
        name = f"test_{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} {self.strategy}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def postgres_server(programs: Path) -> Iterator[PostgresServer]:
    """Start a server, with a migrated template in it, and stop it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="restorium-postgres-"))
    user = _unprivileged_user()
    if user is not None:
        os.chown(folder, user, -1)
    data = folder / "data"
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, *_INITDB],
            check=True,
            capture_output=True,
            user=user,
            cwd=folder,
        )
        options = [part for name, value in _FAST.items() for part in ("-c", f"{name}={value}")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, "-k", folder, *options],
                stdout=log,
                stderr=log,
                user=user,
                cwd=folder,
            )
        try:
            release = int(programs.parent.name) if programs.parent.name.isdecimal() else 0
            server = PostgresServer(folder, "STRATEGY FILE_COPY" if release >= 15 else "")
            wait_until(lambda: process.poll() is not None or _answers(server), timeout=30)
            for name in (_TEMPLATE, _SHARED):
                server.execute(f"CREATE DATABASE {name}")
                Database.open(server.url(name), SystemClock()).close()
            yield server
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answers(server: PostgresServer) -> bool:
    try:
        server.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def _unprivileged_user() -> int | None:
    """PostgreSQL refuses to run as root: the id of a user to run it as, None if this one will do."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    return next(known[name] for name in _UNPRIVILEGED if name in known)
