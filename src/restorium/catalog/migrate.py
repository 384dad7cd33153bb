"""Bring a database's tables up to date. Each migration is a file in migrations/versions, run by Alembic."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.engine import Connection

from restorium.vocabulary.errors import Unsupported

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x7265_7374
"""Names the lock under which one process at a time migrates a PostgreSQL database; SQLite has its write lock.
"""


def migrate(connection: Connection, shown: str) -> bool:
    """Run what is missing, inside the connection's transaction; False if nothing is. ``shown`` names the database in
    errors.

    Raises Unsupported if a newer release has migrated it further than this one knows.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current == script.get_current_head():
        return False
    if current is not None:
        _check_known(script, current, shown)
    command.upgrade(config, "head")
    return True


def _check_known(script: ScriptDirectory, current: str, shown: str) -> None:
    try:
        script.get_revision(current)
    except CommandError:
        raise Unsupported(
            f"the database {shown} is at revision {current}, which this release does not know",
            hint="Run the release that wrote it or a newer one.",
        ) from None
