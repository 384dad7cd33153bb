"""R13: restores that clients ask for while servers and workers are killed (SIGKILL) and started again.

Each client asks again with the same Idempotency-Key until it is answered, and now and then once more. At the end each
restore is there once, has ended once, and the VM that it made holds the bytes that were backed up. Odd seeds have a
server with SQLite, even ones a server and a worker with PostgreSQL.
"""

from __future__ import annotations

import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from restorium.catalog.database import Database
from restorium.catalog.tables import restore_sessions, session_events
from restorium.cli.client import Client, Connection, connect
from restorium.cli.data_folder import DataFolder
from restorium.hosts.image_folder.descriptions import read_description
from restorium.vocabulary.clock import SystemClock
from restorium.vocabulary.errors import RestoriumError, ServerUnreachable
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.databases import find_postgres, postgres_server
from tests.support.live import back_up, set_up
from trials.common import Trial

_KIB = 1024
_PER_MINUTE = 200
_CLIENTS = 4
_PAUSES = (5.0, 40.0)
"""Seconds between two kills in ten minutes; a shorter run has as many."""
_FULL_MINUTES = 10
_END_SECONDS = 300.0


@dataclass
class _Process:
    """A server or a worker, which is killed and started again."""

    role: str
    folder: Path
    config: Path
    running: subprocess.Popen[str] | None = None
    kills: int = 0

    def start(self) -> None:
        listen = ["--listen", "127.0.0.1:0"] if self.role == "serve" else []
        command = [sys.executable, "-m", "restorium", self.role, "--data", str(self.folder / "data")]
        with (self.folder / "log").open("a") as log:
            self.running = subprocess.Popen(
                [*command, "--config", str(self.config), *listen],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={name: value for name, value in os.environ.items() if not name.startswith("RESTORIUM_")},
            )
        assert self.running.stdout is not None
        assert self.running.stdout.readline(), f"did not start: {(self.folder / 'log').read_text()[-800:]}"

    def kill(self) -> None:
        assert self.running is not None
        self.running.send_signal(signal.SIGKILL)
        self.running.wait()
        self.kills += 1

    def stop(self) -> None:
        if self.running is not None and self.running.poll() is None:
            self.running.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.running.wait(30)
            self.running.kill()
            self.running.wait()


def case(folder: Path, seed: int) -> Counter[str]:
    return lasting(folder, seed, 0.5)


def lasting(folder: Path, seed: int, minutes: float) -> Counter[str]:
    """One run of so many minutes, with 200 restores a minute."""
    with _database(folder, seed) as url:
        config = folder / "settings.toml"
        named = [] if url is None else [f'database_url = "{url}"']
        config.write_text("\n".join([*named, "flows_per_repository = 8", 'log_level = "error"', ""]))
        server = _Process("serve", folder, config)
        processes = [server]
        try:
            server.start()
            if url is not None:
                apart = folder / "worker"
                (apart / "data").mkdir(parents=True)
                shutil.copy(folder / "data" / "master.key", apart / "data" / "master.key")
                processes.append(_Process("worker", apart, config))
                processes[-1].start()
            return _run(folder, random.Random(seed), minutes, server, processes, url)
        finally:
            for process in processes:
                process.stop()


def _run(
    folder: Path,
    chance: random.Random,
    minutes: float,
    server: _Process,
    processes: list[_Process],
    url: str | None,
) -> Counter[str]:
    images = folder / "images"
    images.mkdir()
    content = chance.randbytes(192 * _KIB) + bytes(64 * _KIB)
    (images / "web.raw").write_bytes(content)
    (images / "web.vm.toml").write_text('name = "web"\n[[disk]]\nkey = "disk0"\nfile = "web.raw"\n')
    with connect(_connection(server)) as client:
        back_up(client, set_up(client, images, folder / "vault"))
        point = client.items("/restore-points")[0]["id"]
    asked = _Asked(server, point, round(_PER_MINUTE * minutes), minutes * 60 * 0.9)
    end = time.monotonic() + minutes * 60
    scale = min(minutes / _FULL_MINUTES * 2, 1.0)
    wait = threading.Event()
    with asked:
        while (left := end - time.monotonic()) > 0:
            wait.wait(min(chance.uniform(*_PAUSES) * scale, left))
            killed = chance.choice(processes)
            killed.kill()
            wait.wait(chance.uniform(0, 2) * scale)
            killed.start()
    database = Database.open(url or f"sqlite:///{folder / 'data' / 'restorium.db'}", SystemClock())
    try:
        _wait_for_all(database, len(asked.answers))
        _check(database, asked.answers, images, content)
    finally:
        database.close()
    return Counter(
        {
            "restores": len(asked.answers),
            "requests": asked.requests,
            "requests that failed": asked.failed,
            "kills": sum(process.kills for process in processes),
        }
    )


class _Asked:
    """Clients that ask for ``count`` restores over so many seconds; ``answers`` are the sessions by number."""

    def __init__(self, server: _Process, point: str, count: int, seconds: float) -> None:
        self.answers: dict[int, str] = {}
        self.requests = self.failed = 0
        self._server = server
        self._point = point
        self._count = count
        self._began = time.monotonic()
        self._each = seconds / count
        self._waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._errors: list[BaseException] = []
        self._lock = threading.Lock()
        self._pause = threading.Event()
        for number in range(count):
            self._waiting.put(number)
        self._threads = [threading.Thread(target=self._work, args=(each,)) for each in range(_CLIENTS)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _work(self, seed: int) -> None:
        chance = random.Random(seed)
        try:
            while True:
                number = self._waiting.get_nowait()
                self._pause.wait(max(0.0, self._began + number * self._each - time.monotonic()))
                for _ in range(chance.choice([1, 1, 1, 2, 3])):
                    self._ask(number)
        except queue.Empty:
            return
        except BaseException as error:  # noqa: BLE001  raised where the threads are waited for
            self._errors.append(error)

    def _ask(self, number: int) -> None:
        body = {"restore_point_id": self._point, "keep_original": True, "new_name": f"r-{number}"}
        while True:
            try:
                with connect(_connection(self._server)) as client:
                    answer = _posted(client, body, number)
            except ServerUnreachable:
                with self._lock:
                    self.requests += 1
                    self.failed += 1
                self._pause.wait(0.2)
                continue
            with self._lock:
                self.requests += 1
                assert self.answers.setdefault(number, answer) == answer, f"restore {number} is twice"
            return


def _posted(client: Client, body: dict[str, Any], number: int) -> str:
    try:
        session = client.post("/restores", body, headers={"Idempotency-Key": f"key-{number}"})
    except RestoriumError as error:
        if error.code in ("database-unavailable", "internal"):
            raise ServerUnreachable(error.message) from error
        raise
    return str(session["id"])


def _connection(server: _Process) -> Connection:
    data = DataFolder(server.folder / "data")
    return Connection(None, "administrator", data.initial_password, None, data.path)


def _wait_for_all(database: Database, count: int) -> None:
    deadline = time.monotonic() + _END_SECONDS
    unfinished = sa.select(sa.func.count()).where(restore_sessions.c.state != SessionState.STOPPED)
    pause = threading.Event()
    while True:
        with database.read() as connection:
            left = connection.execute(unfinished).scalar_one()
        if not left:
            return
        assert time.monotonic() < deadline, f"{left} of {count} restores have not ended"
        pause.wait(0.5)


def _check(database: Database, answers: dict[int, str], images: Path, content: bytes) -> None:
    with database.read() as connection:
        rows = connection.execute(sa.select(restore_sessions)).all()
        told = connection.execute(
            sa.select(session_events.c.session_id).where(
                session_events.c.message.like("The restore ended with%")
            )
        ).scalars()
        ends = Counter(told)
    assert {row.id for row in rows} == {UUID(each) for each in answers.values()}, "none is lost or doubled"
    assert len(rows) == len(answers)
    for row in rows:
        assert (row.result, row.progress) == (SessionResult.SUCCESS, 100), f"{row.name}: {row.reason}"
        assert ends[row.id] == 1, f"{row.name} ended {ends[row.id]} times"
    expected = {"web.raw", "web.vm.toml"}
    for number, session in answers.items():
        expected |= {f"r-{number}.raw", f"r-{number}.vm.toml"}
        assert (images / f"r-{number}.raw").read_bytes() == content, f"r-{number} holds other bytes"
        assert read_description(images / f"r-{number}.vm.toml").restored_by == session
    assert {path.name for path in images.iterdir()} == expected


@contextmanager
def _database(folder: Path, seed: int) -> Iterator[str | None]:
    programs = find_postgres()
    if seed % 2 or programs is None:
        yield None
        return
    with postgres_server(programs) as postgres, postgres.database() as url:
        yield url


TRIAL = Trial(
    "restarts",
    "R13",
    "Each restore that was asked for is there once, has ended once with Success, and is byte for byte what it says.",
    case,
    short=1,
    long=2,
    lasting=lasting,
)
