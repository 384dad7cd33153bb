"""Starting and stopping the server, as an operator does."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from restorium.cli.client import Connection, connect
from restorium.cli.data_folder import DataFolder
from restorium.vocabulary.errors import NotAuthenticated
from tests.support.databases import PostgresServer

pytestmark = pytest.mark.slow

_DEADLINE = 60.0


class Server:
    """`python -m restorium serve` as a process; ``line`` is the first line it printed."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        given = {name: value for name, value in os.environ.items() if not name.startswith("RESTORIUM_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "restorium", "serve", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**given, **(environment or {})},
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline().rstrip("\n")

    @property
    def url(self) -> str:
        assert self.line.startswith("listening on https://"), self.line
        return self.line.removeprefix("listening on ")

    def stop(self) -> tuple[int, str, str]:
        """Exit code, and what else it printed on standard output and standard error."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> tuple[int, str, str]:
        output, errors = self.process.communicate(timeout=_DEADLINE)
        return self.process.returncode, output, errors


@pytest.fixture
def started() -> Iterator[list[Server]]:
    """Servers put in this list are killed at the end if they still run."""
    servers: list[Server] = []
    yield servers
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


def _connection(data: Path, password_file: Path | None = None) -> Connection:
    return Connection(None, "administrator", password_file, None, data)


def test_first_start_makes_what_a_client_needs_and_stops_cleanly(
    tmp_path: Path, started: list[Server]
) -> None:
    data = tmp_path / "data"
    server = Server("--data", str(data), "--listen", "127.0.0.1:0")
    started.append(server)

    trusted = ssl.create_default_context(cafile=data / "certificate.pem")
    assert httpx.get(f"{server.url}/api/", verify=trusted).status_code == 200
    with connect(_connection(data)) as client:
        assert [account["name"] for account in client.items("/accounts")] == ["administrator"]
    password = (data / "initial-password").read_text().strip()
    for secret in ("initial-password", "certificate.key"):
        assert stat.S_IMODE((data / secret).stat().st_mode) == 0o600

    code, output, errors = server.stop()
    assert (code, output) == (0, "")
    assert errors.count(password) == 1
    assert not (data / "server.json").exists()


def test_client_that_keeps_its_connection_and_is_gone_holds_no_stop_up(
    tmp_path: Path, started: list[Server]
) -> None:
    data = tmp_path / "data"
    server = Server("--data", str(data), "--listen", "127.0.0.1:0")
    started.append(server)
    address = urlsplit(server.url)
    trusted = ssl.create_default_context(cafile=data / "certificate.pem")
    with (
        socket.create_connection((address.hostname, address.port)) as plain,
        trusted.wrap_socket(plain, server_hostname=address.hostname) as idle,
    ):
        idle.sendall(b"GET /api/ HTTP/1.1\r\nHost: %s\r\n\r\n" % address.netloc.encode())
        assert idle.recv(100).startswith(b"HTTP/1.1 200")
        code, _, errors = server.stop()
    at = {
        line["event"].split(" [")[0]: datetime.fromisoformat(line["timestamp"])
        for line in map(json.loads, filter(lambda text: text.startswith("{"), errors.splitlines()))
    }
    assert code == 0
    assert at["Finished server process"] - at["Shutting down"] < timedelta(seconds=3)


@pytest.mark.slow
def test_second_start_keeps_account_and_certificate_and_shows_no_password(
    tmp_path: Path, started: list[Server]
) -> None:
    data = tmp_path / "data"
    for _ in range(2):
        server = Server("--data", str(data), "--listen", "127.0.0.1:0")
        started.append(server)
        with connect(_connection(data)) as client:
            assert len(client.items("/accounts")) == 1
        certificate = (data / "certificate.pem").read_bytes()
        code, _, errors = server.stop()
        assert code == 0
    assert (data / "certificate.pem").read_bytes() == certificate
    assert (data / "initial-password").read_text().strip() not in errors


@pytest.mark.slow
def test_first_password_can_be_chosen(tmp_path: Path, started: list[Server]) -> None:
    data, chosen, wrong = tmp_path / "data", tmp_path / "chosen", tmp_path / "wrong"
    chosen.write_text("correct horse battery\n")
    wrong.write_text("correct horse\n")
    environment = {"RESTORIUM_ADMIN_PASSWORD": "correct horse battery"}
    started.append(Server("--data", str(data), "--listen", "127.0.0.1:0", environment=environment))
    with connect(_connection(data, chosen)) as client:
        assert client.items("/accounts")
    with pytest.raises(NotAuthenticated), connect(_connection(data, wrong)):
        pass
    assert not (data / "initial-password").exists()


@pytest.mark.slow
def test_second_server_on_one_data_folder_is_refused(tmp_path: Path, started: list[Server]) -> None:
    started.append(Server("--data", str(tmp_path), "--listen", "127.0.0.1:0"))
    second = Server("--data", str(tmp_path), "--listen", "127.0.0.1:0")
    started.append(second)
    code, _, errors = second.wait()
    assert code == 6
    assert f"error: another server is using the data folder {tmp_path}" in errors
    assert "Traceback" not in errors
    assert started[0].process.poll() is None
    assert DataFolder(tmp_path).running_server() is not None


def test_port_in_use_is_refused(tmp_path: Path, started: list[Server]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = Server("--data", str(tmp_path), "--listen", f"127.0.0.1:{port}")
        started.append(server)
        code, _, errors = server.wait()
    assert code == 6
    assert f"port {port} of 127.0.0.1 is in use" in errors
    assert "--listen" in errors


def test_settings_come_from_a_file_and_the_command_line_wins(tmp_path: Path, started: list[Server]) -> None:
    config = tmp_path / "restorium.toml"
    config.write_text(f'data = "{tmp_path / "data"}"\n[http]\nlisten = "192.0.2.1:1"\n')
    server = Server("--config", str(config), "--listen", "127.0.0.1:0")
    started.append(server)
    assert server.url.startswith("https://127.0.0.1:")
    assert (tmp_path / "data" / "initial-password").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [("[http]\nlisten = 5\n", "listen"), ("colour = 1\n", "colour"), ("= broken", "restorium.toml")],
)
def test_bad_configuration_names_file_and_member(tmp_path: Path, text: str, told: str) -> None:
    config = tmp_path / "restorium.toml"
    config.write_text(text)
    code, _, errors = Server("--config", str(config), "--data", str(tmp_path / "data")).wait()
    assert code == 2
    assert told in errors
    assert str(config) in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_server_on_postgresql_keeps_everything_there(
    tmp_path: Path, started: list[Server], postgres: PostgresServer
) -> None:
    data, password = tmp_path / "data", tmp_path / "chosen"
    password.write_text("correct horse battery\n")
    with postgres.database() as url:
        environment = {"RESTORIUM_DATABASE_URL": url, "RESTORIUM_ADMIN_PASSWORD": "correct horse battery"}
        for _ in range(2):
            server = Server("--data", str(data), "--listen", "127.0.0.1:0", environment=environment)
            started.append(server)
            with connect(_connection(data, password)) as client:
                assert [account["name"] for account in client.items("/accounts")] == ["administrator"]
            assert server.stop()[0] == 0
    assert list(data.glob("*.db")) == []
