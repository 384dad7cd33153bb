"""Speed of being told: many open restore sessions that change all the time, and many followers of all of them.

The server's API runs here, over HTTP; followers are a process of their own. Each change says when it was made, so a
follower knows how long it waited for it.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from uuid import UUID

import sqlalchemy as sa
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from restorium.catalog import accounts, logons
from restorium.catalog import restore_sessions as rows
from restorium.catalog.database import Database
from restorium.catalog.tables import restore_sessions
from restorium.cli.listener import Address, bind
from restorium.flows.engine import Engine
from restorium.native.app import create
from restorium.settings import Settings
from restorium.vocabulary.clock import SystemClock
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.roles import Role
from tests.support.restores import Restores
from tests.support.waiting import wait_until
from trials.common import Trial

SESSIONS, FOLLOWERS = 2000, 50
_CHANGES = 200
"""A second, in five transactions."""
_SECONDS = 5.0
_WAIT = 1.0
_MADE_AT = re.compile(rb'"done_bytes":(\d+)')


def follow(folder: Path, _seed: int, minutes: float = _SECONDS / 60) -> Counter[str]:
    """Changes for so many minutes; raises if half of the followers' waits, or a fair share, were too long."""
    database = Database.open(f"sqlite:///{folder / 'restorium.db'}", SystemClock())
    engine = Engine(Settings(data=folder / "data"), database)
    point = Restores(database, ["web"]).points["web"]
    with database.write() as connection:
        sessions = [
            rows.create(connection, point=point, spec=RestoreSpec(point.id), caller=Caller("op")).id
            for _ in range(SESSIONS)
        ]
        account = accounts.add(
            connection, "op", "a password", roles={Role.PORTAL_ADMINISTRATOR}, restore_all=True
        )
        token = logons.open(connection, account.id)
    with _serving(engine) as port:
        program = [sys.executable, "-m", "trials.followers", str(port), str(token), str(FOLLOWERS)]
        followers = subprocess.Popen(program, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        try:
            assert followers.stdout is not None
            assert followers.stdout.readline().strip() == "present"
            count = _change(database, sessions, minutes * 60)
            time.sleep(2 * _WAIT)  # what is told late is late all the same
            waits = json.loads(followers.communicate("\n")[0])
        finally:
            followers.kill()
            followers.wait()
    database.close()
    told = sorted(wait for each in waits for wait in each)
    share = quantiles(told, n=100)[98]
    if median(told) > _WAIT or not all(waits):
        raise AssertionError(
            f"followers waited {median(told):.2f} s in the median, {share:.2f} s in 99 of 100 cases"
        )
    late = sum(wait > _WAIT for wait in told)
    return Counter(
        {
            "changes": count,
            "changes told": len(told),
            "of them later than a second": late,
            "ms waited in the median": round(1000 * median(told)),
            "ms waited in 99 of 100 cases": round(1000 * share),
        }
    )


def _change(database: Database, sessions: list[UUID], seconds: float) -> int:
    """Change sessions at random, evenly over time; gives how many changes that were."""
    chance, began, count = random.Random(1), time.monotonic(), 0
    tick = threading.Event()
    while (passed := time.monotonic() - began) < seconds:
        chosen = chance.sample(sessions, _CHANGES // 5)
        with database.write() as connection:
            connection.execute(
                sa.update(restore_sessions)
                .where(restore_sessions.c.id.in_(chosen))
                .values(done_bytes=round(time.monotonic() * 1e6))
            )
        count += len(chosen)
        tick.wait(max(0.0, count / _CHANGES - passed))
    return count


@contextmanager
def _serving(engine: Engine) -> Iterator[int]:
    """The native API on a free port of loopback."""
    with bind(Address("127.0.0.1", 0)) as listener:
        app = Starlette(routes=[Mount("/v1", create(engine))])
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        yield int(listener.getsockname()[1])
        engine.feed.close()
        server.should_exit = True
        thread.join()


async def _listen(port: int, token: str, waits: list[float], present: asyncio.Event) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked = f"GET /v1/restore-sessions/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(asked.encode())
    rest = b""
    while part := await reader.read(1 << 20):
        now = time.monotonic()
        *events, rest = (rest + part).split(b"\n\n")
        for event in events:
            if present.is_set() and (found := _MADE_AT.search(event)):
                waits.append(now - int(found[1]) / 1e6)
            elif b"event: present" in event:
                present.set()


async def _main(port: int, token: str, count: int) -> None:
    waits: list[list[float]] = [[] for _ in range(count)]
    present = [asyncio.Event() for _ in range(count)]
    tasks = [
        asyncio.create_task(_listen(port, token, mine, there))
        for mine, there in zip(waits, present, strict=True)
    ]
    for there in present:
        await there.wait()
    print("present", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for task in tasks:
        task.cancel()
    print(json.dumps(waits))


TRIAL = Trial(
    name="followers",
    rows="speed",
    bar="no follower waits over a second for a change.",
    case=follow,
    short=1,
    long=1,
    lasting=follow,
)

if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
