"""What all tables are made with."""

from __future__ import annotations

import sqlalchemy as sa

from restorium.catalog.types import Guid
from restorium.vocabulary.sessions import SessionState

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)

VOLATILE = {"volatile": True}
"""Marks columns that change often while something runs and that the interface neither filters nor sorts by:
``generations`` takes no notice. Give or take the mark together with a migration, after which triggers are made anew.
"""


def identity() -> sa.Column[object]:
    """The column of a row's id."""
    return sa.Column("id", Guid, primary_key=True)


def reference(
    name: str, target: str, *, nullable: bool = False, on_delete: str = "RESTRICT"
) -> sa.Column[object]:
    """A column that names a row of ``target`` by its id."""
    return sa.Column(
        name, Guid, sa.ForeignKey(f"{target}.id", ondelete=on_delete), nullable=nullable, index=True
    )


def change_number() -> sa.Column[int]:
    """The number of the last change of a session, of what belongs to it, or of its events (``changes``)."""
    return sa.Column("change", sa.BigInteger, nullable=False, server_default="0", info=VOLATILE)


def unfinished(table: sa.Table) -> sa.ColumnElement[bool]:
    """True of sessions that are not Stopped: a few among very many, of which there is an index.

    The state is part of the statement's text, or the databases would not know that the index has them all.
    """
    stopped = sa.bindparam(None, SessionState.STOPPED, type_=table.c.state.type, literal_execute=True)
    return table.c.state != stopped
