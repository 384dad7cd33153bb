"""Webhooks: what is told, to whom, signed how, and what happens when nobody takes it."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from restorium.catalog import restore_sessions, webhooks
from restorium.catalog.database import Database
from restorium.catalog.listing import Compare, Row, Visibility
from restorium.cli.certificate import ensure_certificate
from restorium.flows import restore
from restorium.flows import webhooks as flows
from restorium.flows.webhook_targets import Targets, chosen
from restorium.native import app as native
from restorium.vocabulary.clock import SystemClock
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.sessions import SessionState
from restorium.vocabulary.webhooks import DeliveryState, Event
from tests.support.clock import ManualClock
from tests.support.em import PASSWORD, Site, populate, site
from tests.support.native import NativeClient
from tests.support.receivers import Receiver, receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def full(database: Database, tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    with site(database, tmp_path, clock, webhooks={"targets": "any"}) as made:
        yield populate(made, clock)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


def _subscribe(full: Site, url: str, *events: Event) -> UUID:
    made, _ = flows.add(full.engine, url, events or list(Event), SECRET)
    key: UUID = made.id
    return key


def _starting(full: Site) -> list[UUID]:
    with full.database.read() as connection:
        found = restore_sessions.listing.page(
            connection,
            where=Compare("state", "==", SessionState.STARTING),
            order=[("created_at", False)],
            visible=Visibility.everything(),
        )
    return [row.id for row in found]


def _fail(full: Site) -> UUID:
    """Let a restore end with Failed; gives its session."""
    session_id = _starting(full)[0]
    restore.cancel(full.engine, session_id)
    return session_id


def _deliveries(full: Site, webhook_id: UUID) -> list[Row]:
    with full.database.read() as connection:
        return list(webhooks.deliveries(connection, webhook_id, 100))


def test_failed_restore_is_told_signed_and_tried_again_with_the_same_id(
    full: Site, hook: Receiver, clock: ManualClock
) -> None:
    webhook = _subscribe(full, hook.url)
    hook.statuses = [503]
    session_id = _fail(full)
    flows.send_due(full.engine)
    [delivery] = _deliveries(full, webhook)
    assert (delivery.state, delivery.status, delivery.attempts) == (DeliveryState.PENDING, 503, 1)
    flows.send_due(full.engine)
    assert len(hook.got) == 1  # not before its time
    clock.advance(5)
    flows.send_due(full.engine)
    [delivery] = _deliveries(full, webhook)
    assert (delivery.state, delivery.status, delivery.problem) == (DeliveryState.DELIVERED, 204, None)
    first, second = hook.got
    assert first.is_signed_with(SECRET)
    assert second.is_signed_with(SECRET)
    assert not second.is_signed_with("whsec_" + SECRET[7:] + "A===")
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == str(delivery.id)
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 5
    assert first.body == second.body
    told = first.json
    assert (told["id"], told["type"]) == (str(delivery.id), "restore.failed")
    client = NativeClient(native.create(full.engine)).log_on("administrator", PASSWORD)
    shown = client.get(told["data"]["path"].removeprefix("/v1")).json()
    session = told["data"]["session"]
    assert session["id"] == str(session_id)
    assert session["reason"]["code"] == "cancelled"
    assert {name: shown[name] for name in session} == session


def test_receiver_checks_the_signature_as_the_integrator_s_guide_says(full: Site, hook: Receiver) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "integrators.md").read_text()
    [code] = [
        block for block in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "def genuine" in block
    ]
    names: dict[str, Any] = {}
    exec(code, names)
    _subscribe(full, hook.url)
    _fail(full)
    flows.send_due(full.engine)
    [got] = hook.got
    stamp = int(got.headers["webhook-timestamp"])
    names["time"] = SimpleNamespace(time=lambda: stamp + 5)
    assert names["genuine"](got.headers, got.body, SECRET)
    assert not names["genuine"](got.headers, got.body + b" ", SECRET)
    names["time"] = SimpleNamespace(time=lambda: stamp + 500)
    assert not names["genuine"](got.headers, got.body, SECRET)


@pytest.mark.slow
def test_each_is_told_what_it_asked_for(full: Site) -> None:
    failures = _subscribe(full, "http://127.0.0.1:1/", Event.RESTORE_FAILED, Event.RESTORE_STOPPED)
    ends = _subscribe(full, "http://127.0.0.1:1/", Event.RESTORE_STOPPED)
    others = _subscribe(full, "http://127.0.0.1:1/", Event.JOB_FAILED, Event.RESTORE_STARTED)
    asleep = _subscribe(full, "http://127.0.0.1:1/")
    flows.change(full.engine, asleep, enabled=False)
    _fail(full)
    assert [row.event for row in _deliveries(full, failures)] == ["restore.failed"]
    assert [row.event for row in _deliveries(full, ends)] == ["restore.stopped"]
    assert _deliveries(full, others) == _deliveries(full, asleep) == []


def test_what_did_not_happen_is_not_told(full: Site) -> None:
    webhook = _subscribe(full, "http://127.0.0.1:1/")
    with full.database.read() as connection:
        session = restore_sessions.get(connection, _starting(full)[0])
    with pytest.raises(ZeroDivisionError), full.database.write() as connection:
        flows.tell(full.engine, connection, "restore", "started", session)
        raise ZeroDivisionError
    assert _deliveries(full, webhook) == []


@pytest.mark.slow
def test_delivery_is_given_up_after_two_days(full: Site, hook: Receiver, clock: ManualClock) -> None:
    webhook = _subscribe(full, hook.url)
    _fail(full)
    hook.statuses = [500] * 20
    for pause in (*flows.AGAIN, timedelta(days=9)):
        flows.send_due(full.engine)
        clock.advance(pause.total_seconds())
    flows.send_due(full.engine)
    [delivery] = _deliveries(full, webhook)
    assert (delivery.state, delivery.attempts, len(hook.got)) == (DeliveryState.FAILED, 10, 10)
    assert delivery.problem == "the receiver answered 500"
    assert delivery.ended_at - delivery.created_at == sum(flows.AGAIN, timedelta())
    with full.database.write() as connection:
        assert webhooks.forget(connection, timedelta(days=30)) == 0
        clock.advance(40 * 86400)
        assert webhooks.forget(connection, timedelta(days=30)) == 1


@pytest.mark.slow
def test_redirect_is_not_followed(full: Site, hook: Receiver) -> None:
    webhook = _subscribe(full, hook.url)
    hook.statuses = [307]
    _fail(full)
    flows.send_due(full.engine)
    assert [got.path for got in hook.got] == ["/hook"]
    assert _deliveries(full, webhook)[0].problem == "the receiver answered 307"


@pytest.mark.slow
def test_receiver_that_hangs_delays_no_other(
    full: Site, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows, "ATTEMPT_SECONDS", 0.7)
    with receiver() as hanging:
        hanging.hangs = True
        stuck = _subscribe(full, hanging.url)
        _subscribe(full, hook.url)
        for _ in range(2):
            _fail(full)
        sending = threading.Thread(target=flows.send_due, args=(full.engine,))
        begun = time.monotonic()
        sending.start()
        sending.join(30)
        assert not sending.is_alive()
        assert len(hook.got) == 2
        assert time.monotonic() - begun < 5
        problems = {row.problem for row in _deliveries(full, stuck)}
        assert problems == {"the receiver did not answer within 0.7 seconds"}


@pytest.mark.slow
def test_one_worker_alone_sends_until_it_is_given_up_for_dead(full: Site, clock: ManualClock) -> None:
    _subscribe(full, "http://127.0.0.1:1/")
    _fail(full)
    lease = timedelta(seconds=60)

    def claim() -> list[Row]:
        with full.database.write() as connection:
            return list(webhooks.claim(connection, lease, most=5))

    taken: list[Row] = []
    threads = [threading.Thread(target=lambda: taken.extend(claim())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    clock.advance(59)
    assert claim() == []
    clock.advance(2)
    [again] = claim()
    assert (again.id, again.attempts) == (taken[0].id, 2)
    with full.database.write() as connection:  # the first comes back to life, too late
        webhooks.record(connection, taken[0], status=200, problem=None)
    assert _deliveries(full, again.webhook_id)[0].state is DeliveryState.PENDING


@pytest.mark.slow
def test_certificate_of_the_receiver_is_checked(
    full: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    ensure_certificate(certificate, key, listen_host="127.0.0.1", now=SystemClock().now())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with receiver(context) as hook:
        webhook = _subscribe(full, f"https://localhost:{hook.port}/hook")
        _fail(full)
        flows.send_due(full.engine)
        assert hook.got == []
        assert "certificate verify failed" in _deliveries(full, webhook)[0].problem
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        clock.advance(5)
        flows.send_due(full.engine)
        assert [got.headers["host"] for got in hook.got] == [f"localhost:{hook.port}"]


@pytest.mark.parametrize(
    ("address", "public", "network"),
    [
        ("93.184.216.34", True, True),
        ("2606:2800:220:1::1", True, True),
        ("10.1.2.3", False, True),
        ("192.168.1.1", False, True),
        ("fd12::1", False, True),
        ("127.0.0.1", False, False),
        ("127.8.8.8", False, False),
        ("0.0.0.0", False, False),
        ("0.1.2.3", False, False),
        ("169.254.169.254", False, False),
        ("168.63.129.16", False, False),
        ("224.0.0.1", False, False),
        ("255.255.255.255", False, False),
        ("::1", False, False),
        ("fe80::1", False, False),
        ("fd00:ec2::254", False, False),
        ("::ffff:127.0.0.1", False, False),
        ("::ffff:10.0.0.1", False, True),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("2002:7f00:1::", False, False),
    ],
)
def test_targets_that_a_setting_allows(address: str, public: bool, network: bool) -> None:
    def allowed(targets: Targets) -> bool:
        try:
            chosen([ip_address(address)], "host", targets)
        except InvalidInput:
            return False
        return True

    assert (allowed("public"), allowed("network"), allowed("any")) == (public, network, True)


def test_name_that_leads_to_this_machine_is_refused(
    database: Database, tmp_path: Path, clock: ManualClock, hook: Receiver
) -> None:
    with site(database, tmp_path, clock) as full:
        populate(full, clock)
        with pytest.raises(InvalidInput, match=r"127\.0\.0\.1"):
            _subscribe(full, hook.url)
        webhook = _subscribe(full, f"http://localhost:{hook.port}/hook")
        _fail(full)
        flows.send_due(full.engine)
        assert hook.got == []
        assert "where webhooks may not lead" in _deliveries(full, webhook)[0].problem


_SENSELESS: list[dict[str, Any]] = [
    {"url": "ftp://host/", "events": ["restore.failed"]},
    {"url": "https://", "events": ["restore.failed"]},
    {"url": "https://user:word@host/", "events": ["restore.failed"]},
    {"url": "https://host/#x", "events": ["restore.failed"]},
    {"url": "https://host:99999/", "events": ["restore.failed"]},
    {"url": "https://h\u00f6st/", "events": ["restore.failed"]},
    {"url": "https://host/", "events": []},
    {"url": "https://host/", "events": ["restore.finished"]},
    {"url": "https://host/", "events": ["restore.failed"], "secret": "short"},
    {"url": "https://host/", "events": ["restore.failed"], "secret": "whsec_c2hvcnQ="},
]


def test_webhook_that_makes_no_sense_is_refused(full: Site) -> None:
    client = NativeClient(native.create(full.engine)).log_on("administrator", PASSWORD)
    for body in _SENSELESS:
        assert client.post("/webhooks", body).status_code == 400, body
    assert client.get("/webhooks").json()["items"] == []


def test_webhooks_are_kept_changed_and_removed_and_their_secret_is_shown_once(
    full: Site, hook: Receiver, clock: ManualClock
) -> None:
    client = NativeClient(native.create(full.engine)).log_on("administrator", PASSWORD)
    made = client.post("/webhooks", {"url": hook.url, "events": ["job.failed"]}).json()
    path = f"/webhooks/{made['id']}"
    assert client.request("PATCH", path, json={"events": ["restore.failed"]}).json()["events"] == [
        "restore.failed"
    ]
    sent = client.post(f"{path}/test").json()
    secret = client.post(f"{path}/secret").json()["secret"]
    flows.send_due(full.engine)
    assert hook.got[0].is_signed_with(secret)
    assert not hook.got[0].is_signed_with(made["secret"])
    [delivery] = client.get(f"{path}/deliveries").json()["items"]
    assert (delivery["id"], delivery["event"], delivery["state"]) == (sent["id"], "webhook.test", "Delivered")
    seen = client.get("/webhooks").text + client.get(path).text + client.get(f"{path}/deliveries").text
    assert "secret" not in seen
    client.request("PATCH", path, json={"enabled": False})
    assert client.post(f"{path}/test").status_code == 409
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
