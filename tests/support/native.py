"""A client of the native API that needs no socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
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
