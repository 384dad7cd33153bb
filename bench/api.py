"""The Enterprise Manager API: one entity against the least and against the usual, lists at size, logging on.

python -m bench.api [--sizes 10000,100000,1000000] [--databases sqlite,postgresql] [--rounds 3] [--out FILE]

Each server is a process of its own with one worker; what is compared is asked by turns, and figures are medians of
the rounds. One entity is fetched from a server that sends a constant, from one made of FastAPI, Pydantic and an ORM,
and from Restorium. Queries are filtered, sorted and paged at random: of the first thousand pages, and of the last
hundred, while nothing is written and, for Restorium's largest catalog, while sessions end ten times a second. The
list of 100,000 VM restore points is read whole. Logons repeat a good name and password.
"""

from __future__ import annotations

import argparse
import base64
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.api_catalog import Filled, fill
from bench.common import machine, write
from tests.support.databases import find_postgres, postgres_server

_CONNECTIONS = 8
_POINTS = 100_000
_QUERIES = 200
_LOGONS = 100
_LIBRARIES = ("uvicorn", "fastapi", "pydantic", "starlette", "sqlalchemy", "msgspec")


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; ``header`` goes with each request."""

    port: int
    pid: int
    header: bytes = b""

    def request(self, path: str) -> bytes:
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
        return head.encode() + self.header + b"\r\n"


@contextmanager
def running(*arguments: str, header: bytes = b"") -> Iterator[Server]:
    """``python -m bench.api_server`` with these arguments, until the block ends."""
    process = subprocess.Popen([sys.executable, "-m", "bench.api_server", *arguments], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield Server(int(process.stdout.readline()), process.pid, header)
    finally:
        process.terminate()
        process.wait()


def rate(server: Server, path: str, count: int) -> float:
    """Requests a second over a few connections that are kept open; each answer must be a success."""
    request = server.request(path)
    sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(_CONNECTIONS)]
    started = time.perf_counter()
    for _ in range(count // _CONNECTIONS):
        for each in sockets:
            each.sendall(request)
        for each in sockets:
            _whole(each)
    seconds = time.perf_counter() - started
    for each in sockets:
        each.close()
    return count // _CONNECTIONS * _CONNECTIONS / seconds


def latencies(server: Server, paths: Sequence[str]) -> list[float]:
    """Seconds of each request, one after the other on one connection."""
    found = []
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        for path in paths:
            started = time.perf_counter()
            connection.sendall(server.request(path))
            _whole(connection)
            found.append(time.perf_counter() - started)
    return found


def first_byte(server: Server, path: str) -> tuple[float, float]:
    """Seconds until an answer begins, and until it ends."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        started = time.perf_counter()
        connection.sendall(server.request(path).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        connection.recv(1)
        begun = time.perf_counter() - started
        while connection.recv(1 << 20):
            pass
        return begun, time.perf_counter() - started


def _whole(connection: socket.socket) -> bytes:
    content = connection.recv(1 << 16)
    head, _, _ = content.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 20"):
        raise SystemExit(content.decode(errors="replace"))
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(content) < len(head) + 4 + length:
        content += connection.recv(1 << 16)
    return content


def _pages(rows: int, chance: random.Random, *, deep: bool = False) -> list[str]:
    last = rows // 4 // 100 - 2
    first, last = (max(1, last - 100), last) if deep else (1, min(1000, last))
    query = "/api/query?type=RestoreSession&format=Entities&filter=Result==Failed&sortDesc=CreationTime&pageSize=100"
    return [f"{query}&page={chance.randint(first, last)}" for _ in range(_QUERIES)]


@contextmanager
def _writing(url: str) -> Iterator[None]:
    """Ten restore sessions a second come to be and end, until the block ends."""
    process = subprocess.Popen([sys.executable, "-m", "bench.api_catalog", url])
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _entity(url: str, filled: Filled, rounds: int, requests: int) -> dict[str, float]:
    path, header = f"/api/restoreSessions/{filled.session}?format=Entity", _header(filled.token)
    rates: dict[str, list[float]] = {"static": [], "orm": [], "restorium": []}
    with (
        running("static") as static,
        running("orm", url, header=header) as orm,
        running("restorium", url, header=header) as ours,
    ):
        servers = {"static": static, "orm": orm, "restorium": ours}
        for _ in range(rounds):
            for name, server in servers.items():
                rates[name].append(rate(server, path, requests))
    return {name: statistics.median(found) for name, found in rates.items()}


def _lists(filled: dict[int, Filled], rounds: int) -> dict[str, float]:
    """Milliseconds, by what and how many rows."""
    found: dict[str, list[float]] = {}
    chance = random.Random(1)
    largest = max(filled)
    with ExitStack() as stack:
        servers = {
            rows: stack.enter_context(running("restorium", each.url, header=_header(each.token)))
            for rows, each in filled.items()
        }
        for _ in range(rounds):
            for rows, server in servers.items():
                found.setdefault(f"query_p95_{rows}", []).append(_p95(server, _pages(rows, chance)))
                found.setdefault(f"deep_p95_{rows}", []).append(_p95(server, _pages(rows, chance, deep=True)))
            with _writing(filled[largest].url):
                written = _p95(servers[largest], _pages(largest, chance))
            found.setdefault(f"query_p95_{largest}_written", []).append(written)
            begun, whole = first_byte(servers[largest], "/api/vmRestorePoints?format=Entity")
            found.setdefault("list_first_byte", []).append(begun * 1000)
            found.setdefault("list_whole", []).append(whole * 1000)
            found.setdefault("logon_cpu", []).append(_logon_cpu(servers[largest]))
    return {name: statistics.median(values) for name, values in found.items()}


def _p95(server: Server, paths: Sequence[str]) -> float:
    return statistics.quantiles(latencies(server, paths), n=20)[-1] * 1000


def _logon_cpu(server: Server) -> float:
    """Milliseconds of the server's processor time for each of a hundred logons with a good password."""
    basic = b"Authorization: Basic " + base64.b64encode(b"bench:bench")
    head = (
        f"POST /api/sessionMngr/?v=latest HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 0\r\n"
    )
    before = _cpu(server.pid)
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        for _ in range(_LOGONS):
            connection.sendall(head.encode() + basic + b"\r\n\r\n")
            _whole(connection)
    return (_cpu(server.pid) - before) / _LOGONS * 1000


def _cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _measured(
    make_url: Callable[[str], str], sizes: Sequence[int], rounds: int, requests: int
) -> dict[str, Any]:
    filled = {rows: fill(make_url(f"rows_{rows}"), rows, _POINTS) for rows in sizes}
    rates = _entity(filled[min(sizes)].url, filled[min(sizes)], rounds, requests)
    lists = _lists(filled, rounds)
    small, large = min(sizes), max(sizes)
    ratios = {
        "entity_vs_static": rates["restorium"] / rates["static"],
        "entity_vs_orm": rates["restorium"] / rates["orm"],
        "query_p95_1m_vs_10k": lists[f"query_p95_{large}"] / lists[f"query_p95_{small}"],
        "query_p95_1m_written_vs_10k": lists[f"query_p95_{large}_written"] / lists[f"query_p95_{small}"],
        "deep_page_vs_10k": lists[f"deep_p95_{large}"] / lists[f"query_p95_{small}"],
        "list_first_byte_s": lists["list_first_byte"] / 1000,
        "logon_cpu_ms": lists["logon_cpu"],
    }
    return {
        "requests_per_second": {name: round(value) for name, value in rates.items()},
        "milliseconds": {name: round(value, 2) for name, value in lists.items()},
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=_numbers, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--databases", type=lambda text: text.split(","), default=["sqlite", "postgresql"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=Path("bench/results/api.json"))
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "machine": machine(),
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in _LIBRARIES}},
        "rounds": arguments.rounds,
        "sizes": arguments.sizes,
    }
    for kind in arguments.databases:
        with ExitStack() as stack:
            if kind == "sqlite":
                work = stack.enter_context(tempfile.TemporaryDirectory(prefix="restorium-bench-"))
                make_url = partial("sqlite:///{}/{}.db".format, work)
            else:
                make_url = _made_in(stack)
            result[kind] = _measured(make_url, arguments.sizes, arguments.rounds, arguments.requests)
        for name, value in result[kind]["ratios"].items():
            print(f"{kind:10} {name:28} {value:8.3f}", flush=True)
        write(arguments.out, result)


def _made_in(stack: ExitStack) -> Callable[[str], str]:
    """Makes databases in a PostgreSQL server that runs as long as the stack."""
    programs = find_postgres()
    if programs is None:
        raise SystemExit("PostgreSQL's server programs are not installed: apt install postgresql")
    server = stack.enter_context(postgres_server(programs))

    def made(name: str) -> str:
        server.execute(f"CREATE DATABASE {name}")
        return server.url(name)

    return made


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def _header(token: str) -> bytes:
    return b"X-RestSvcSessionId: " + base64.b64encode(token.encode()) + b"\r\n"


if __name__ == "__main__":
    main()
