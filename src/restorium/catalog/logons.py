"""Logon sessions: opened by a password, found by their token, closed or forgotten after idling.

The token is a random GUID that only its holder knows; the database keeps its hash. A session's last use is
written at most every thirtieth of the idle time, so that reads stay reads; it therefore ends after the idle
time at the earliest and a thirtieth later at the latest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog.accounts import Account
from restorium.catalog.prepared import Prepared
from restorium.catalog.surroundings import new_id, now
from restorium.catalog.tables import account_roles, accounts, logon_sessions
from restorium.vocabulary.roles import Role

_WRITES_AN_IDLE_TIME = 30


@dataclass(frozen=True, slots=True)
class Logon:
    """Who is logged on. ``token_hash`` names the session towards ``tasks``; ``due`` asks for a ``touch``."""

    token_hash: bytes
    account: Account
    created_at: datetime
    due: bool


def open(connection: Connection, account_id: UUID) -> UUID:
    """Open a session and give its token."""
    token = new_id(connection)
    at = now(connection)
    connection.execute(
        sa.insert(logon_sessions).values(
            token_hash=_hash(token), account_id=account_id, created_at=at, last_seen_at=at, last_task=0
        )
    )
    return token


def find(connection: Connection, token: UUID, idle: timedelta) -> Logon | None:
    """The session of that token with its account, unless it has idled for longer than ``idle``."""
    rows = _FIND.all(connection, {"token": _hash(token)})
    if not rows:
        return None
    row = rows[0]
    silent = now(connection) - row.last_seen_at
    if silent > idle + idle / _WRITES_AN_IDLE_TIME:
        return None
    roles = frozenset(Role(each.role) for each in rows if each.role is not None)
    account = Account(row.account_id, row.name, roles, row.restore_all, row.account_created_at)
    return Logon(row.token_hash, account, row.created_at, due=silent > idle / _WRITES_AN_IDLE_TIME)


def touch(connection: Connection, logon: Logon) -> None:
    """Note that the session is in use. Call it when ``logon.due``."""
    connection.execute(
        sa.update(logon_sessions)
        .where(logon_sessions.c.token_hash == logon.token_hash)
        .values(last_seen_at=now(connection))
    )


def close(connection: Connection, token: UUID) -> bool:
    """End a session and its tasks; False if there is none."""
    gone = connection.execute(sa.delete(logon_sessions).where(logon_sessions.c.token_hash == _hash(token)))
    return gone.rowcount == 1


def sweep(connection: Connection, idle: timedelta) -> int:
    """Remove the sessions that have idled for too long, with their tasks; gives how many."""
    limit = now(connection) - idle - idle / _WRITES_AN_IDLE_TIME
    return connection.execute(sa.delete(logon_sessions).where(logon_sessions.c.last_seen_at < limit)).rowcount


def _hash(token: UUID) -> bytes:
    return hashlib.sha256(token.bytes).digest()


_FIND = Prepared(
    sa.select(
        *logon_sessions.columns,
        accounts.c.name,
        accounts.c.restore_all,
        accounts.c.created_at.label("account_created_at"),
        account_roles.c.role,
    )
    .select_from(
        logon_sessions.join(accounts, accounts.c.id == logon_sessions.c.account_id).outerjoin(
            account_roles, account_roles.c.account_id == accounts.c.id
        )
    )
    .where(logon_sessions.c.token_hash == sa.bindparam("token", type_=sa.LargeBinary))
)
