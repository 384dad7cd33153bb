"""A client of the native API that needs no socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
from starlette.types import ASGIApp


class NativeClient:
    """Sends requests to an application in this process; ``token`` goes with each once logged on."""

    def __init__(self, app: ASGIApp, *, address: str = "127.0.0.1") -> None:
        self._transport = httpx.ASGITransport(app=app, client=(address, 1), raise_app_exceptions=False)
        self.token: str | None = None

    def log_on(self, name: str, password: str) -> NativeClient:
        answer = self.post("/tokens", {"name": name, "password": password})
        assert answer.status_code == 201, answer.text
        self.token = answer.json()["token"]
        return self

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def post(
        self, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return self.request("POST", path, json=body, headers=headers)

    def delete(self, path: str) -> httpx.Response:
        return self.request("DELETE", path)

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        own = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="https://test") as client:
                return await client.request(method, path, headers={**own, **(headers or {})}, **options)

        return asyncio.run(send())

    @contextmanager
    def listen(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[Listener]:
        """What a GET is answered piece by piece, until the block is left."""
        app = self._transport.app
        own = {} if self.token is None else {"authorization": f"Bearer {self.token}"}
        listener = Listener(app, path, {**own, **(headers or {})})
        try:
            yield listener
        finally:
            listener.leave()


class Listener:
    """``events``: what was received, as (event, id, data from JSON); ``comments``: how many lines of them."""

    def __init__(self, app: Any, path: str, headers: Mapping[str, str]) -> None:
        self.status = 0
        self.body = b""
        self.over = False
        path, _, query = path.partition("?")
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("test", 443),
        }
        self._left = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(app)), daemon=True)
        self._thread.start()

    @property
    def events(self) -> list[tuple[str, str | None, Any]]:
        found = []
        for block in self.body.decode().split("\n\n")[:-1]:
            parts = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            if "event" in parts:
                found.append((parts["event"], parts.get("id"), json.loads(parts["data"])))
        return found

    @property
    def sessions(self) -> list[dict[str, Any]]:
        return [data for event, _, data in self.events if event == "session"]

    @property
    def last_id(self) -> str:
        return [key for _, key, _ in self.events if key is not None][-1]

    def leave(self) -> None:
        self._left.set()
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _run(self, app: Any) -> None:
        asked = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            if asked:
                return asked.pop()
            while not self._left.is_set():
                await asyncio.sleep(0.01)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
            else:
                self.body += message.get("body", b"")
                self.over = not message.get("more_body", False)

        await app(self._scope, receive, send)
        self.over = True
