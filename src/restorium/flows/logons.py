"""Logging on and off, through either API, and the record of it."""

from __future__ import annotations

from uuid import UUID

from restorium.catalog import accounts, logons
from restorium.catalog.accounts import Account
from restorium.flows import audit, mounts
from restorium.flows.audit import Act
from restorium.flows.engine import Engine
from restorium.vocabulary.errors import NotAuthenticated, TooManyLogons


def log_on(engine: Engine, name: str, password: str, *, address: str, operation: str) -> tuple[UUID, Account]:
    """A token for a name and a password, and whose it is. Raises NotAuthenticated."""
    account = known(engine, name, password, address=address, operation=operation)
    with engine.database.write() as connection:
        logons.sweep(connection, engine.settings.em.logon_idle)
        token = logons.open(connection, account.id)
        audit.note(connection, Act(operation, account.name, address))
    return token, account


def known(engine: Engine, name: str, password: str, *, address: str, operation: str) -> Account:
    """Whose name and password these are. That they are nobody's is recorded. Raises NotAuthenticated.

    The record names the account only if there is one: people write their password where the name belongs. Tries that
    are refused unseen, after too many, are not recorded, or whoever makes them could fill the disk.
    """
    try:
        with engine.database.read() as connection:
            return accounts.verify(connection, name, password, address=address)
    except TooManyLogons:
        raise
    except NotAuthenticated as error:
        with engine.database.read() as connection:
            actor = accounts.called(connection, name)
        audit.refused(engine, Act(operation, actor, address), error)
        raise


def log_off(engine: Engine, token: UUID, act: Act) -> None:
    """End a token, and the mounts that it holds."""
    with engine.database.write() as connection:
        logons.close(connection, token)
        audit.note(connection, act)
    mounts.end_forsaken(engine)
