"""Whatever is sent, there is an answer: at once, well formed, and never that the server failed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.em import (
    FACTS,
    HEADER,
    PASSWORD,
    EmClient,
    Site,
    basic,
    record_restores,
    standing_site,
    tag,
)

_SLOWEST = 5.0  # seconds
_GUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
_PATHS = [facts["path"] for facts in FACTS["types"].values()]
_WORDS = [
    *_PATHS,
    "query",
    "querySvc",
    "tasks",
    "task-1",
    "logonSessions",
    "includes",
    "mounts",
    "taskSessions",
    "credentials",
    "restorePoints",
    "..",
    ".",
    "%2e%2e",
    "%00",
    "%ff",
    "%2f",
    "~",
]
_LATIN = st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")
_SEGMENTS = st.sampled_from(_WORDS) | st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="?#"), max_size=12
)
_VALUES = st.sampled_from(
    [
        "Entity",
        "1",
        "0",
        "-1",
        "99999999999999999999",
        "Name",
        "Name,State",
        "State==Stopped",
        'Name=="x"',
        "CreationTime>2026-01-01",
        "CreationTime>0001-01-01;EndTime<9999-12-31T23:59:59.999999-14:00",
        "Progress>1",
        "HierarchyObjRef>x",
        "UID==x",
        "CompressRatio>1e9",
        "restore",
        "start",
        "latest",
        "%FF",
        "%00",
        "%ED%A0%80",
        *FACTS["types"],
    ]
) | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=20)
_QUERIES = st.lists(
    st.tuples(
        st.sampled_from(
            ["type", "filter", "format", "pageSize", "page", "sortAsc", "sortDesc", "action", "v", "x", ""]
        ),
        _VALUES,
    ),
    max_size=4,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
_HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Accept",
            "Host",
            "Cookie",
            "Authorization",
            "Content-Type",
            "X-Forwarded-Host",
            HEADER,
            "Content-Length",
        ]
    ),
    st.text(_LATIN, max_size=30)
    | st.sampled_from(
        [
            "application/json",
            "application/xml",
            "*/*",
            "127.0.0.1",
            "localhost",
            f"{HEADER}=x",
            "Basic eDp5",
            "7",
        ]
    ),
    max_size=3,
)
_BODIES = st.binary(max_size=60) | st.sampled_from(
    [
        b"",
        b"{}",
        b'{"VmRestoreSpec":{}}',
        b"<RestoreSpec><VmRestoreSpec/></RestoreSpec>",
        b"<a/>",
        b"[]",
        b"\xef\xbb\xbf",
    ]
)


@pytest.fixture(scope="module")
def here(request: pytest.FixtureRequest) -> Iterator[Site]:
    with standing_site(request, "sqlite") as made:
        yield made


@pytest.fixture(scope="module")
def patched() -> Iterator[None]:
    """Restores are recorded only; jobs of the fuzz have no id that is there."""
    with pytest.MonkeyPatch.context() as patch:
        record_restores(patch)
        yield


@settings(
    max_examples=500,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    method=st.sampled_from(
        ["GET", "GET", "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "PROPFIND", "x"]
    ),
    segments=st.lists(_SEGMENTS, max_size=4),
    identified=st.sampled_from([*_PATHS, None, None]),
    query=_QUERIES,
    headers=_HEADERS,
    body=_BODIES,
    logged_on=st.integers(0, 5),
)
def test_every_request_is_answered(
    here: Site,
    patched: None,
    method: str,
    segments: list[str],
    identified: str | None,
    query: str,
    headers: dict[str, str],
    body: bytes,
    logged_on: int,
) -> None:
    client = here.client() if logged_on else here.anonymous()
    if identified is not None:
        kind = next(name for name, facts in FACTS["types"].items() if facts["path"] == identified)
        own = kind == "VmRestorePoint" or method == "GET"
        segments = [identified, str(here.ids[kind]) if own else _GUID, *segments[:1]]
    path = "/" + "/".join(segments) + (f"?{query}" if query else "")
    begun = time.monotonic()
    answer = client.request(method, path, headers, body)
    assert time.monotonic() - begun < _SLOWEST
    unknown_task = answer.status == 500 and "task with id" in answer.message
    assert answer.status < 500 or answer.status == 501 or unknown_task, (method, path, headers, answer.text)
    for name, value in answer.headers:
        assert not {"\r", "\n", "\0"} & set(name + value)
    if answer.status != 204 and method != "HEAD":
        if answer.header("Content-Type") == "application/json":
            assert (answer.json.get("StatusCode") == answer.status) == (answer.status >= 400)
        else:
            assert (tag(answer.xml) == "Error") == (answer.status >= 400)
    assert client.token is None or client.token not in answer.text or "LogonSession" in answer.text
    assert PASSWORD not in answer.text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    host=st.text(_LATIN, max_size=40)
    | st.tuples(
        st.sampled_from(["127.0.0.1", "localhost", "[::1]", "evil.example.org"]),
        st.sampled_from(["", ":9398", ":0", "\r\nX: y", "/..", "@evil", "#", "?", "\x00", ":"]),
    ).map("".join),
    proxied=st.booleans(),
)
def test_host_is_one_of_ours_to_the_letter_or_refused(here: Site, host: str, proxied: bool) -> None:
    name = "X-Forwarded-Host" if proxied else "Host"
    answer = here.anonymous().request("GET", "/", {name: host})
    if answer.status == 200:
        expected = "127.0.0.1:9398" if proxied or not host else host
        assert f'Href="https://{expected}/api/logonSessions"' in answer.text
    else:
        assert (answer.status, "://" in answer.message) == (400, False)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(_LATIN, max_size=20), password=st.text(max_size=20), raw=st.binary(max_size=20))
def test_credentials_of_any_bytes_are_refused(here: Site, name: str, password: str, raw: bytes) -> None:
    for header in (basic(name, password.encode(errors="replace").decode()), "Basic " + raw.decode("latin-1")):
        sent = header.replace("\r", "").replace("\n", "")
        answer = EmClient(here.app).request("POST", "/sessionMngr/", {"Authorization": sent})
        assert answer.status == 401
        assert answer.header("WWW-Authenticate") == "Basic Realm=RestSvc"
