"""A client of a running server's native API, logged on for the length of one command."""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent

from restorium.cli.data_folder import DataFolder
from restorium.vocabulary.errors import (
    InvalidInput,
    NotAuthenticated,
    NotFound,
    RestoriumError,
    ServerUnreachable,
)

_TIMEOUT_SECONDS = 60.0
_AGAIN_SECONDS = 0.5
_PATIENCE_SECONDS = 120.0
_PAGE = 1000
"""The most that a server gives at once."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach and log on to a server; what is None is found through the data folder."""

    server: str | None
    username: str
    password_file: Path | None
    ca: Path | None
    data: Path


class Client:
    """Speaks JSON to ``/v1``. Methods raise the error that the server answered with, or ServerUnreachable.

    renew: finds the server again, which may have another address now, and logs on anew.
    """

    def __init__(self, http: httpx.Client, renew: Callable[[], None]) -> None:
        self._http = http
        self._renew = renew

    def get(self, path: str, **query: str | int | None) -> Any:
        given = {name: value for name, value in query.items() if value is not None}
        return self.request("GET", path, params=given)

    def items(
        self, path: str, *, limit: int | None = None, **query: str | int | None
    ) -> list[dict[str, Any]]:
        """The members of a collection, page by page: the first ``limit``, all if that is None."""
        found: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            most = None if limit is None else min(_PAGE, limit - len(found))
            page = self.get(path, **query, limit=most, after=after)
            found += page["items"]
            after = page.get("next")
            if after is None or (limit is not None and len(found) >= limit):
                return found

    def named(self, path: str, name: str) -> dict[str, Any]:
        """The one member of a collection that is called ``name`` or has it as its id. Raises NotFound."""
        for item in self.items(path):
            if name in (item["name"], item["id"]):
                return item
        raise NotFound(f"there is no {name!r} in {path}", hint="List them to see what there is.")

    def post(
        self, path: str, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> Any:
        return self.request("POST", path, json=body, headers=headers)

    def delete(self, path: str) -> None:
        self.request("DELETE", path)

    def lines(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> Generator[dict[str, Any], None, None]:
        """What is answered line by line. Closing the iterator leaves, which ends what the server does for it."""
        try:
            with self._http.stream(method, f"/v1{path}", json=body) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _error(answer)
                for line in answer.iter_lines():
                    yield json.loads(line)
        except httpx.TransportError as error:
            raise ServerUnreachable(f"the server at {self._http.base_url} is gone: {error}") from None

    def events(self, path: str) -> Generator[tuple[str, dict[str, Any]], None, None]:
        """Server-sent events: their names and data, up to one that is called ``end``.

        A connection that breaks is made again, for as long as a server may take to be started anew, and goes on where
        it was; so is one whose logon session has ended.
        """
        last, heard = "", time.monotonic()
        while True:
            try:
                for event in self._listen(path, last):
                    last, heard = event.id or last, time.monotonic()
                    if event.data:  # a comment comes as an event of nothing
                        yield event.event, event.json()
                    if event.event == "end":
                        return
            except (ServerUnreachable, NotAuthenticated):
                if not last or time.monotonic() - heard > _PATIENCE_SECONDS:
                    raise
                if not self._knows_me():
                    with suppress(ServerUnreachable):
                        self._renew()
            time.sleep(_AGAIN_SECONDS)

    def _listen(self, path: str, last: str) -> Iterator[ServerSentEvent]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        try:
            with self._http.stream("GET", f"/v1{path}", headers=headers) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _error(answer)
                yield from EventSource(answer).iter_sse()
        except httpx.TransportError as error:
            raise ServerUnreachable(f"the server at {self._http.base_url} is gone: {error}") from None

    def _knows_me(self) -> bool:
        try:
            self.get("/restore-sessions", limit=1)
        except (ServerUnreachable, NotAuthenticated):
            return False
        return True

    def content(
        self, path: str, headers: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None
    ) -> bytes:
        """What is answered as it is. May be called from several threads."""
        return self._answered("GET", path, headers=headers, params=query).content

    def pieces(self, path: str, query: dict[str, str]) -> Iterator[bytes]:
        """What is answered as it is, while it comes."""
        try:
            with self._http.stream("GET", f"/v1{path}", params=query) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _error(answer)
                yield from answer.iter_bytes()
        except httpx.TransportError as error:
            raise ServerUnreachable(f"the server at {self._http.base_url} is gone: {error}") from None

    def request(self, method: str, path: str, **options: Any) -> Any:
        answer = self._answered(method, path, **options)
        return answer.json() if answer.content else None

    def _answered(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, f"/v1{path}", **options)
        except httpx.TimeoutException:
            raise ServerUnreachable(f"the server at {self._http.base_url} does not answer") from None
        except httpx.TransportError as error:
            raise ServerUnreachable(f"cannot reach the server at {self._http.base_url}: {error}") from None
        if answer.is_success:
            return answer
        raise _error(answer)


@contextmanager
def connect(connection: Connection) -> Iterator[Client]:
    """Log on, hand over the client, log off. Raises ServerUnreachable, NotAuthenticated, InvalidInput."""
    folder = DataFolder(connection.data)
    url, trust = _locate(connection, folder)
    with httpx.Client(base_url=url, verify=trust, timeout=_TIMEOUT_SECONDS) as http:

        def log_on() -> None:
            http.base_url = _locate(connection, folder)[0]
            credentials = {"name": connection.username, "password": _password(connection, folder)}
            token = client.request("POST", "/tokens", json=credentials)["token"]
            http.headers["Authorization"] = f"Bearer {token}"

        client = Client(http, log_on)
        log_on()
        try:
            yield client
        finally:
            # A server that is gone has ended the logon, or will.
            with suppress(ServerUnreachable, NotAuthenticated):
                client.delete("/tokens/current")


def _locate(connection: Connection, folder: DataFolder) -> tuple[str, ssl.SSLContext]:
    if connection.server is not None:
        return connection.server.rstrip("/"), _trust(connection.ca)
    running = folder.running_server()
    if running is None:
        raise ServerUnreachable(
            f"no server runs on the data folder {folder.path}",
            hint="Start one with `restorium serve`, or name one with --server or --data.",
        )
    return running.url, _trust(connection.ca or running.certificate)


def _trust(certificate: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=certificate)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(
            f"{certificate} cannot be read as a certificate: {error}", hint="Name a PEM file with --ca."
        ) from None


def _password(connection: Connection, folder: DataFolder) -> str:
    given = os.environ.get("RESTORIUM_PASSWORD")
    if connection.password_file is None and given is not None:
        return given
    file = connection.password_file or folder.initial_password
    try:
        return file.read_text().rstrip("\r\n")
    except OSError as error:
        raise NotAuthenticated(
            f"cannot read a password from {file}: {error.strerror}",
            hint="Name a file with --password-file or set RESTORIUM_PASSWORD.",
        ) from None


def error_of(told: dict[str, str]) -> RestoriumError:
    """The error that an object of the API tells. Raises KeyError, TypeError for what is none."""
    return _by_code().get(told["code"], RestoriumError)(told["message"], hint=told["hint"])


def _error(answer: httpx.Response) -> RestoriumError:
    try:
        return error_of(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return ServerUnreachable(
            f"{answer.url} answered {answer.status_code} and no Restorium error", hint="Check --server."
        )


def _by_code() -> dict[str, type[RestoriumError]]:
    found: dict[str, type[RestoriumError]] = {}
    waiting: list[type[RestoriumError]] = [RestoriumError]
    while waiting:
        kind = waiting.pop()
        if "code" in vars(kind):  # not those that rooms make of one for their own use
            found[kind.code] = kind
        waiting.extend(kind.__subclasses__())
    return found
