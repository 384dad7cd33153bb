"""Metrics at ``/metrics``, as Prometheus reads them.

All but the requests are of the catalog, so they are the same on every worker and go on after a restart. What ended is
added up once: of each scrape only what ended since is read, but for the last minutes, in which a transaction may still
end a session at a moment that has passed.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from anyio import to_thread
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from sqlalchemy.engine import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from restorium import __version__
from restorium.catalog import audit, jobs, repositories, totals, webhooks, workers
from restorium.catalog.listing import Row, Visibility
from restorium.catalog.tables import job_sessions, restore_sessions
from restorium.flows import logons
from restorium.flows.engine import Engine
from restorium.native.errors import respond
from restorium.native.exchange import Endpoint
from restorium.native.roles import MONITORS
from restorium.native.tokens import authenticate
from restorium.vocabulary.errors import AccessDenied, NotAuthenticated, RestoriumError
from restorium.vocabulary.sessions import SessionResult
from restorium.vocabulary.webhooks import DeliveryState

FACES = ("api", "v1", "metrics", "reference")
"""The first part of paths that are counted by it; all else is the page."""
_FRESH_SECONDS = 5.0
_SETTLED = timedelta(minutes=10)
"""Whatever ended longer ago is committed: no transaction that ends a session takes so long."""
_LIMITS = [*(str(float(limit)) for limit in totals.BUCKETS), "+Inf"]
_GOOD = (SessionResult.SUCCESS, SessionResult.WARNING)
_HINT = (
    "Send the name and password of a Portal User by HTTP Basic, or the token of the setting metrics.token."
)


Answered = Counter[tuple[str, int]]
"""How many requests were answered, by face and status."""


class Counting:
    """An application whose answers are counted."""

    def __init__(self, app: ASGIApp, answered: Answered) -> None:
        self._app = app
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        first = scope["path"].split("/", 2)[1]
        face = first if first in FACES else "page"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._answered[face, message["status"]] += 1
            await send(message)

        await self._app(scope, receive, counted)


def endpoint(engine: Engine, answered: Answered) -> Endpoint:
    """What to serve at ``/metrics``. answered: by this process."""
    registry = CollectorRegistry(auto_describe=False)
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    registry.register(_Catalog(engine, answered))

    def answer(request: Request) -> Response:
        _admit(engine, request)
        encode, media_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(registry), headers={"Content-Type": media_type, "Cache-Control": "no-store"})

    async def serve(request: Request) -> Response:
        try:
            return await to_thread.run_sync(answer, request)
        except NotAuthenticated as error:
            return respond(error, headers={"WWW-Authenticate": 'Basic realm="Restorium metrics"'})
        except RestoriumError as error:
            return respond(error)

    return serve


def _admit(engine: Engine, request: Request) -> None:
    """Raises NotAuthenticated, AccessDenied."""
    settings = engine.settings.metrics
    if settings.access == "open":
        return
    scheme, _, credential = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = settings.token
        if token is not None and hmac.compare_digest(
            credential.strip().encode(), token.get_secret_value().encode()
        ):
            return
        account = authenticate(engine, request).account
    elif scheme.lower() == "basic":
        name, password = _basic(credential)
        address = request.client.host if request.client else ""
        account = logons.known(engine, name, password, address=address, operation="native GET /metrics")
    else:
        raise NotAuthenticated("the request carries no credentials", hint=_HINT)
    if not MONITORS & account.roles:
        raise AccessDenied(f"{account.name} may not read metrics")


def _basic(credential: str) -> tuple[str, str]:
    try:
        name, _, password = base64.b64decode(credential.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise NotAuthenticated("the Authorization header cannot be read", hint=_HINT) from None
    return name, password


class _Spread:
    """Durations of what ended alike."""

    def __init__(self) -> None:
        self.counts = [0] * len(_LIMITS)
        self.microseconds = 0
        self.bytes = 0

    def add(self, row: Row) -> None:
        self.counts[row.bucket] += row.total
        self.microseconds += row.microseconds
        self.bytes += getattr(row, "bytes", 0)

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """Each limit with how many took no longer."""
        return [(limit, float(sum(self.counts[: place + 1]))) for place, limit in enumerate(_LIMITS)]


class _Ended:
    """What ended until a moment."""

    def __init__(self) -> None:
        self.until: datetime | None = None
        self.restores: dict[tuple[str, str], _Spread] = {}
        self.runs: dict[tuple[UUID | None, str], _Spread] = {}
        self.good: dict[UUID | None, datetime] = {}

    def advance(self, connection: Connection, until: datetime) -> None:
        """Add what ended after that."""
        for row in totals.restores_ended(connection, self.until, until):
            self.restores.setdefault((row.kind, row.result), _Spread()).add(row)
        for row in totals.runs_ended(connection, self.until, until):
            self.runs.setdefault((row.job_id, row.result), _Spread()).add(row)
            if row.result in _GOOD:
                self.good[row.job_id] = max(row.ended_at, self.good.get(row.job_id, row.ended_at))
        self.until = until


class _Catalog:
    """Metrics of the catalog, at most five seconds old."""

    def __init__(self, engine: Engine, answered: Answered) -> None:
        self._engine = engine
        self._answered = answered
        self._settled = _Ended()
        self._known: list[Metric] = []
        self._fresh_until = float("-inf")
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            moment = self._engine.clock.monotonic()
            if moment >= self._fresh_until:
                self._known = self._read()
                self._fresh_until = moment + _FRESH_SECONDS
            known = self._known
        yield from known
        requests = CounterMetricFamily(
            "restorium_http_requests", "Answers of this process.", labels=["face", "status"]
        )
        for (face, status), count in sorted(self._answered.items()):
            requests.add_metric([face, str(status)], count)
        yield requests

    def _read(self) -> list[Metric]:
        now = self._engine.clock.now()
        with self._engine.database.read() as connection:
            self._settled.advance(connection, now - _SETTLED)
            ended = deepcopy(self._settled)
            ended.advance(connection, now)
            names = {
                row.id: row.name for row in jobs.listing.stream(connection, visible=Visibility.everything())
            }
            return [
                *_restores(connection, ended, now),
                *_runs(connection, ended, names),
                *_rest(connection),
            ]


def _restores(connection: Connection, ended: _Ended, now: datetime) -> Iterator[Metric]:
    open_sessions = totals.unfinished(connection, restore_sessions)
    yield _gauge(
        "restorium_restores_unfinished",
        "Restores that have not ended.",
        ["state"],
        (([row.state], row.total) for row in open_sessions),
    )
    oldest = min((row.created_at for row in open_sessions), default=now)
    yield _gauge(
        "restorium_restores_oldest_unfinished_seconds",
        "How long ago the oldest restore began that has not ended; 0 if there is none.",
        [],
        [([], (now - oldest).total_seconds())],
    )
    by_kind = ["kind", "result"]
    taken = HistogramMetricFamily(
        "restorium_restore_duration_seconds", "How long restores took that have ended.", labels=by_kind
    )
    count = CounterMetricFamily("restorium_restores", "Restores that have ended.", labels=by_kind)
    size = CounterMetricFamily("restorium_restored_bytes", "Data that restores wrote.", labels=by_kind)
    for (kind, result), spread in sorted(ended.restores.items()):
        taken.add_metric([kind, result], spread.buckets, spread.microseconds / 1e6)
        count.add_metric([kind, result], sum(spread.counts))
        size.add_metric([kind, result], spread.bytes)
    yield from (taken, count, size)


def _runs(connection: Connection, ended: _Ended, names: dict[UUID, str]) -> Iterator[Metric]:
    yield _gauge(
        "restorium_job_runs_unfinished",
        "Runs of jobs that have not ended.",
        ["state"],
        (([row.state], row.total) for row in totals.unfinished(connection, job_sessions)),
    )
    count = CounterMetricFamily(
        "restorium_job_runs",
        "Runs of jobs that have ended; of no job, those of none.",
        labels=["job", "result"],
    )
    sums: Counter[tuple[str, str]] = Counter()
    for (job_id, result), spread in ended.runs.items():
        if job_id is None or job_id in names:
            sums["" if job_id is None else names[job_id], result] += sum(spread.counts)
    for (job, result), total in sorted(sums.items()):
        count.add_metric([job, result], total)
    yield count
    yield _gauge(
        "restorium_job_last_success_timestamp_seconds",
        "When a job's last run that made a restore point ended, as Unix time; 0 if none did.",
        ["job"],
        (
            ([name], ended.good[job_id].timestamp() if job_id in ended.good else 0)
            for job_id, name in sorted(names.items(), key=lambda pair: pair[1])
        ),
    )


def _rest(connection: Connection) -> Iterator[Metric]:
    yield _gauge("restorium_info", "This server.", ["version"], [([__version__], 1)])
    alive = len(workers.list_all(connection))
    yield _gauge("restorium_workers", "Processes that carry out restores and backups.", [], [([], alive)])
    stores = list(repositories.listing.stream(connection, visible=Visibility.everything()))
    for column, about in (
        ("capacity", "How large a repository may grow"),
        ("free", "How much room is left in a repository"),
    ):
        yield _gauge(
            f"restorium_repository_{column}_bytes",
            f"{about}, where that is known.",
            ["repository"],
            (
                ([row.name], getattr(row, f"{column}_bytes"))
                for row in stores
                if getattr(row, f"{column}_bytes") >= 0
            ),
        )
    counts = webhooks.counts(connection)
    yield _gauge(
        "restorium_webhook_deliveries",
        "Deliveries of webhooks of the last 30 days.",
        ["state"],
        (([state], counts.get(state, 0)) for state in DeliveryState),
    )
    head = audit.head(connection)
    entries = CounterMetricFamily("restorium_audit_entries", "Entries of the audit log.")
    entries.add_metric([], 0 if head is None else head.number)
    yield entries


def _gauge(
    name: str, about: str, labels: list[str], values: Iterable[tuple[list[Any], float]]
) -> GaugeMetricFamily:
    made = GaugeMetricFamily(name, about, labels=labels)
    for told, value in values:
        made.add_metric([str(each) for each in told], value)
    return made
