"""Webhooks: telling others when sessions begin and end, as Standard Webhooks describes it.

What there is to tell is written in the transaction in which it happens, so nothing is told that did not happen, and
nothing is forgotten. Any worker sends it: it claims a delivery for as long as an attempt can take, so two do not send
it both, unless one dies in between. A receiver gets each at least once; its id tells repetitions.

Sending goes on in a thread of its own, that is there while something is due. A receiver that hangs takes up nobody's
place but its own.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import ssl
import threading
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.engine import Connection

from restorium import __version__
from restorium.catalog import webhooks as rows
from restorium.catalog.listing import Row
from restorium.flows.durable import Interrupted
from restorium.flows.engine import Engine
from restorium.flows.webhook_targets import read_url, resolve
from restorium.vocabulary.errors import Conflict, DatabaseUnavailable, InvalidInput, RestoriumError
from restorium.vocabulary.sessions import SessionResult
from restorium.vocabulary.webhooks import TEST, Event

_log = structlog.get_logger(__name__)

Kind = Literal["restore", "job", "drill"]

AGAIN = tuple(timedelta(seconds=seconds) for seconds in (5, 60, 300, 1800, 7200, 18000, 36000, 50400, 72000))
"""After which a delivery that failed is tried again, each time once; then it is given up, two days after the first."""
ATTEMPT_SECONDS = 15.0
"""For all of an attempt: finding the address, connecting, sending, and the answer's status."""
_LEASE = timedelta(seconds=60)
_AT_ONCE = 16
_LOOK_SECONDS = 0.5
_KEPT = timedelta(days=30)
_FORGET_SECONDS = 3600.0
_PREFIX = "whsec_"
_SECRET_BYTES = range(24, 65)
_MOST_CHARACTERS = 500

_SESSION = ("id", "name", "state", "result", "created_at", "ended_at", "requested_by")
_MEMBERS: dict[Kind, tuple[str, ...]] = {
    "restore": (*_SESSION, "progress", "vm_name", "planned_bytes", "done_bytes"),
    "job": (*_SESSION, "progress", "job_id"),
    "drill": (*_SESSION, "plan_id", "plan_name", "objective_seconds"),
}
_PATHS: dict[Kind, str] = {
    "restore": "/v1/restore-sessions",
    "job": "/v1/job-sessions",
    "drill": "/v1/drill-runs",
}


def add(engine: Engine, url: str, events: Sequence[Event], secret: str | None) -> tuple[Row, str]:
    """Keep a webhook; gives it with its secret, a new one if none is given. Raises InvalidInput."""
    read_url(url, engine.settings.webhooks.targets)
    raw = secrets.token_bytes(32) if secret is None else _read_secret(secret)
    key = engine.clock.new_id()
    with engine.database.write() as connection:
        made = rows.add(
            connection, key, url=url, events=_chosen(events), secret=engine.secrets.seal(key, raw)
        )
    return made, _shown(raw)


def change(
    engine: Engine,
    webhook_id: UUID,
    *,
    url: str | None = None,
    events: Sequence[Event] | None = None,
    enabled: bool | None = None,
) -> None:
    """Change what is not None. Raises NotFound, InvalidInput."""
    values: dict[str, Any] = {}
    if url is not None:
        read_url(url, engine.settings.webhooks.targets)
        values["url"] = url
    if events is not None:
        values["events"] = _chosen(events)
    if enabled is not None:
        values["enabled"] = enabled
    with engine.database.write() as connection:
        rows.get(connection, webhook_id)
        if values:
            rows.change(connection, webhook_id, values)


def rotate(engine: Engine, webhook_id: UUID) -> str:
    """Sign with a new secret from now on; gives it. Raises NotFound."""
    raw = secrets.token_bytes(32)
    with engine.database.write() as connection:
        rows.change(connection, webhook_id, {"secret": engine.secrets.seal(webhook_id, raw)})
    return _shown(raw)


def try_out(engine: Engine, webhook_id: UUID) -> Row:
    """Send a webhook something to see whether it arrives; gives the delivery. Raises NotFound, Conflict."""
    with engine.database.write() as connection:
        webhook = rows.get(connection, webhook_id)
        if not webhook.enabled:
            raise Conflict(f"the webhook {webhook_id} is not enabled", hint="Enable it first.")
        return _enqueue(engine, connection, webhook_id, TEST, {})


def tell(
    engine: Engine, connection: Connection, kind: Kind, moment: Literal["started", "stopped"], session: Row
) -> None:
    """Put into the outbox what this transaction does to a session, for all that want to know of it."""
    happened = Event(f"{kind}.{moment}")
    failed = moment == "stopped" and session.result is SessionResult.FAILED
    named = [Event(f"{kind}.failed"), happened] if failed else [happened]
    data: dict[str, Any] | None = None
    for webhook in rows.enabled(connection):
        event = next((each for each in named if each in webhook.events), None)
        if event is not None:
            data = data or _data(kind, session)
            _enqueue(engine, connection, webhook.id, event, data)


def send_due(engine: Engine) -> None:
    """Send what is due, until nothing is. Raises Interrupted once the process stops."""
    with engine.running():
        asyncio.run(_send_due(engine))


def signed(secret: bytes, delivery_id: UUID, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers by which a receiver knows who sends what it gets."""
    content = f"{delivery_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
    return {
        "webhook-id": str(delivery_id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


class Sending:
    """What the engine's beat calls beside the kinds of sessions."""

    def __init__(self) -> None:
        self._running: threading.Thread | None = None
        self._forget_next = 0.0

    def reconcile(self, engine: Engine) -> None:
        """Begin to send if something is due and nothing is being sent; forget old deliveries now and then."""
        if self._running is not None and self._running.is_alive():
            return
        with engine.database.read() as connection:
            due = rows.is_due(connection)
        if due:
            self._running = threading.Thread(target=_beside, args=(engine,), name="webhooks", daemon=True)
            self._running.start()
        elif engine.clock.monotonic() >= self._forget_next:
            self._forget_next = engine.clock.monotonic() + _FORGET_SECONDS
            with engine.database.write() as connection:
                rows.forget(connection, _KEPT)


def _beside(engine: Engine) -> None:
    with suppress(Interrupted):
        try:
            send_due(engine)
        except Exception as error:  # noqa: BLE001  nobody waits for this thread
            _log.warning("sending webhooks failed, and is tried again", error=repr(error))


async def _send_due(engine: Engine) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_AT_ONCE, "webhooks-lookup"))
    trust = ssl.create_default_context()
    busy: dict[UUID, asyncio.Task[None]] = {}
    while not engine.stopping.is_set():
        busy = {key: task for key, task in busy.items() if not task.done()}
        for delivery in _claim(engine, _AT_ONCE - len(busy), busy.keys()):
            busy[delivery.webhook_id] = asyncio.create_task(_attempt(engine, delivery, trust))
        if not busy:
            return
        await asyncio.wait(busy.values(), timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for task in busy.values():
        task.cancel()


def _claim(engine: Engine, most: int, without: Collection[UUID]) -> Sequence[Row]:
    if not most:
        return []
    with engine.database.read() as connection:
        if not rows.is_due(connection):
            return []
    with engine.database.write() as connection:
        return rows.claim(connection, _LEASE, most=most, without=without)


async def _attempt(engine: Engine, delivery: Row, trust: ssl.SSLContext) -> None:
    status, problem = None, None
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            status = await _post(engine, delivery, trust)
        if not 200 <= status < 300:
            problem = f"the receiver answered {status}"
    except TimeoutError:
        problem = f"the receiver did not answer within {ATTEMPT_SECONDS:g} seconds"
    except RestoriumError as error:
        problem = error.message
    except Exception as error:  # noqa: BLE001  whatever it is, it is told, and tried again
        problem = f"{type(error).__name__}: {error}"[:_MOST_CHARACTERS]
    last = delivery.attempts > len(AGAIN)
    again = None if last else AGAIN[delivery.attempts - 1]
    try:
        with engine.database.write() as connection:
            rows.record(connection, delivery, status=status, problem=problem, again=again)
    except DatabaseUnavailable as error:
        _log.warning("an attempt could not be noted and is made again", error=error.message)
        return
    if problem is not None:
        told = "a delivery is given up" if last else "a delivery failed and is tried again"
        _log.warning(
            told, webhook=str(delivery.webhook_id), delivery=str(delivery.id), attempt=delivery.attempts
        )


async def _post(engine: Engine, delivery: Row, trust: ssl.SSLContext) -> int:
    """The status of the answer, whose body is not read."""
    import httpx  # takes its time to load, and most servers have no webhook

    parts = read_url(delivery.url, engine.settings.webhooks.targets)
    address = await resolve(parts, engine.settings.webhooks.targets)
    body = delivery.body.encode()
    secret = engine.secrets.open(delivery.webhook_id, delivery.secret)
    named = httpx.URL(delivery.url)
    headers = {
        "Host": named.netloc.decode("ascii"),
        "Content-Type": "application/json",
        "User-Agent": f"Restorium/{__version__}",
        **signed(secret, delivery.id, int(engine.clock.now().timestamp()), body),
    }
    async with httpx.AsyncClient(
        verify=trust, trust_env=False, follow_redirects=False, timeout=ATTEMPT_SECONDS
    ) as client:
        request = client.build_request(
            "POST",
            named.copy_with(host=address),
            content=body,
            headers=headers,
            extensions={"sni_hostname": named.raw_host.decode("ascii")},
        )
        answer = await client.send(request, stream=True)
        await answer.aclose()
        return answer.status_code


def _enqueue(
    engine: Engine, connection: Connection, webhook_id: UUID, event: str, data: dict[str, Any]
) -> Row:
    key = engine.clock.new_id()
    body = {"id": key, "type": event, "timestamp": engine.clock.now(), "data": data}
    return rows.enqueue(connection, webhook_id, key, event, msgspec.json.encode(body).decode())


def _data(kind: Kind, session: Row) -> dict[str, Any]:
    shown = {member: getattr(session, member) for member in _MEMBERS[kind]}
    reason = None
    if session.reason_code is not None:
        reason = {"code": session.reason_code, "message": session.reason, "hint": session.hint}
    return {"session": {**shown, "reason": reason}, "path": f"{_PATHS[kind]}/{session.id}"}


def _chosen(events: Sequence[Event]) -> list[str]:
    if not events:
        raise InvalidInput("a webhook without events is told of nothing", hint="Name at least one event.")
    return [event for event in Event if event in events]


def _read_secret(text: str) -> bytes:
    try:
        raw = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not text.startswith(_PREFIX) or len(raw) not in _SECRET_BYTES:
        raise InvalidInput(
            "that is no secret of a webhook",
            hint=f"Write {_PREFIX} and 24 to 64 bytes in Base64, or leave it out.",
        )
    return raw


def _shown(raw: bytes) -> str:
    return _PREFIX + base64.b64encode(raw).decode()


Engine.register(Sending())
