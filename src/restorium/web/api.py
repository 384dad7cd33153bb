"""The native API as a page asks it: the operations themselves, in this process, as whoever is logged on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request

from restorium.flows.engine import Engine
from restorium.native.app import OPERATIONS
from restorium.native.tokens import Logon

_OPERATIONS = {(operation.method, operation.path): operation for operation in OPERATIONS}
_PAGE = "1000"
_NAME = re.compile(r"\{(\w+)\}")


class Api:
    """``request`` is the browser's: what is asked comes from its address."""

    def __init__(self, engine: Engine, logon: Logon, request: Request) -> None:
        self._engine = engine
        self._logon = logon
        self._request = request

    def may(self, method: str, path: str) -> bool:
        """Whether the account has a role that the operation asks for."""
        return bool(_OPERATIONS[method, path].roles & self._logon.account.roles)

    def get(self, path: str, query: Mapping[str, str] | None = None, **ids: str) -> Any:
        """What the operation gives: a struct of ``native``, or a response. Raises what it raises."""
        return self._ask("GET", path, ids, query=query)

    def every(self, path: str) -> list[Any]:
        """All items of a list that comes in pages."""
        found, query = [], {"limit": _PAGE}
        while True:
            page = self.get(path, query)
            found += page.items
            if page.next is None:
                return found
            query["after"] = page.next

    def post(self, path: str, body: Any = None, *, key: str | None = None, **ids: str) -> Any:
        """``body`` is the struct that the operation takes, ``key`` an idempotency key."""
        return self._ask("POST", path, ids, body=body, key=key)

    def put(self, path: str, body: Any, **ids: str) -> Any:
        return self._ask("PUT", path, ids, body=body)

    def patch(self, path: str, body: Any, **ids: str) -> Any:
        return self._ask("PATCH", path, ids, body=body)

    def delete(self, path: str, **ids: str) -> None:
        self._ask("DELETE", path, ids)

    def _ask(
        self,
        method: str,
        path: str,
        ids: Mapping[str, str],
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        key: str | None = None,
    ) -> Any:
        filled = _NAME.sub(lambda match: quote(ids[match[1]], safe=""), path)
        asked = {
            **self._request.scope,
            "method": method,
            "root_path": "/v1",
            "app_root_path": "",
            "path": f"/v1{filled}",
            "path_params": dict(ids),
            "query_string": urlencode(query or {}).encode(),
            "headers": [] if key is None else [(b"idempotency-key", key.encode())],
        }
        return _OPERATIONS[method, path].perform(self._engine, self._logon, Request(asked), lambda: body)
