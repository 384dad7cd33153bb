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
from restorium.catalog.surroundings import new_id, now, only_reads
from restorium.catalog.tables import account_roles, accounts, logon_sessions
from restorium.vocabulary.roles import Role

_WRITES_AN_IDLE_TIME = 30
_KNOWN, _MOST_KNOWN = "logons", 1000


@dataclass(frozen=True, slots=True)
class Logon:
    """Who is logged on. ``token_hash`` names the session towards ``tasks``; ``due`` asks for a ``touch``."""

    token_hash: bytes
    account: Account
    created_at: datetime
    due: bool


@dataclass(frozen=True, slots=True)
class _Found:
    token_hash: bytes
    account: Account
    created_at: datetime
    last_seen_at: datetime


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
    found = _found(connection, _hash(token))
    if found is None:
        return None
    silent = now(connection) - found.last_seen_at
    if silent > idle + idle / _WRITES_AN_IDLE_TIME:
        return None
    return Logon(found.token_hash, found.account, found.created_at, due=silent > idle / _WRITES_AN_IDLE_TIME)


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


def _found(connection: Connection, token_hash: bytes) -> _Found | None:
    """The session of that token.

    SQLite tells a connection whether another has changed anything since it last asked: what was found is good until
    then, to the moment.
    """
    if connection.dialect.name != "sqlite" or not only_reads(connection):
        return _look_up(connection, token_hash)
    version = _VERSION.all(connection, {})[0][0]
    known: tuple[int, dict[bytes, _Found | None]] = connection.info.get(_KNOWN, (-1, {}))
    if known[0] != version or len(known[1]) >= _MOST_KNOWN:
        known = connection.info[_KNOWN] = (version, {})
    if token_hash not in known[1]:
        known[1][token_hash] = _look_up(connection, token_hash)
    return known[1][token_hash]


def _look_up(connection: Connection, token_hash: bytes) -> _Found | None:
    rows = _FIND.all(connection, {"token": token_hash})
    if not rows:
        return None
    row = rows[0]
    roles = frozenset(Role(each.role) for each in rows if each.role is not None)
    account = Account(row.account_id, row.name, roles, row.restore_all, row.account_created_at)
    return _Found(row.token_hash, account, row.created_at, row.last_seen_at)


def _hash(token: UUID) -> bytes:
    return hashlib.sha256(token.bytes).digest()


_VERSION = Prepared(sa.select(sa.literal_column("data_version")).select_from(sa.text("pragma_data_version")))
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
