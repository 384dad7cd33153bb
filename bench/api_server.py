"""One of the servers that bench/api.py compares, on a loopback port, over plain HTTP with one worker.

python -m bench.api_server static | orm URL | restorium URL: prints its port, then serves until it is told to stop.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from restorium.cli.listener import Address, bind

_STATIC = b"<RestoreSession>" + b"x" * 1600 + b"</RestoreSession>"


async def static(_scope: Scope, _receive: Receive, send: Send) -> None:
    """The least that an ASGI application can do, with an answer as long as a restore session's."""
    headers = [(b"content-type", b"application/xml"), (b"content-length", str(len(_STATIC)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _STATIC})


def orm(url: str) -> ASGIApp:
    """The same resource as FastAPI, Pydantic and SQLAlchemy's ORM are commonly put together: a dependency that finds
    the logon session, a row with its parents, a model that is validated and written as JSON.
    """
    from bench.api_orm import create

    return create(url)


def restorium(url: str) -> ASGIApp:
    """The Enterprise Manager face on the catalog at ``url``; no flows run."""
    from restorium.catalog.database import Database
    from restorium.em.app import create
    from restorium.flows.engine import Engine
    from restorium.settings import Settings
    from restorium.vocabulary.clock import SystemClock

    clock = SystemClock()
    settings = Settings(data=Path(tempfile.mkdtemp(prefix="restorium-bench-")))
    return create(Engine(settings, Database.open(url, clock), clock))


def main(kind: str, *arguments: str) -> None:
    app: ASGIApp = static if kind == "static" else {"orm": orm, "restorium": restorium}[kind](*arguments)
    with bind(Address("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
