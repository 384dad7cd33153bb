"""What a connection brings along besides the database: the clock, the guard of the logon, what is known of lists."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy.engine import Connection

if TYPE_CHECKING:
    from restorium.catalog.credentials import CredentialGuard
    from restorium.catalog.places import Places
    from restorium.vocabulary.clock import Clock

CLOCK = "restorium_clock"
GUARD = "restorium_guard"
PLACES = "restorium_places"
BRIEF = "restorium_brief"


def now(connection: Connection) -> datetime:
    """The present moment by the clock that the database was opened with."""
    clock: Clock = connection.get_execution_options()[CLOCK]
    return clock.now()


def new_id(connection: Connection) -> UUID:
    """A new identifier, unguessable with the system's clock."""
    clock: Clock = connection.get_execution_options()[CLOCK]
    return clock.new_id()


def guard(connection: Connection) -> CredentialGuard:
    """The guard that all connections of one opened database share."""
    found: CredentialGuard = connection.get_execution_options()[GUARD]
    return found


def has_begun(connection: Connection) -> bool:
    """Whether the connection has its snapshot or transaction already; that of a brief read is the driver's alone."""
    return connection.in_transaction() or BRIEF in connection.get_execution_options()


def only_reads(connection: Connection) -> bool:
    """Whether what is found by the connection is committed."""
    return PLACES in connection.get_execution_options()


def places(connection: Connection) -> Places | None:
    """What is known of lists; None in a transaction, whose changes may still be taken back."""
    found: Places | None = connection.get_execution_options().get(PLACES)
    return found
