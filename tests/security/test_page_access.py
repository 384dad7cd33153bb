"""Who gets to the page, from where, and what the browser is told to keep to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from restorium.catalog import accounts, hosts, job_sessions, jobs, points
from restorium.catalog.accounts import Scope
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import AllOf, Compare, Visibility
from restorium.catalog.visibility import WHOLE_HOST
from restorium.vocabulary.restore import Caller
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionResult, SessionState
from restorium.web.app import PAGES, create
from tests.support.clock import ManualClock
from tests.support.em import PASSWORD, Site, populate, site

pytestmark = pytest.mark.slow

_HOME = "https://127.0.0.1:9398"
_OWN = {"Origin": _HOME}
_NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def here(database: Database, tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    with site(database, tmp_path, clock) as made:
        yield populate(made, clock)


@pytest.fixture
def browser(here: Site) -> TestClient:
    return _browser(here)


def _browser(here: Site) -> TestClient:
    return TestClient(create(here.engine), base_url=_HOME, follow_redirects=False, client=("127.0.0.1", 1))


def _log_on(browser: TestClient, name: str = "administrator", then: str = "") -> str:
    form = {"name": name, "password": PASSWORD, "next": then}
    answer = browser.post("/log-on", data=form, headers=_OWN)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def test_every_page_asks_to_log_on_first(browser: TestClient) -> None:
    for page in PAGES:
        path = page.path.replace("{path:path}", "x").replace("{vm_ref:path}", "x")
        path = path.replace("{id}", _NOBODY).replace("{host_id}", _NOBODY)
        answer = browser.request(page.method, path, headers=_OWN)
        assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (303, "/log-on"), path


def test_cookie_is_kept_from_scripts_and_other_sites(browser: TestClient) -> None:
    answer = browser.post("/log-on", data={"name": "administrator", "password": PASSWORD}, headers=_OWN)
    cookie = answer.headers["Set-Cookie"].lower()
    assert cookie.startswith("__host-restorium=")
    for part in ("httponly", "secure", "samesite=strict", "path=/"):
        assert part in cookie
    assert browser.get("/").status_code == 200
    assert browser.post("/log-off", headers=_OWN).headers["Location"] == "/log-on"
    browser.cookies.clear()
    browser.cookies.set("__Host-restorium", answer.cookies["__Host-restorium"])
    assert browser.get("/").status_code == 303


def test_idle_visitor_is_logged_off(browser: TestClient, clock: ManualClock) -> None:
    _log_on(browser)
    clock.advance(14 * 60)
    assert browser.get("/").status_code == 200
    clock.advance(16 * 60)
    assert browser.get("/sessions").headers["Location"] == "/log-on?next=%2Fsessions"


def test_guessing_is_throttled(browser: TestClient, clock: ManualClock) -> None:
    for _ in range(11):
        wrong = browser.post("/log-on", data={"name": "administrator", "password": "no"}, headers=_OWN)
        assert wrong.status_code == 401
    form = {"name": "administrator", "password": PASSWORD}
    assert browser.post("/log-on", data=form, headers=_OWN).status_code == 401
    clock.advance(61)
    assert browser.post("/log-on", data=form, headers=_OWN).status_code == 303


def test_post_from_elsewhere_is_refused(browser: TestClient, here: Site) -> None:
    elsewhere: list[dict[str, str]] = [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": _HOME, "Sec-Fetch-Site": "cross-site"},
        {"Origin": _HOME, "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ]
    _log_on(browser)
    form = {"name": "new", "password": "x", "role": "Portal Administrator"}
    for headers in elsewhere:
        assert browser.post("/accounts", data=form, headers=headers).status_code == 403, headers
    with here.database.read() as connection:
        assert "new" not in [account.name for account in accounts.list_all(connection)]


def test_forms_of_browsers_that_tell_the_site_alone_are_taken(browser: TestClient) -> None:
    form = {"name": "administrator", "password": PASSWORD}
    headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert browser.post("/log-on", data=form, headers=headers).status_code == 303


def test_name_that_is_not_the_servers_is_refused(browser: TestClient) -> None:
    answer = browser.get("/log-on", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert "evil.example" in answer.text


def test_log_on_leads_to_this_server_alone(browser: TestClient) -> None:
    for then in ("//evil.example", "/\\evil.example", "https://evil.example", "", "/x\ny"):
        assert _log_on(browser, then=then) == "/", then


def test_log_on_leads_to_what_was_asked_for(browser: TestClient) -> None:
    asked = browser.get("/vms?x=1").headers["Location"]
    assert asked == "/log-on?next=%2Fvms%3Fx%3D1"
    assert _log_on(browser, then="/vms?x=1") == "/vms?x=1"


def test_every_answer_keeps_the_browser_to_this_server(browser: TestClient) -> None:
    _log_on(browser)
    for path in ("/", "/log-on", "/nothing", "/static/style.css", "/static/page.js", "/accounts/x"):
        answer = browser.get(path)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert " style=" not in answer.text
        assert "<script>" not in answer.text


def test_what_an_account_may_not_do_is_neither_offered_nor_done(here: Site) -> None:
    with here.database.write() as connection:
        operator = accounts.add(connection, "operator", PASSWORD, roles={Role.VM_RESTORE_OPERATOR})
        accounts.set_scopes(connection, operator.id, [Scope(here.vms[0].host_id, here.vms[0].vm_ref)])
    browser = _browser(here)
    _log_on(browser, "operator")
    first = browser.get("/").text
    assert 'href="/vms"' in first
    assert 'href="/jobs"' not in first
    assert browser.get("/jobs").status_code == 403
    assert browser.post(f"/jobs/{here.ids['Job']}/start", headers=_OWN).status_code == 403
    shown = browser.get("/vms").text
    assert shown.count('data-label="VM"') == 1
    assert browser.get(f"/points/{here.ids['VmRestorePoint']}").status_code == 404
    assert browser.get(f"/sessions/{here.ids['RestoreSession']}").status_code == 404


def test_operator_chooses_among_the_hosts_it_may_restore_to(here: Site) -> None:
    """Those of which its scope has every VM, by their names alone."""
    vm = here.vms[0]
    with here.database.write() as connection:
        operator = accounts.add(connection, "operator", PASSWORD, roles={Role.VM_RESTORE_OPERATOR})
        accounts.set_scopes(connection, operator.id, [Scope(vm.host_id, vm.vm_ref)])
        [other] = {row.id: row for row in hosts.list_all(connection) if row.id != vm.host_id}.values()
    browser = _browser(here)
    _log_on(browser, "operator")
    with here.database.read() as connection:
        [point] = points.vm_listing.page(
            connection,
            where=AllOf([Compare("host_id", "==", vm.host_id), Compare("vm_ref", "==", vm.vm_ref)]),
            visible=Visibility.everything(),
        )
    assert f'<option value="{other.id}"' not in browser.get(f"/points/{point.id}").text
    with here.database.write() as connection:
        accounts.allow(connection, operator.id, [Scope(other.id, WHOLE_HOST)])
    text = browser.get(f"/points/{point.id}").text
    assert f'<option value="{other.id}">{other.name}</option>' in text
    assert other.address not in text


def test_overview_names_vms_that_were_never_backed_up(browser: TestClient, here: Site) -> None:
    with here.database.write() as connection:
        new = JobVm(here.vms[0].host_id, "vm-new", "brand new")
        jobs.add_object(connection, here.ids["Job"], new)
    _log_on(browser)
    assert "brand new" in browser.get("/").text


def test_vms_at_risk_are_those_of_the_native_api(browser: TestClient, clock: ManualClock) -> None:
    _log_on(browser)
    assert "Never restored" in browser.get("/vms").text
    assert "Never restored" in browser.get("/").text
    clock.advance(60 * 24 * 3600)
    _log_on(browser)
    assert re.search(r"Not restored for \d\d days", browser.get("/vms").text)
    assert re.search(r"Not restored for \d\d days", browser.get("/").text)


def test_long_lists_are_turned_page_by_page(
    browser: TestClient, here: Site, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restorium.web.pages.jobs._RUNS", 2)
    path = f"/jobs/{here.ids['Job']}"
    with here.database.write() as connection:
        for _ in range(4):
            clock.advance(60)
            run = job_sessions.create(connection, here.ids["Job"], Caller("jo", None))
            job_sessions.advance(connection, run.id, SessionState.STOPPED, result=SessionResult.SUCCESS)
    _log_on(browser)
    address, seen = path, list[str]()
    while address:
        text = browser.get(address).text
        assert ("Newest" in text) == (address != path)
        seen += re.findall(r'href="/job-sessions/([-0-9a-f]+)"', text)
        older = re.search(r'href="([^"]+)">Older', text)
        address = older[1] if older else ""
    assert len(seen) == len(set(seen)) >= 5


def test_names_are_escaped(browser: TestClient) -> None:
    _log_on(browser)
    text = browser.get("/vms").text
    assert "&lt;co&gt;" in text
    assert "<co>" not in text


def test_errors_are_pages_with_a_remedy(browser: TestClient) -> None:
    _log_on(browser)
    missing = browser.get(f"/sessions/{_NOBODY}")
    assert missing.status_code == 404
    assert f"There is no restore session {_NOBODY}" in missing.text
    refused = browser.post("/accounts", data={"name": "", "password": "x"}, headers=_OWN)
    assert refused.status_code == 400
    assert "Add an account" in refused.text
    assert browser.put("/vms", headers=_OWN).status_code == 405
