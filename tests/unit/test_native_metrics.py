"""Metrics: what they count, on either database and after a restart, and who may read them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
import yaml
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as parsed
from starlette.applications import Starlette
from starlette.routing import Route

from restorium.catalog.database import Database
from restorium.catalog.tables import restore_sessions
from restorium.flows import restore
from restorium.flows import webhooks as webhook_flows
from restorium.flows.engine import Engine
from restorium.native import metrics
from restorium.settings import MetricsSettings
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import RestoreKind, SessionResult, SessionState
from restorium.vocabulary.webhooks import Event
from tests.support.clock import ManualClock
from tests.support.em import PASSWORD, Site, populate, site
from tests.support.native import NativeClient

_ALERTS = Path(__file__).parents[2] / "docs" / "alerts.yml"
_OPEN = MetricsSettings(access="open")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def full(database: Database, tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    with site(database, tmp_path, clock, metrics=_OPEN, webhooks={"targets": "any"}) as made:
        made.add_account("monitor", [Role.PORTAL_USER])
        made.add_account("operator", [Role.VM_RESTORE_OPERATOR])
        yield populate(made, clock)


def _client(engine: Engine) -> NativeClient:
    """Of metrics as a process that has just been started gives them."""
    answered = metrics.Answered()
    app = Starlette(routes=[Route("/metrics", metrics.endpoint(engine, answered))])
    return NativeClient(metrics.Counting(app, answered))


def _samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parsed(text)
        for sample in family.samples
    }


def _read(client: NativeClient, clock: ManualClock) -> Samples:
    clock.advance(6)  # what was read before is no longer fresh
    return _samples(client.get("/metrics").text)


def _value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def _ended(full: Site, seconds: float, at: datetime, result: SessionResult = SessionResult.SUCCESS) -> None:
    """A restore that took so long, and ended then."""
    table = restore_sessions
    with full.database.write() as connection:
        row = connection.execute(sa.select(table).limit(1)).one()._asdict()
        connection.execute(
            sa.insert(table).values(
                row
                | {
                    "id": full.engine.clock.new_id(),
                    "created_at": at - timedelta(seconds=seconds),
                    "ended_at": at,
                    "state": SessionState.STOPPED,
                    "result": result,
                    "done_bytes": 1000,
                    "idempotency_key": None,
                }
            )
        )


_VM = {"kind": RestoreKind.VM.value}


def test_sessions_are_counted_with_how_long_they_took(full: Site, clock: ManualClock) -> None:
    client = _client(full.engine)
    before = _read(client, clock)
    assert _value(before, "restorium_restores_total", **_VM, result="Success") == 2
    assert _value(before, "restorium_restores_unfinished", state="Starting") == 2
    now = clock.now()
    for seconds in (0.5, 60, 61, 90_000):
        _ended(full, seconds, now, SessionResult.WARNING)
    with full.database.read() as connection:
        waits: UUID = (
            connection.execute(
                sa.select(restore_sessions.c.id).where(restore_sessions.c.state == SessionState.STARTING)
            )
            .scalars()
            .all()[0]
        )
    restore.cancel(full.engine, waits)
    after = _read(client, clock)
    assert _value(after, "restorium_restores_total", **_VM, result="Failed") == 1
    assert _value(after, "restorium_restores_unfinished", state="Starting") == 1
    assert _value(after, "restorium_restores_oldest_unfinished_seconds") > 0
    warned = {**_VM, "result": "Warning"}
    assert _value(after, "restorium_restored_bytes_total", **warned) == 4000
    name = "restorium_restore_duration_seconds"
    buckets = [_value(after, f"{name}_bucket", **warned, le=le) for le in ("1.0", "60.0", "300.0", "+Inf")]
    assert buckets == [1, 2, 3, 4]
    assert _value(after, f"{name}_sum", **warned) == 90_121.5
    assert _value(after, "restorium_job_runs_total", job="job east", result="Success") == 1
    assert _value(after, "restorium_job_last_success_timestamp_seconds", job="job west") > 0
    assert _value(after, "restorium_repository_capacity_bytes", repository="store east") == 10**12


@pytest.mark.slow
def test_what_is_added_up_bit_by_bit_is_what_a_restarted_process_finds(
    full: Site, clock: ManualClock
) -> None:
    client = _client(full.engine)
    for step in range(6):
        clock.advance(240)
        _ended(full, step * 100, clock.now())
        _ended(full, step, clock.now() - timedelta(seconds=300))  # a transaction that committed late
        found, anew = _read(client, clock), _samples(_client(full.engine).get("/metrics").text)
        assert {key: found[key] for key in found if "restore" in key[0]} == {
            key: anew[key] for key in anew if "restore" in key[0]
        }
    assert _value(found, "restorium_restores_total", **_VM, result="Success") == 14


@pytest.mark.slow
def test_scrapes_in_a_row_read_the_catalog_once(
    full: Site, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = _client(full.engine)
    _read(client, clock)
    monkeypatch.setattr(full.engine.database, "read", None)
    assert client.get("/metrics").status_code == 200


@pytest.mark.slow
def test_webhooks_and_the_audit_log_are_counted(full: Site, clock: ManualClock) -> None:
    made, _ = webhook_flows.add(full.engine, "http://127.0.0.1:1/", [Event.RESTORE_FAILED], None)
    webhook_flows.try_out(full.engine, made.id)
    samples = _read(_client(full.engine), clock)
    assert _value(samples, "restorium_webhook_deliveries", state="Pending") == 1
    assert _value(samples, "restorium_webhook_deliveries", state="Failed") == 0
    assert _value(samples, "restorium_audit_entries_total") == 0


@pytest.mark.slow
def test_requests_are_counted_by_face_and_status(full: Site, clock: ManualClock) -> None:
    client = _client(full.engine)
    client.get("/nothing")
    client.get("/metrics")
    samples = _read(client, clock)
    assert _value(samples, "restorium_http_requests_total", face="page", status="404") == 1
    assert _value(samples, "restorium_http_requests_total", face="metrics", status="200") == 1


@pytest.mark.slow
def test_open_metrics_are_given_to_those_who_ask(full: Site) -> None:
    answer = _client(full.engine).request("GET", "/metrics", {"Accept": "application/openmetrics-text"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    families: list[Metric] = list(open_metrics(answer.text))
    assert "restorium_restores" in {family.name for family in families}


def test_those_alone_read_metrics_who_may(database: Database, tmp_path: Path, clock: ManualClock) -> None:
    limits = MetricsSettings(token="a scraper's token")  # type: ignore[arg-type]  # as a file has it
    with site(database, tmp_path, clock, metrics=limits) as made:
        made.add_account("monitor", [Role.PORTAL_USER])
        made.add_account("operator", [Role.VM_RESTORE_OPERATOR])
        client = _client(made.engine)

        def asked(authorization: str | None) -> httpx.Response:
            headers = {} if authorization is None else {"Authorization": authorization}
            return client.request("GET", "/metrics", headers)

        def basic(name: str, password: str) -> str:
            return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()

        for refused in (
            None,
            "Bearer",
            "Bearer a scraper's",
            "Bearer 00000000-0000-4000-8000-000000000000",
            "Basic !",
            basic("monitor", "guess"),
        ):
            answer = asked(refused)
            assert (answer.status_code, "restorium_" in answer.text) == (401, False), refused
            assert answer.headers["WWW-Authenticate"].startswith("Basic")
        assert asked(basic("operator", PASSWORD)).status_code == 403
        assert asked(basic("monitor", PASSWORD)).status_code == 200
        assert asked("Bearer a scraper's token").status_code == 200


def test_alert_rules_name_metrics_that_there_are(full: Site) -> None:
    text = _client(full.engine).get("/metrics").text
    known = {name for name, _ in _samples(text)} | {"restorium_http_requests_total"}
    rules: list[dict[str, Any]] = yaml.safe_load(_ALERTS.read_text())["groups"][0]["rules"]
    assert len(rules) >= 5
    for rule in rules:
        named = set(re.findall(r"restorium_\w+", rule["expr"]))
        assert named <= known, rule
        assert rule["annotations"]["summary"]
