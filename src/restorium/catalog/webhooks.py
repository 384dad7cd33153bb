"""Webhooks, and the outbox of what they are to be told. ``flows`` seals their secrets before they come here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import rows
from restorium.catalog.listing import Row
from restorium.catalog.surroundings import now
from restorium.catalog.tables import webhook_deliveries, webhooks
from restorium.vocabulary.webhooks import DeliveryState

_KIND = "webhook"
_SENT = webhook_deliveries.c


def add(connection: Connection, webhook_id: UUID, *, url: str, events: list[str], secret: bytes) -> Row:
    """Keep a webhook with its sealed secret, into which the id is bound."""
    values = {"id": webhook_id, "url": url, "events": events, "enabled": True, "secret": secret}
    return rows.add(connection, webhooks, _KIND, values)


def get(connection: Connection, webhook_id: UUID) -> Row:
    """Raises NotFound."""
    return rows.get(connection, webhooks, _KIND, webhook_id)


def list_all(connection: Connection) -> Sequence[Row]:
    """All webhooks, the oldest first."""
    return connection.execute(sa.select(webhooks).order_by(webhooks.c.created_at, webhooks.c.id)).all()


def change(connection: Connection, webhook_id: UUID, values: Mapping[str, Any]) -> None:
    """Set columns. Raises NotFound."""
    rows.change(connection, webhooks, _KIND, webhook_id, values)


def remove(connection: Connection, webhook_id: UUID) -> None:
    """Remove a webhook with all its deliveries. Raises NotFound."""
    rows.remove(connection, webhooks, _KIND, webhook_id)


def enabled(connection: Connection) -> Sequence[Row]:
    """The webhooks that are told of anything: rows with id and events."""
    statement: sa.Select[Any] = sa.select(webhooks.c.id, webhooks.c.events).where(webhooks.c.enabled)
    return connection.execute(statement).all()


def enqueue(connection: Connection, webhook_id: UUID, delivery_id: UUID, event: str, body: str) -> Row:
    """Put a delivery into the outbox. It is due at once."""
    at = now(connection)
    values = {
        "id": delivery_id,
        "webhook_id": webhook_id,
        "event": event,
        "body": body,
        "created_at": at,
        "state": DeliveryState.PENDING,
        "attempts": 0,
        "next_attempt_at": at,
    }
    statement = sa.insert(webhook_deliveries).values(values).returning(*webhook_deliveries.columns)
    return connection.execute(statement).one()


def is_due(connection: Connection) -> bool:
    """Whether a delivery is to be sent now."""
    return rows.exists(connection, sa.and_(_SENT.next_attempt_at <= now(connection), _unpaused()))


def claim(
    connection: Connection, lease: timedelta, *, most: int, without: Collection[UUID] = ()
) -> Sequence[Row]:
    """Deliveries that the caller alone sends until ``lease`` is over, the oldest of each webhook.

    without: webhooks that are not to be sent to now. Rows have the webhook's url and secret too.
    """
    at = now(connection)
    due: sa.Select[Any] = (
        sa.select(_SENT.id, _SENT.webhook_id, _SENT.next_attempt_at)
        .where(_SENT.next_attempt_at <= at, _unpaused(), _SENT.webhook_id.not_in(without))
        .order_by(_SENT.next_attempt_at, _SENT.id)
        .limit(most * 8)
    )
    first: dict[UUID, Row] = {}
    for row in connection.execute(due):
        first.setdefault(row.webhook_id, row)
    mine = []
    for row in list(first.values())[:most]:
        taken = (
            sa.update(webhook_deliveries)
            .where(_SENT.id == row.id, _SENT.next_attempt_at == row.next_attempt_at)
            .values(next_attempt_at=at + lease, attempts=_SENT.attempts + 1)
        )
        if connection.execute(taken).rowcount:
            mine.append(row.id)
    whole: sa.Select[Any] = sa.select(
        *webhook_deliveries.columns, webhooks.c.url, webhooks.c.secret
    ).join_from(webhook_deliveries, webhooks)
    return connection.execute(whole.where(_SENT.id.in_(mine))).all()


def record(
    connection: Connection,
    delivery: Row,
    *,
    status: int | None,
    problem: str | None,
    again: timedelta | None = None,
) -> None:
    """Note what came of an attempt, unless its lease was over and another has begun one.

    problem: what went wrong, None if the receiver has taken it. again: after which it is tried once more, None if it is
    not.
    """
    at = now(connection)
    pending = problem is not None and again is not None
    state = DeliveryState.DELIVERED if problem is None else DeliveryState.FAILED
    connection.execute(
        sa.update(webhook_deliveries)
        .where(_SENT.id == delivery.id, _SENT.attempts == delivery.attempts)
        .values(
            state=DeliveryState.PENDING if pending else state,
            next_attempt_at=at + again if pending and again is not None else None,
            ended_at=None if pending else at,
            status=status,
            problem=problem,
        )
    )


def deliveries(connection: Connection, webhook_id: UUID, limit: int) -> Sequence[Row]:
    """Deliveries to a webhook, the newest first. Raises NotFound."""
    get(connection, webhook_id)
    return connection.execute(
        sa.select(webhook_deliveries)
        .where(_SENT.webhook_id == webhook_id)
        .order_by(_SENT.created_at.desc(), _SENT.id)
        .limit(limit)
    ).all()


def counts(connection: Connection) -> Mapping[DeliveryState, int]:
    """How many deliveries there are, by their state."""
    found = connection.execute(sa.select(_SENT.state, sa.func.count()).group_by(_SENT.state))
    return {row[0]: int(row[1]) for row in found}


def forget(connection: Connection, after: timedelta) -> int:
    """Remove deliveries that ended longer ago than that; gives how many."""
    old = _SENT.ended_at < now(connection) - after
    return connection.execute(sa.delete(webhook_deliveries).where(old)).rowcount


def _unpaused() -> sa.ColumnElement[bool]:
    """True of deliveries to webhooks that are enabled."""
    return _SENT.webhook_id.in_(sa.select(webhooks.c.id).where(webhooks.c.enabled))
