"""How many transactions have changed each table, noted by triggers in the transaction that changes it.

In SQLite a table has one row in ``generations``, for there is one writer at a time. In PostgreSQL a transaction takes
any of the table's rows that no other holds, or adds one, so that writers never wait for each other; the table's
generation is the sum. Snapshots see sets of transactions of which one always contains the other, so equal sums mean
the same state.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.sql import visitors

from restorium.catalog import tables
from restorium.catalog.prepared import Prepared

TRACKED: tuple[sa.Table, ...] = (
    tables.backup_servers,
    tables.hosts,
    tables.repositories,
    tables.jobs,
    tables.job_objects,
    tables.backups,
    tables.restore_points,
    tables.backup_files,
    tables.vapp_restore_points,
    tables.vm_restore_points,
    tables.job_sessions,
    tables.task_sessions,
    tables.restore_sessions,
    tables.accounts,
    tables.account_roles,
    tables.account_scopes,
)
"""The tables that lists are read from."""

_NAMES = {table.name for table in TRACKED}

_POSTGRESQL_FUNCTION = """
CREATE OR REPLACE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE generations SET number = number + 1 WHERE id = (
        SELECT id FROM generations WHERE name = TG_TABLE_NAME ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
    );
    IF NOT FOUND THEN
        INSERT INTO generations (name, number) VALUES (TG_TABLE_NAME, 1);
    END IF;
    RETURN NULL;
END $$
"""


def install(connection: Connection) -> None:
    """Make the triggers as the tables are declared now. Whoever has changed the tables calls it."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_POSTGRESQL_FUNCTION)
    for table in TRACKED:
        for statement in _triggers(table, connection.dialect.name):
            connection.exec_driver_sql(statement)
        if connection.dialect.name == "sqlite":
            known = sa.select(tables.generations.c.id).where(tables.generations.c.name == table.name)
            if connection.execute(known).first() is None:
                connection.execute(sa.insert(tables.generations).values(name=table.name, number=0))


def read(connection: Connection, parts: Iterable[sa.ClauseElement]) -> int | None:
    """The generation, in the connection's snapshot, of all tables that these parts of a statement read.

    None if they read a table or a column whose changes are not noted.
    """
    noted: set[str] = set()
    for part in parts:
        for each in visitors.iterate(part):
            if isinstance(each, sa.Table):
                noted.add(each.name)
            elif isinstance(each, sa.Column):
                if each.info.get("volatile") or not isinstance(each.table, sa.Table):
                    return None
                noted.add(each.table.name)
    if not noted <= _NAMES:
        return None
    found = {row.name: int(row.number) for row in _READ.all(connection, {})}
    return sum(found.get(name, 0) for name in noted)


def _triggers(table: sa.Table, dialect: str) -> Iterable[str]:
    noted = ", ".join(column.name for column in table.columns if not column.info.get("volatile"))
    if dialect == "postgresql":
        yield f"DROP TRIGGER IF EXISTS note_change ON {table.name}"
        yield (
            f"CREATE TRIGGER note_change AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF {noted}"
            f" ON {table.name} FOR EACH STATEMENT EXECUTE FUNCTION note_change()"
        )
        return
    for event, columns in (("INSERT", ""), ("DELETE", ""), ("UPDATE", f" OF {noted}")):
        name = f"note_{event.lower()}_{table.name}"
        yield f"DROP TRIGGER IF EXISTS {name}"
        yield (
            f"CREATE TRIGGER {name} AFTER {event}{columns} ON {table.name} BEGIN"  # noqa: S608  our own names
            f" UPDATE generations SET number = number + 1 WHERE name = '{table.name}'; END"
        )


_READ = Prepared(
    sa.select(
        tables.generations.c.name,
        sa.cast(sa.func.sum(tables.generations.c.number), sa.BigInteger).label("number"),
    ).group_by(tables.generations.c.name)
)
