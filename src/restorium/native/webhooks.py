"""Webhooks: who is told when sessions begin and end, and what came of it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from restorium.catalog import webhooks as rows
from restorium.flows import webhooks as flows
from restorium.native.exchange import Items, show
from restorium.native.operation import Call, Operation
from restorium.native.roles import ADMINISTRATORS
from restorium.vocabulary.webhooks import DeliveryState, Event


class NewWebhook(msgspec.Struct, forbid_unknown_fields=True):
    """``secret``: ``whsec_`` and 24 to 64 bytes in Base64; null lets the server make one."""

    url: str
    events: list[Event]
    secret: str | None = None


class ChangedWebhook(msgspec.Struct, forbid_unknown_fields=True):
    """What is null stays."""

    url: str | None = None
    events: list[Event] | None = None
    enabled: bool | None = None


class Webhook(msgspec.Struct):
    id: UUID
    url: str
    events: list[Event]
    enabled: bool
    created_at: datetime


class NewSecret(msgspec.Struct):
    """What deliveries are signed with. It is shown this once."""

    id: UUID
    secret: str


class AddedWebhook(Webhook):
    """``secret`` is shown this once."""

    secret: str


class Delivery(msgspec.Struct):
    """``id`` is its header ``webhook-id``. ``status`` and ``problem`` are those of the last attempt."""

    id: UUID
    event: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    ended_at: datetime | None
    status: int | None
    problem: str | None


def _add(call: Call) -> AddedWebhook:
    new: NewWebhook = call.body
    made, secret = flows.add(call.engine, new.url, new.events, new.secret)
    return AddedWebhook(**msgspec.structs.asdict(show(made, Webhook)), secret=secret)


def _list(call: Call) -> Items[Webhook]:
    with call.engine.database.read() as connection:
        return Items([show(row, Webhook) for row in rows.list_all(connection)])


def _get(call: Call) -> Webhook:
    with call.engine.database.read() as connection:
        return show(rows.get(connection, call.id), Webhook)


def _change(call: Call) -> Webhook:
    new: ChangedWebhook = call.body
    flows.change(call.engine, call.id, url=new.url, events=new.events, enabled=new.enabled)
    return _get(call)


def _rotate(call: Call) -> NewSecret:
    """Sign with a new secret from now on, also what waits to be sent."""
    return NewSecret(call.id, flows.rotate(call.engine, call.id))


def _remove(call: Call) -> None:
    """Remove it with what waits to be sent."""
    with call.engine.database.write() as connection:
        rows.remove(connection, call.id)


def _try_out(call: Call) -> Delivery:
    """Send ``webhook.test``, to see whether it arrives."""
    return show(flows.try_out(call.engine, call.id), Delivery)


def _deliveries(call: Call) -> Items[Delivery]:
    """The newest first. They are kept for 30 days after their end."""
    with call.engine.database.read() as connection:
        return Items([show(row, Delivery) for row in rows.deliveries(connection, call.id, call.limit)])


_ONE = "/webhooks/{id}"

OPERATIONS = (
    Operation("GET", "/webhooks", _list, ADMINISTRATORS),
    Operation("POST", "/webhooks", _add, ADMINISTRATORS, body=NewWebhook, status=201),
    Operation("GET", _ONE, _get, ADMINISTRATORS),
    Operation("PATCH", _ONE, _change, ADMINISTRATORS, body=ChangedWebhook),
    Operation("DELETE", _ONE, _remove, ADMINISTRATORS, status=204),
    Operation("POST", f"{_ONE}/secret", _rotate, ADMINISTRATORS, status=201),
    Operation("POST", f"{_ONE}/test", _try_out, ADMINISTRATORS, status=202),
    Operation("GET", f"{_ONE}/deliveries", _deliveries, ADMINISTRATORS, query=("limit",)),
)
