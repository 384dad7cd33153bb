"""Requests to Cloud Director, logged on as a system administrator.

The certificate is verified, or held against a thumbprint, before anything is sent. A session that ran out is made anew.
"""

from __future__ import annotations

import re
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
from lxml import etree

from restorium.hosts.addresses import HttpsAddress
from restorium.hosts.cloud_director.xml import first, named, parse, text_of, written
from restorium.hosts.interface import Login
from restorium.hosts.pinning import trusting, untrusted
from restorium.vocabulary.errors import HostError, InvalidInput, VmNotFound

_CONNECT_SECONDS = 15.0
_ANSWER_SECONDS = 60.0
_PAGE = 128
"""The most records that it gives at once."""
_LATEST = (39, 1)
"""The newest version of the API that is asked for; older ones serve as well down to the oldest."""
_OLDEST = (33, 0)
_TOKEN = "X-VMWARE-VCLOUD-ACCESS-TOKEN"  # noqa: S105  the name of a header
_VERSION = re.compile(r"(\d+)\.(\d+)")
_LOOK_SECONDS = (0.02, 2.0)
"""Between two looks at a task: the first time, and at the most; each is twice as long as the one before."""
_NEVER_DONE = ("error", "aborted", "canceled")

Record = Mapping[str, str]
"""One row of an answer of the query service: its attributes."""


class Client:
    """One Cloud Director at ``https://…``; nothing is contacted before the first request. Used by several threads."""

    def __init__(self, address: str, login: Login) -> None:
        """Raises InvalidInput for an address or account that cannot be."""
        parsed = HttpsAddress.parse(
            address, of="Cloud Director", hint="Write https://name or https://name:port."
        )
        if not login.username or login.password is None:
            raise InvalidInput("Cloud Director needs a logon", hint="Give the user name and password.")
        user, _, organisation = login.username.partition("@")
        if organisation.lower() not in ("", "system"):
            raise InvalidInput(
                f"{login.username} is an account of the organisation {organisation}",
                hint="Log on as a system administrator: only they are told where a VM's data lies.",
            )
        self.host, self._port, self.base = parsed.host, parsed.port, parsed.url
        self._account = f"{user}@System"
        self._login = login
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None
        self._session: tuple[str, str] | None = None

    def get(self, path: str) -> etree._Element:
        return self._asked("GET", path)

    def put(self, path: str, body: etree._Element, media: str) -> None:
        """Change a thing, and wait until that is done."""
        self.wait(self._asked("PUT", path, body, media))

    def post(self, path: str, body: etree._Element | None = None, media: str | None = None) -> etree._Element:
        """Have something done; gives the answer when it is."""
        answer = self._asked("POST", path, body, media)
        self.wait(answer)
        return answer

    def delete(self, path: str) -> None:
        self.wait(self._asked("DELETE", path))

    def records(self, kind: str, condition: str | None = None) -> Iterator[Record]:
        """All that the query service knows of a kind, page by page. condition: in its language of filters."""
        page, total = 1, 1
        while (page - 1) * _PAGE < total:
            query = {"type": kind, "format": "records", "page": str(page), "pageSize": str(_PAGE)}
            if condition is not None:
                query |= {"filter": condition, "filterEncoded": "true"}
            answer = self.get(f"/api/query?{httpx.QueryParams(query)}")
            total = int(answer.get("total") or 0)
            for child in answer:
                if isinstance(child.tag, str) and etree.QName(child).localname.endswith("Record"):
                    yield {str(name): str(value) for name, value in child.attrib.items()}
            page += 1

    def wait(self, answer: etree._Element) -> None:
        """Until the task in an answer, if there is one, has ended. Raises HostError with Cloud Director's reason."""
        task = first(answer, "Task")
        pause, longest = _LOOK_SECONDS
        while task is not None and task.get("status") != "success":
            if task.get("status") in _NEVER_DONE:
                error = first(task, "Error")
                reason = "no reason is given" if error is None else error.get("message")
                raise HostError(
                    f"Cloud Director {self.host} could not do it ({task.get('operation') or 'task'}): {reason}",
                    hint="Look at the task in Cloud Director's task list.",
                )
            time.sleep(pause)
            pause = min(pause * 2, longest)
            task = self.get(_path(str(task.get("href"))))

    def close(self) -> None:
        with self._lock:
            self._forget()

    def _asked(
        self, method: str, path: str, body: etree._Element | None = None, media: str | None = None
    ) -> etree._Element:
        content = None if body is None else written(body)
        for last in (False, True):
            http, (token, version) = self._logged_on()
            headers = {"Authorization": f"Bearer {token}", "Accept": f"application/*+xml;version={version}"}
            if media is not None:
                headers["Content-Type"] = f"application/vnd.vmware.{media}+xml"
            response = self._sent(http, method, path, headers, content, again=method == "GET")
            if response.status_code == httpx.codes.UNAUTHORIZED and not last:
                self._renew(token)
                continue
            return self._read(response, method, path)
        raise AssertionError("the last answer is read or raises")

    def _read(self, response: httpx.Response, method: str, path: str) -> etree._Element:
        where = f"Cloud Director {self.host}"
        if response.is_success:
            return parse(response.content, where) if response.content else etree.Element("Nothing")
        reason = _reason(response)
        if response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.FORBIDDEN) and "/vApp/vm-" in path:
            raise VmNotFound(f"{where} has no such VM: {reason}")
        raise HostError(
            f"{where} refuses {method} {path.partition('?')[0]} ({response.status_code}): {reason}",
            hint="Check that the account is a system administrator, and what Cloud Director's log says.",
        )

    def _logged_on(self) -> tuple[httpx.Client, tuple[str, str]]:
        with self._lock:
            if self._http is None:
                context = trusting(self.host, self._port, self._login.thumbprint, timeout=_CONNECT_SECONDS)
                self._http = httpx.Client(
                    base_url=self.base,
                    verify=context,
                    timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
                    trust_env=False,
                )
            if self._session is None:
                self._session = self._log_on(self._http)
            return self._http, self._session

    def _log_on(self, http: httpx.Client) -> tuple[str, str]:
        """The session's token, and the version of the API that is spoken in it."""
        version = self._version(http)
        headers = {
            "Accept": f"application/json;version={version}",
            "Authorization": f"Basic {b64encode(f'{self._account}:{self._login.password}'.encode()).decode()}",
        }
        response = self._sent(http, "POST", "/cloudapi/1.0.0/sessions/provider", headers, None, again=False)
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise HostError(
                f"Cloud Director {self.host} does not accept the account {self._account}",
                hint="Check user name and password; the account must be a system administrator's.",
            )
        token = response.headers.get(_TOKEN)
        if not response.is_success or not token:
            raise HostError(
                f"Cloud Director {self.host} opens no session ({response.status_code}): {_reason(response)}"
            )
        return token, version

    def _version(self, http: httpx.Client) -> str:
        response = self._sent(http, "GET", "/api/versions", {"Accept": "application/*+xml"}, None, again=True)
        offered = set()
        for info in named(self._read(response, "GET", "/api/versions"), "VersionInfo"):
            found = _VERSION.fullmatch(text_of(info, "Version") or "")
            if found:
                offered.add((int(found[1]), int(found[2])))
        known = [each for each in offered if _OLDEST <= each <= _LATEST]
        if not known:
            raise HostError(
                f"Cloud Director {self.host} speaks no version of its API from {_OLDEST[0]}.{_OLDEST[1]} to "
                f"{_LATEST[0]}.{_LATEST[1]}",
                hint="Check that the address is Cloud Director's.",
            )
        major, minor = max(known)
        return f"{major}.{minor}"

    def _sent(
        self,
        http: httpx.Client,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes | None,
        *,
        again: bool,
    ) -> httpx.Response:
        """again: whether it may be sent a second time if the connection is lost over it."""
        try:
            return http.request(method, path, headers=dict(headers), content=content)
        except httpx.TransportError as error:
            if again and not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                return self._sent(http, method, path, headers, content, again=False)
            told = str(error) or type(error).__name__
            if "certificate" in told.lower():
                raise untrusted(self.host, told) from error
            raise HostError(
                f"Cloud Director {self.host} cannot be reached: {told}",
                hint="Check the address, and that Cloud Director runs.",
            ) from error

    def _renew(self, token: str) -> None:
        with self._lock:
            if self._session is not None and self._session[0] == token:
                self._session = None

    def _forget(self) -> None:
        http, self._http = self._http, None
        session, self._session = self._session, None
        if http is None:
            return
        if session is not None:
            headers = {
                "Authorization": f"Bearer {session[0]}",
                "Accept": f"application/json;version={session[1]}",
            }
            with suppress(httpx.HTTPError):  # it ends by itself
                http.delete("/cloudapi/1.0.0/sessions/current", headers=headers, timeout=_CONNECT_SECONDS)
        http.close()


def _path(href: str) -> str:
    """Whatever name Cloud Director gives itself, the token goes to the one whose certificate was looked at."""
    parts = urlsplit(href)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _reason(response: httpx.Response) -> str:
    """What an answer that refuses says of itself."""
    found = re.search(r'\bmessage"?\s*[=:]\s*"([^"]*)"', response.text)
    return found[1] if found and found[1] else "no reason is given"
