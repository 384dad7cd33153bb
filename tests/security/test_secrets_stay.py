"""Secrets are in no answer, log, record or message: each there is is a word of its own, and all that comes out is read.

What is asked is every GET of both APIs, as their own documents list them, and every page, of things that are there and
of things that are not.
"""

from __future__ import annotations

import base64
import re
import ssl
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from restorium.cli.client import Client, connect
from restorium.cli.demo.server import DemoServer, start_server
from restorium.web.app import PAGES
from tests.support.live import back_up, set_up
from tests.support.receivers import Receiver, receiver
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow
_NOBODY = "00000000-0000-4000-8000-000000000000"
_LATEST = "/api/sessionMngr/?v=latest"
_HEADER = "X-RestSvcSessionId"


def _word(what: str) -> str:
    return f"canary-{what}-{uuid4().hex}"


class _Secrets:
    """Every secret there is, each unlike any other text."""

    def __init__(self) -> None:
        self.words = {
            what: _word(what)
            for what in (
                "password",
                "changed-password",
                "wrong-password",
                "passphrase",
                "second-passphrase",
                "storage-key",
                "stored-credentials",
                "password-key",
                "metrics-token",
            )
        }

    def __getitem__(self, what: str) -> str:
        return self.words[what]

    def found_in(self, text: str) -> list[str]:
        """Names of those that are in the text, as they are or in Base64."""
        return [
            what
            for what, word in self.words.items()
            if word in text or base64.b64encode(word.encode()).decode().rstrip("=") in text
        ]


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def secrets() -> _Secrets:
    return _Secrets()


@pytest.fixture
def server(tmp_path: Path, secrets: _Secrets) -> Iterator[DemoServer]:
    config = tmp_path / "restorium.toml"
    config.write_text(
        f'log_level = "debug"\n[webhooks]\ntargets = "any"\n[metrics]\ntoken = "{secrets["metrics-token"]}"\n'
    )
    running = start_server(tmp_path / "data", tmp_path / "log", config)
    yield running
    running.stop()


def test_no_secret_comes_out(server: DemoServer, secrets: _Secrets, hook: Receiver, tmp_path: Path) -> None:
    secrets.words["first-password"] = server.password
    with connect(server.connection) as client, _http(server) as http:
        _use_every_secret(client, http, server, secrets, hook, tmp_path)
        found = list(_everything(client, http, server, secrets))
    assert len(found) > 150
    leaks = {where: secrets.found_in(text) for where, text in found}
    for got in hook.got:
        leaks[f"webhook {got.path}"] = secrets.found_in(got.body.decode() + repr(got.headers))
    log = server.log.read_text()
    # The first account's password is told there once, as docs/operators.md says.
    leaks["log"] = secrets.found_in(log.replace(server.password, "", 1))
    assert hook.got
    assert {where: what for where, what in leaks.items() if what} == {}


def _http(server: DemoServer) -> httpx.Client:
    trust = ssl.create_default_context(cafile=server.folder.certificate)
    return httpx.Client(base_url=server.url, verify=trust, timeout=60)


def _use_every_secret(
    client: Client,
    http: httpx.Client,
    server: DemoServer,
    secrets: _Secrets,
    hook: Receiver,
    folder: Path,
) -> None:
    images = folder / "images"
    images.mkdir()
    (images / "web.raw").write_bytes(b"content" * 200_000)
    (images / "web.vm.toml").write_text('name = "web"\n[[disk]]\nkey = "disk0"\nfile = "web.raw"\n')
    made = client.post("/webhooks", {"url": hook.url, "events": ["job.stopped", "restore.stopped"]})
    secrets.words["webhook"] = made["secret"].removeprefix("whsec_")
    job = set_up(
        client, images, folder / "vault", key={"kind": "passphrase", "passphrase": secrets["passphrase"]}
    )
    [repository] = client.items("/repositories")
    second = {"kind": "passphrase", "passphrase": secrets["second-passphrase"]}
    client.post(f"/repositories/{repository['id']}/keys", second)
    back_up(client, job)
    [point] = client.items("/restore-points")
    started = client.post("/restores", {"restore_point_id": point["id"], "keep_original": True})
    path = f"/restore-sessions/{started['id']}"
    wait_until(lambda: client.get(path)["state"] == "Stopped", timeout=60)

    account = {"name": "other", "password": secrets["password"], "roles": ["Portal Administrator"]}
    other = client.post("/accounts", account)
    basic = httpx.BasicAuth("other", secrets["password"])
    kept = http.post(_LATEST, auth=basic)
    assert kept.status_code == 201
    secrets.words["session"] = kept.headers[_HEADER]
    secrets.words["session id"] = base64.b64decode(kept.headers[_HEADER]).decode()
    token = http.post("/v1/tokens", json={"name": "other", "password": secrets["password"]}).json()["token"]
    secrets.words["token"] = token
    http.post(_LATEST, auth=httpx.BasicAuth("other", secrets["wrong-password"]))
    http.post("/v1/tokens", json={"name": secrets["wrong-password"], "password": "x"})
    http.get("/metrics", auth=httpx.BasicAuth("other", secrets["wrong-password"]))

    session = {_HEADER: kept.headers[_HEADER], "Accept": "application/json"}
    [backup_server] = http.get("/api/backupServers", headers=session).json()["Refs"]
    below = f"/api/backupServers/{backup_server['UID'].rpartition(':')[2]}"
    told = {"Username": "root", "Description": "", "Password": secrets["stored-credentials"]}
    added = http.post(f"{below}/credentials?action=create", headers=session, json=told)
    assert added.status_code < 300, added.text
    told = {"Hint": "none", "Password": secrets["password-key"]}
    added = http.post(f"{below}/passwords?action=create", headers=session, json=told)
    assert added.status_code < 300, added.text

    for url in ("s3://{0}:{0}@bucket/x", "s3://bucket/x?sig={0}", "https://{0}@host/", "file://{0}@host/x"):
        asked = {"name": "remote", "url": url.format(secrets["storage-key"])}
        refused = http.post("/v1/repositories", headers={"Authorization": f"Bearer {token}"}, json=asked)
        assert (refused.status_code, secrets.found_in(refused.text)) == (400, [])
    changed = {"password": secrets["changed-password"]}
    client.request("PUT", f"/accounts/{other['id']}/password", json=changed)
    wait_until(lambda: len(hook.got) >= 2, timeout=30)


def _everything(
    client: Client, http: httpx.Client, server: DemoServer, secrets: _Secrets
) -> Iterator[tuple[str, str]]:
    """All that comes out, by what was asked."""
    basic = httpx.BasicAuth("administrator", server.password)
    em = http.post(_LATEST, auth=basic).headers[_HEADER]
    native = http.post("/v1/tokens", json={"name": "administrator", "password": server.password}).json()[
        "token"
    ]
    own = {"Authorization": f"Bearer {native}"}
    for prefix, headers, most in (("/v1", own, 4), ("/api", {_HEADER: em, "Accept": "application/json"}, 2)):
        document = http.get(f"{prefix}/openapi.json").json()
        known: dict[str, list[str]] = {}
        for path in sorted(document["paths"], key=lambda each: each.count("{")):
            if "get" not in document["paths"][path] or "logonSessions" in path:
                continue  # a logon session shows its id to whoever holds it, and to nobody else
            for asked in _addresses(path, known, most):
                with http.stream("GET", f"{prefix}{asked}", headers=headers) as answer:
                    text = _beginning(answer)
                yield f"{prefix}{asked}", text + repr(answer.headers)
                known.setdefault(path, []).extend(
                    re.findall(r'"(?:id|Id|UID)": ?"(?:urn:veeam:\w+:)?([-0-9a-f]{36})"', text)
                )
        if prefix == "/v1":
            yield from _pages(http, server, known)
    metrics = http.get("/metrics", headers={"Authorization": f"Bearer {secrets['metrics-token']}"})
    assert metrics.status_code == 200
    yield "/metrics", metrics.text
    for path in ("/v1/audit/export", "/v1/audit/export?format=csv", "/v1/audit?limit=1000"):
        yield path, http.get(path, headers=own).text


def _pages(http: httpx.Client, server: DemoServer, known: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Every page, and what the browser is told besides, of what the native API has told of."""
    form = {"name": "administrator", "password": server.password}
    answer = http.post("/log-on", data=form, headers={"Origin": server.url})
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    of = {each.partition("/")[0]: ids for path, ids in known.items() for each in [path.strip("/")]}
    ids = {
        "sessions": of["restore-sessions"],
        "points": of["restore-points"],
        "drills": of["drill-plans"],
        "runs": of["drill-runs"],
        **of,
    }
    for page in PAGES:
        if page.method != "GET":
            continue
        path = page.path.replace("{path:path}", "").replace("{vm_ref:path}", "web")
        place = path.split("/{")[0].rpartition("/")[2]
        for key in [*ids.get(place, [])[:2], _NOBODY]:
            asked = re.sub(r"\{\w+\}", key, path)
            with http.stream("GET", asked, headers={"Cookie": cookie}) as answer:
                text = _beginning(answer)
            assert answer.status_code != 303, asked
            yield f"page {asked}", text + repr(answer.headers)


def _beginning(answer: httpx.Response) -> str:
    """What is sent, of a stream of events the first."""
    endless = answer.headers.get("content-type", "").startswith("text/event-stream")
    content = b""
    for piece in answer.iter_bytes():
        content += piece
        if len(content) > 4_000_000 or (endless and b"\n\n" in content):
            break
    return content.decode("utf-8", "replace")


def _addresses(path: str, known: dict[str, list[str]], most: int) -> list[str]:
    """The path with ids in it that lists have shown, and with one of nothing."""
    places = re.findall(r"\{\w+\}", path)
    if not places:
        return [path]
    above = path[: path.index("{")].rstrip("/")
    choices: list[list[str]] = [[*known.get(above, [])[:most], _NOBODY]]
    choices += [["0", "1"] for _ in places[1:]]
    found: list[str] = []
    for chosen in product(*choices):
        filled: Any = path
        for place, value in zip(places, chosen, strict=True):
            filled = filled.replace(place, value, 1)
        found.append(filled)
    return found
