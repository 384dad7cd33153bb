"""Reading restore sessions through the Enterprise Manager API: against the least that a server can do, and at size.

python -m bench.api [--rows 100000] [--rounds 3] [--requests 4000] [--out FILE]

One entity is fetched by turns from a server that sends a constant and from Restorium, each a process of its own with
one worker on SQLite; the result is the median of all rounds. Queries are filtered, sorted and paged, on random pages
of the first hundred, in a catalog of 10,000 rows and in one of ``--rows``. The list is read whole.
"""

from __future__ import annotations

import argparse
import base64
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.api_catalog import fill
from bench.common import machine, write

_CONNECTIONS = 8
_SMALL = 10_000
_QUERIES = 200
_LIBRARIES = ("uvicorn", "starlette", "sqlalchemy", "msgspec")


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; ``header`` goes with each request."""

    port: int
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
        yield Server(int(process.stdout.readline()), header)
    finally:
        process.terminate()
        process.wait()


def rate(server: Server, path: str, count: int) -> float:
    """Requests a second over a few connections that are kept open; each answer must be a 200."""
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


def p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def _whole(connection: socket.socket) -> bytes:
    content = connection.recv(1 << 16)
    head, _, _ = content.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(content.decode(errors="replace"))
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(content) < len(head) + 4 + length:
        content += connection.recv(1 << 16)
    return content


def _pages(rows: int) -> list[str]:
    chance = random.Random(1)
    pages = min(100, rows // 4 // 100)
    query = "/api/query?type=RestoreSession&format=Entities&filter=Result==Failed&sortDesc=CreationTime&pageSize=100"
    return [f"{query}&page={chance.randint(1, pages)}" for _ in range(_QUERIES)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=Path("bench/results/api.json"))
    arguments = parser.parse_args()
    started = machine()
    with tempfile.TemporaryDirectory(prefix="restorium-bench-") as work:
        small = fill(Path(work) / "small", _SMALL)
        large = fill(Path(work) / "large", arguments.rows)
        entity = f"/api/restoreSessions/{small.session}?format=Entity"
        static, ours, pages_small, pages_large, lists = [], [], [], [], []
        with (
            running("static") as constant,
            running("restorium", str(small.folder), header=_header(small.token)) as restorium,
            running("restorium", str(large.folder), header=_header(large.token)) as loaded,
        ):
            for _ in range(arguments.rounds):
                static.append(rate(constant, "/", arguments.requests))
                ours.append(rate(restorium, entity, arguments.requests))
                pages_small += latencies(restorium, _pages(_SMALL))
                pages_large += latencies(loaded, _pages(arguments.rows))
                lists.append(first_byte(loaded, "/api/vmRestorePoints?format=Entity"))
    rates = {"static": statistics.median(static), "entity": statistics.median(ours)}
    result = {
        "machine": started,
        "versions": {"python": sys.version.split()[0], **{name: version(name) for name in _LIBRARIES}},
        "rounds": arguments.rounds,
        "rows": {"small": _SMALL, "large": arguments.rows, "vm_restore_points": large.points},
        "requests_per_second": {name: round(value) for name, value in rates.items()},
        "seconds": {
            "query_p95_small": round(p95(pages_small), 4),
            "query_p95_large": round(p95(pages_large), 4),
            "list_whole": round(statistics.median(whole for _, whole in lists), 3),
        },
        "ratios": {
            "entity_vs_static": round(rates["entity"] / rates["static"], 3),
            "query_p95_large_vs_small": round(p95(pages_large) / p95(pages_small), 2),
            "list_first_byte_s": round(statistics.median(begun for begun, _ in lists), 4),
        },
    }
    write(arguments.out, result)
    for name, value in result["ratios"].items():
        print(f"{name:26} {value:8.3f}")


def _header(token: str) -> bytes:
    return b"X-RestSvcSessionId: " + base64.b64encode(token.encode()) + b"\r\n"


if __name__ == "__main__":
    main()
