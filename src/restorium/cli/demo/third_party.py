"""A client of the Enterprise Manager API that knows its documents and nothing of this program.

It is given the address of ``/api/``, an account and the server's certificate; every other address is a link
that the server gave it. Source: the public reference of the API, version 1.7.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from lxml import etree

from restorium.vocabulary.errors import HostError

_SPACE = "{http://www.veeam.com/ent/v1.0}"
_POLL_SECONDS = 0.2
_TIMEOUT_SECONDS = 60.0
_RESTORE_BESIDE = (
    '<RestoreSpec xmlns="http://www.veeam.com/ent/v1.0"><VmRestoreSpec>'
    "<PowerOnAfterRestore>false</PowerOnAfterRestore><QuickRollback>false</QuickRollback>"
    "<KeepOriginalVM>true</KeepOriginalVM></VmRestoreSpec></RestoreSpec>"
)


@dataclass(frozen=True, slots=True)
class RestoreSessionSeen:
    """A restore session as the API shows it."""

    href: str
    document: etree._Element

    def __getitem__(self, element: str) -> str:
        """An element's text; empty where it is absent."""
        return self.document.findtext(_SPACE + element, "")


class ThirdParty:
    """Logged on from construction to the end of the block. Raises HostError where the API does not hold."""

    def __init__(self, server_url: str, username: str, password: str, certificate: Path) -> None:
        self._http = httpx.Client(
            verify=ssl.create_default_context(cafile=certificate), timeout=_TIMEOUT_SECONDS
        )
        root = self._xml("GET", f"{server_url}/api/")
        logon = self._http.post(_link(root, type="LogonSession"), auth=(username, password))
        self._expect(logon, 201)
        self._http.headers["X-RestSvcSessionId"] = logon.headers["X-RestSvcSessionId"]
        self._session = _parse(logon.content)

    def first_point(self, vm_name: str) -> etree._Element:
        """The oldest VM restore point of the VM, as an entity."""
        query = _link(self._session, type="QueryService").replace("querySvc", "query")
        found = self._xml(
            "GET",
            query,
            params={
                "type": "VmRestorePoint",
                "format": "Entities",
                "filter": f'VmDisplayName=="{vm_name}"',
                "sortAsc": "CreationTime",
                "pageSize": "1",
            },
        ).find(f".//{_SPACE}VmRestorePoint")
        if found is None:
            raise HostError(f"the API knows no restore point of {vm_name}")
        return found

    def start_restore(self, point: etree._Element) -> str:
        """Restore beside the original; gives the restore session's address once the task has finished."""
        task = self._xml(
            "POST",
            _link(point, rel="Restore"),
            expected=202,
            content=_RESTORE_BESIDE,
            headers={"Content-Type": "application/xml"},
        )
        while task.findtext(f"{_SPACE}State") != "Finished":
            time.sleep(_POLL_SECONDS)
            task = self._xml("GET", task.get("Href", ""))
        result = task.find(f"{_SPACE}Result")
        if result is None or result.get("Success") != "true":
            raise HostError(
                f"the restore did not start: {'' if result is None else result.findtext(f'{_SPACE}Message')}"
            )
        return _link(task, rel="Related", type="RestoreSession")

    def watch(self, href: str, progress: Callable[[int], None]) -> RestoreSessionSeen:
        """Poll a restore session until it is Stopped; ``progress`` is given its percentage each time."""
        while True:
            seen = RestoreSessionSeen(href, self._xml("GET", href))
            progress(int(seen["Progress"]))
            if seen["State"] == "Stopped":
                return seen
            time.sleep(_POLL_SECONDS)

    def text(self, href: str, media_type: str) -> str:
        """The document at ``href`` in the representation asked for."""
        answer = self._http.get(href, headers={"Accept": media_type})
        self._expect(answer, 200)
        return answer.text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._expect(self._http.delete(_link(self._session, rel="Delete")), 204)
        finally:
            self._http.close()

    def _xml(self, method: str, url: str, *, expected: int = 200, **options: object) -> etree._Element:
        answer = self._http.request(method, url, **options)  # type: ignore[arg-type]
        self._expect(answer, expected)
        return _parse(answer.content)

    def _expect(self, answer: httpx.Response, status: int) -> None:
        if answer.status_code != status:
            raise HostError(
                f"{answer.request.method} {answer.url} answered {answer.status_code}: {answer.text[:300]}"
            )


def _link(document: etree._Element, **wanted: str) -> str:
    """The first link of a document with the attributes wanted: ``rel``, ``type``."""
    for link in document.iterfind(f"{_SPACE}Links/{_SPACE}Link"):
        if all(link.get(name.capitalize()) == value for name, value in wanted.items()):
            return link.get("Href", "")
    raise HostError(f"{document.tag} has no link with {wanted}")


def _parse(content: bytes) -> etree._Element:
    return etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))
