"""Changing jobs through the Enterprise Manager API: what a client sends is what it sees the moment after."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from lxml import etree

from restorium.catalog import jobs, schedules
from restorium.catalog.database import Database
from restorium.catalog.listing import Row
from restorium.flows import inventory
from restorium.hosts.interface import VmInfo
from restorium.vocabulary.retention import (
    Gfs,
    KeepMonthly,
    KeepWeekly,
    KeepYearly,
    RetainBy,
    Retention,
    WeekOfMonth,
)
from restorium.vocabulary.roles import Role
from restorium.vocabulary.schedule import (
    Daily,
    DailyKind,
    Hours,
    Month,
    Monthly,
    Periodic,
    PeriodKind,
    Retry,
    Schedule,
    Weekday,
    WeekInMonth,
)
from tests.support.clock import ManualClock
from tests.support.em import JSON, NAMESPACE, Answer, EmClient, Site, children, links, populate, site, tag

NIGHT = ",".join(["0"] * 6 + ["1"] * 16 + ["0"] * 2)
BERLIN = Schedule("Europe/Berlin", daily=Daily(time(22)), retry=Retry(2, 15))


@pytest.fixture
def here(database: Database, tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    with site(database, tmp_path, clock) as made:
        yield populate(made, clock)


@pytest.fixture
def client(here: Site) -> EmClient:
    return here.client()


@pytest.fixture
def path(here: Site) -> str:
    return f"/jobs/{here.ids['Job']}"


def _job(here: Site) -> Row:
    with here.database.read() as connection:
        return jobs.get(connection, here.ids["Job"])


def _set(here: Site, schedule: Schedule | None, *, enabled: bool = True) -> None:
    with here.database.write() as connection:
        schedules.configure(connection, here.ids["Job"], schedule, enabled=enabled)


def _outcome(client: EmClient, answer: Answer, operation: str) -> tuple[str, str, list[dict[str, str]]]:
    """Success and message of the finished task, and its links."""
    assert (answer.status, tag(answer.xml)) == (202, "Task"), answer.text
    assert children(answer.xml, "Operation")[0].text == operation
    done = client.follow(answer.xml.get("Href") or "").xml
    [result] = children(done, "Result")
    return result.get("Success") or "", children(result, "Message")[0].text or "", links(done)


def _succeeds(
    client: EmClient, answer: Answer, operation: str, related: str | None = "Job"
) -> etree._Element:
    success, message, shown = _outcome(client, answer, operation)
    assert success == "true", message
    assert [link.get("Type") for link in shown if link["Rel"] == "Related"] == ([related] if related else [])
    return client.follow(shown[0]["Href"]).xml if related else answer.xml


def _xml(inner: str, name: str = "Job") -> bytes:
    return f'<{name} xmlns="{NAMESPACE}">{inner}</{name}>'.encode()


def _put(client: EmClient, path: str, body: bytes, *, media: str = "xml") -> Answer:
    return client.request("PUT", path, {"Content-Type": f"application/{media}"}, body)


def _standard(client: EmClient, path: str) -> etree._Element:
    found = client.get(f"{path}?format=Entity").xml
    return children(children(found, "JobScheduleOptions")[0], "Standart")[0]


DAYS = "".join(f"<Day Name='{day}'>{NIGHT}</Day>" for day in Weekday)
ENABLED = "<ScheduleEnabled>true</ScheduleEnabled>"
NIGHTS = Hours((0b111111 | 0b11 << 22,) * 7)


WEEKLY = "<Weekly><Enabled>true</Enabled><RetentionPeriod>4</RetentionPeriod><SelectedDay>Friday</SelectedDay></Weekly>"
TEN_DAYS = (
    "<SimpleRetentionPolicy><RetainCycles>7</RetainCycles><RetainDaysToKeep>10</RetainDaysToKeep>"
    "<RetainLimitType>Days</RetainLimitType></SimpleRetentionPolicy>"
)


def _retention(policies: str) -> bytes:
    return _xml(f"<JobInfo><BackupJobInfo>{policies}</BackupJobInfo></JobInfo>")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            "<OptionsDaily Enabled='true'><Kind>Everyday</Kind><Time>18:00:00.0000000+01:00</Time></OptionsDaily>",
            Schedule("+01:00", daily=Daily(time(18))),
        ),
        (
            "<OptionsDaily Enabled='true'><Kind>SelectedDays</Kind><Days>Sunday</Days><Days>friday</Days>"
            "<Time>18:30:00</Time><TimeOffsetUtc>-12600</TimeOffsetUtc></OptionsDaily>",
            Schedule(
                "-03:30",
                daily=Daily(
                    time(18, 30), DailyKind.SELECTED_DAYS, frozenset({Weekday.SUNDAY, Weekday.FRIDAY})
                ),
            ),
        ),
        (
            "<OptionsMonthly Enabled='true'><Time>01:00:00Z</Time><DayNumberInMonth>Last</DayNumberInMonth>"
            "<DayOfWeek>Saturday</DayOfWeek><Months>June</Months><Months>December</Months></OptionsMonthly>",
            Schedule(
                "+00:00",
                monthly=Monthly(
                    time(1),
                    WeekInMonth.LAST,
                    Weekday.SATURDAY,
                    months=frozenset({Month.JUNE, Month.DECEMBER}),
                ),
            ),
        ),
        (
            "<RetryOptions><RetryTimes>3</RetryTimes><RetryTimeout>10</RetryTimeout>"
            "<RetrySpecified>true</RetrySpecified></RetryOptions><WaitForBackupCompletion>false</WaitForBackupCompletion>"
            "<OptionsDaily Enabled='false' /><OptionsPeriodically Enabled='true'><Kind>Minutes</Kind>"
            f"<FullPeriod>90</FullPeriod><Schedule>{DAYS}</Schedule></OptionsPeriodically>",
            Schedule(periodic=Periodic(PeriodKind.MINUTES, 90, NIGHTS), retry=Retry(3, 10)),
        ),
        (
            "<OptionsPeriodically Enabled='true' /><OptionsBackupWindow Enabled='true'>"
            f"<TimePeriods>{DAYS}</TimePeriods></OptionsBackupWindow>",
            Schedule(periodic=Periodic(), window=NIGHTS),
        ),
    ],
)
def test_schedule_is_edited_and_seen_at_once(
    here: Site, client: EmClient, path: str, options: str, expected: Schedule
) -> None:
    for inside in (options, f"<Standart>{options}</Standart>"):
        _set(here, None, enabled=False)
        body = _xml(f"{ENABLED}<JobScheduleOptions>{inside}</JobScheduleOptions>")
        shown = _succeeds(client, _put(client, f"{path}?action=edit", body), "EditJob")
        assert schedules.of(_job(here)) == expected
    row = _job(here)
    assert row.next_run == expected.next_run(here.database.clock.now())
    assert (
        children(shown, "ScheduleConfigured")[0].text == children(shown, "ScheduleEnabled")[0].text == "true"
    )
    assert children(shown, "NextRun")[0].text == f"{row.next_run:%Y-%m-%dT%H:%M:%SZ}"
    enabled = [tag(block) for block in _standard(client, path) if block.get("Enabled") == "true"]
    assert enabled[0] == re.findall(r"<(\w+) Enabled='true'", options)[0]


@pytest.mark.parametrize(
    "schedule",
    [
        None,
        BERLIN,
        Schedule("America/New_York", monthly=Monthly(time(2, 30), WeekInMonth.ON_DAY, day=31), window=NIGHTS),
        Schedule("Asia/Kolkata", periodic=Periodic(PeriodKind.HOURS, 5, NIGHTS)),
    ],
)
def test_job_sent_back_as_it_was_given_changes_nothing(
    here: Site, client: EmClient, path: str, schedule: Schedule | None
) -> None:
    """Clients read a job, change a member and send all of it: in either representation, named zones survive."""
    _set(here, schedule)
    with here.database.write() as connection:
        gfs = Gfs(KeepWeekly(4, Weekday.FRIDAY), None, KeepYearly(7, Month.JUNE))
        jobs.retain(connection, here.ids["Job"], Retention(RetainBy.DAYS, 7, 30, gfs))
    before = _job(here)
    for media in ("xml", "json"):
        accept = {"Accept": f"application/{media}"}
        given = client.get(f"{path}?format=Entity", accept).body
        _succeeds(client, _put(client, path, given, media=media), "EditJob")
        assert _job(here) == before
    told: dict[str, Any] = json.loads(given)
    told["Name"], told["Description"] = "renamed", ""
    told["JobInfo"]["BackupJobInfo"]["SimpleRetentionPolicy"]["RetainLimitType"] = "Cycles"
    shown = _succeeds(client, _put(client, path, json.dumps(told).encode(), media="json"), "EditJob")
    assert (shown.get("Name"), children(shown, "Description")[0].text) == ("renamed", None)
    after = _job(here)
    assert jobs.retention_of(after) == Retention(RetainBy.CYCLES, 7, 30, gfs)
    assert (after.next_run, after.schedule) == (before.next_run, before.schedule)


def test_schedule_has_the_documented_members_in_order(here: Site, client: EmClient, path: str) -> None:
    _set(here, BERLIN)
    shown = _standard(client, path)
    assert [tag(block) for block in shown] == [
        "RetryOptions",
        "WaitForBackupCompletion",
        "OptionsDaily",
        "OptionsMonthly",
        "OptionsPeriodically",
        "OptionsContinuous",
        "OptionsBackupWindow",
        "OptionsDaisyChaining",
    ]
    daily = shown[2]
    assert [(tag(each), each.text) for each in daily] == [
        ("Kind", "Everyday"),
        *(("Days", str(day)) for day in Weekday),
        ("Time", "22:00:00.0000000+01:00"),
        ("TimeOffsetUtc", "3600"),
    ]
    assert [(tag(each), each.text) for each in shown[0]] == [
        ("RetryTimes", "2"),
        ("RetryTimeout", "15"),
        ("RetrySpecified", "true"),
    ]
    _set(here, Schedule(periodic=Periodic(hours=NIGHTS)))
    [hours] = [each for each in _standard(client, path)[4] if tag(each) == "Schedule"]
    assert [(day.get("Name"), day.text) for day in hours] == [(str(day), NIGHT) for day in Weekday]
    told = client.get(f"{path}?format=Entity", JSON).json["JobScheduleOptions"]["Standart"]
    assert told["OptionsPeriodically"]["Schedule"]["Days"][0] == {"Name": "Sunday", "Value": NIGHT}
    assert told["OptionsDaily"] == {"Enabled": False}


def test_part_of_a_schedule_changes_that_part(here: Site, client: EmClient, path: str) -> None:
    _set(here, BERLIN)
    for inside, expected in (
        (
            "<RetryOptions><RetrySpecified>false</RetrySpecified></RetryOptions>",
            Schedule("Europe/Berlin", daily=Daily(time(22))),
        ),
        (
            "<OptionsDaily Enabled='true'><Time>23:15:00</Time></OptionsDaily>",
            Schedule("Europe/Berlin", daily=Daily(time(23, 15))),
        ),
        (
            "<OptionsDaily Enabled='true'><Time>23:15:00+03:00</Time></OptionsDaily>",
            Schedule("+03:00", daily=Daily(time(23, 15))),
        ),
        ("<OptionsDaily Enabled='false' />", None),
    ):
        body = _xml(f"<JobScheduleOptions><Standart>{inside}</Standart></JobScheduleOptions>")
        _succeeds(client, _put(client, path, body), "EditJob")
        assert schedules.of(_job(here)) == expected
    assert (_job(here).schedule_configured, _job(here).next_run) == (False, None)
    _set(here, BERLIN)
    _succeeds(client, _put(client, path, _xml("<ScheduleConfigured>false</ScheduleConfigured>")), "EditJob")
    assert schedules.of(_job(here)) is None


def test_named_zone_survives_a_change_of_the_clocks_between_reading_and_sending(
    here: Site, client: EmClient, path: str, clock: ManualClock
) -> None:
    _set(here, BERLIN)
    given = client.get(f"{path}?format=Entity").body
    assert b"22:00:00.0000000+01:00" in given
    clock.advance(86400 * 90)  # in May, at +02:00
    client = here.client()
    _set(here, None)
    _set(here, BERLIN)
    assert b"22:00:00.0000000+02:00" in client.get(f"{path}?format=Entity").body
    _succeeds(client, _put(client, path, given.replace(b'Name="job west"', b'Name="renamed"')), "EditJob")
    assert (_job(here).name, schedules.of(_job(here))) == ("renamed", BERLIN)
    moved = given.replace(b'Name="job west"', b"").replace(
        b"22:00:00.0000000+01:00", b"21:00:00.0000000+01:00"
    )
    _succeeds(client, _put(client, path, moved), "EditJob")
    assert schedules.of(_job(here)) == replace(BERLIN, zone="+01:00", daily=Daily(time(21)))


def test_gfs_retention_is_edited_and_seen_at_once(here: Site, client: EmClient, path: str) -> None:
    def kept() -> Retention | None:
        return jobs.retention_of(_job(here))

    monthly = "<Monthly><Enabled>true</Enabled><RetentionPeriod>12</RetentionPeriod></Monthly>"
    body = _retention(f"<GfsRetentionPolicy Enabled='true'>{WEEKLY}{monthly}</GfsRetentionPolicy>{TEN_DAYS}")
    shown = _succeeds(client, _put(client, path, body), "EditJob")
    weekly = KeepWeekly(4, Weekday.FRIDAY)
    assert kept() == Retention(RetainBy.DAYS, 7, 10, Gfs(weekly, KeepMonthly(12)))
    [policy] = shown.iter(f"{{{NAMESPACE}}}GfsRetentionPolicy")
    assert policy.get("Enabled") == "true"
    assert [(tag(block), [(tag(each), each.text) for each in block]) for block in policy] == [
        ("Weekly", [("Enabled", "true"), ("RetentionPeriod", "4"), ("SelectedDay", "Friday")]),
        ("Monthly", [("Enabled", "true"), ("RetentionPeriod", "12"), ("SelectedWeek", "First")]),
        ("Yearly", [("Enabled", "false")]),
    ]
    off = "<Weekly><Enabled>false</Enabled></Weekly><Monthly><SelectedWeek>Last</SelectedWeek></Monthly>"
    for policies, gfs in (
        (f"<GfsRetentionPolicy>{off}</GfsRetentionPolicy>", Gfs(None, KeepMonthly(12, WeekOfMonth.LAST))),
        (TEN_DAYS, Gfs(None, KeepMonthly(12, WeekOfMonth.LAST))),
        ("<GfsRetentionPolicy Enabled='false'/>", None),
    ):
        _succeeds(client, _put(client, path, _retention(policies)), "EditJob")
        assert kept() == Retention(RetainBy.DAYS, 7, 10, gfs)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "body"),
        (_xml("", "Jobs"), "Jobs"),
        (_xml("<Colour/>"), "Colour"),
        (_xml("<ScheduleEnabled>perhaps</ScheduleEnabled>"), "ScheduleEnabled"),
        (_xml("<ScheduleEnabled>true</ScheduleEnabled><Description/>"), "Description"),
        (_xml("<JobScheduleOptions><OptionsDaily Enabled='true' Kind='x'/></JobScheduleOptions>"), "Kind"),
        (
            _xml(
                "<JobScheduleOptions><OptionsDaily Enabled='true'><Time>25:00:00</Time></OptionsDaily>"
                "</JobScheduleOptions>"
            ),
            "Time",
        ),
        (
            _xml(
                "<JobScheduleOptions><OptionsDaily Enabled='true'/><OptionsContinuous Enabled='true'/>"
                "</JobScheduleOptions>"
            ),
            "OptionsDaily and OptionsContinuous",
        ),
        (
            _xml(
                "<JobScheduleOptions><OptionsPeriodically Enabled='true'><FullPeriod>0</FullPeriod>"
                "</OptionsPeriodically></JobScheduleOptions>"
            ),
            "every 0 hours",
        ),
        (
            _xml("<JobScheduleOptions><OptionsDaisyChaining Enabled='true'/></JobScheduleOptions>"),
            "PreviousJobUid",
        ),
        (
            _xml(
                "<JobScheduleOptions><OptionsPeriodically Enabled='true'><Schedule><Day Name='Sunday'>0,1</Day>"
                "</Schedule></OptionsPeriodically></JobScheduleOptions>"
            ),
            "Value",
        ),
        (
            _xml(
                "<JobInfo><BackupJobInfo><SimpleRetentionPolicy><RetainCycles>0</RetainCycles>"
                "</SimpleRetentionPolicy></BackupJobInfo></JobInfo>"
            ),
            "cannot be kept",
        ),
        (_retention(f"<GfsRetentionPolicy Enabled='true'>{WEEKLY}</GfsRetentionPolicy>"), "SimpleRetention"),
        (_retention("<GfsRetentionPolicy Enabled='true'/>" + TEN_DAYS), "neither weekly nor monthly"),
        (
            _retention("<GfsRetentionPolicy><Yearly><Enabled>true</Enabled></Yearly></GfsRetentionPolicy>"),
            "RetentionPeriod is missing in Yearly",
        ),
        (
            _retention(
                "<GfsRetentionPolicy><Weekly><RetentionPeriod>0</RetentionPeriod></Weekly></GfsRetentionPolicy>"
                + TEN_DAYS
            ),
            "0 weeks",
        ),
    ],
)
def test_body_that_cannot_be_understood_changes_nothing(
    here: Site, client: EmClient, path: str, body: bytes, named: str
) -> None:
    before = _job(here)
    answer = _put(client, path, body)
    assert answer.status == 400
    assert named in answer.message
    assert _job(here) == before


def test_what_is_not_offered_is_said(here: Site, client: EmClient, path: str) -> None:
    for body, named in (
        (
            "<JobScheduleOptions><WaitForBackupCompletion>true</WaitForBackupCompletion></JobScheduleOptions>",
            "WaitForBackupCompletion",
        ),
    ):
        answer = _put(client, path, _xml(body))
        assert (answer.status, named in answer.message) == (501, True)
    for method, below in (
        ("POST", "?action=sync"),
        ("POST", "/linkedJobs"),
        ("DELETE", f"/linkedJobs/{UUID(int=1)}"),
        ("POST", "/linkedBackupRepositories"),
        ("DELETE", f"/linkedBackupRepositories/{UUID(int=1)}"),
    ):
        assert client.request(method, path + below).status == 501
    for below, root in (
        ("linkedJobs", "LinkedJobResourceObjects"),
        ("linkedBackupRepositories", "LinkedBackupRepositoryResourceObjects"),
    ):
        found = client.get(f"{path}/{below}").xml
        assert (tag(found), len(found)) == (root, 0)
        assert client.get(f"/jobs/{UUID(int=1)}/{below}").status == 404


def test_edit_that_contradicts_another_job_fails_as_a_task(here: Site, client: EmClient, path: str) -> None:
    before = _job(here)
    for inside, said in (
        ("<ScheduleConfigured>true</ScheduleConfigured>", "JobScheduleOptions"),
        (
            f"<JobScheduleOptions><OptionsDaisyChaining Enabled='true'><PreviousJobUid>urn:veeam:Job:{before.id}"
            "</PreviousJobUid></OptionsDaisyChaining></JobScheduleOptions>",
            "after itself",
        ),
    ):
        success, message, _ = _outcome(client, _put(client, path, _xml(inside)), "EditJob")
        assert (success, said in message) == ("false", True)
    taken = f'<Job xmlns="{NAMESPACE}" Name="job east"><Description>x</Description></Job>'.encode()
    success, message, _ = _outcome(client, _put(client, path, taken), "EditJob")
    assert (success, "'job east' exists" in message) == ("false", True)
    assert _job(here) == before


def test_toggle_turns_the_schedule_on_and_off(here: Site, client: EmClient, path: str) -> None:
    _set(here, BERLIN)
    due = _job(here).next_run
    for enabled in ("false", "true"):
        answer = client.post(f"{path}?action=toggleScheduleEnabled")
        shown = _succeeds(client, answer, "UpdateJob")
        assert children(shown, "ScheduleEnabled")[0].text == enabled
        assert len(children(shown, "NextRun")) == (enabled == "true")
    assert _job(here).next_run == due


def test_clone_is_a_job_of_the_same_vms_that_does_not_run_yet(
    here: Site, client: EmClient, path: str
) -> None:
    _set(here, BERLIN)
    body = _xml(
        "<BackupJobCloneInfo><JobName>copy</JobName><FolderName>copy</FolderName>"
        f"<RepositoryUid>urn:veeam:Repository:{here.ids['Repository']}</RepositoryUid></BackupJobCloneInfo>",
        "JobCloneSpec",
    )
    shown = _succeeds(client, client.post(f"{path}?action=clone", body), "CloneJob")
    assert shown.get("Name") == "copy"
    assert children(shown, "ScheduleConfigured")[0].text == "true"
    assert children(shown, "ScheduleEnabled")[0].text == "false"
    made = UUID((shown.get("UID") or "")[-36:])
    with here.database.read() as connection:
        assert schedules.of(jobs.get(connection, made)) == BERLIN
        refs = [vm.vm_ref for vm in jobs.objects(connection, made)]
        assert refs == [vm.vm_ref for vm in jobs.objects(connection, here.ids["Job"])]
    success, message, _ = _outcome(client, client.post(f"{path}?action=clone", body), "CloneJob")
    assert (success, "'copy' exists" in message) == ("false", True)
    assert client.post(f"{path}?action=clone", _xml("", "JobCloneSpec")).status == 400
    assert client.post(f"{path}?action=clone").status == 400


def test_job_is_stopped_and_what_failed_is_retried(here: Site, client: EmClient, path: str) -> None:
    success, message, _ = _outcome(client, client.post(f"{path}?action=stop"), "StopJob")
    assert (success, "not running" in message) == ("false", True)
    success, message, _ = _outcome(client, client.post(f"{path}?action=retry"), "RetryJob")
    assert (success, "no VM failed" in message) == ("false", True)
    started = _succeeds(client, client.post(f"{path}?action=start"), "StartJob", "BackupJobSession")
    stopped = _succeeds(client, client.post(f"{path}?action=stop"), "StopJob", "BackupJobSession")
    assert stopped.get("UID") == started.get("UID")
    assert [children(stopped, name)[0].text for name in ("State", "Result")] == ["Stopped", "Failed"]
    here.database.clock.advance(1)  # type: ignore[attr-defined]  # a session's name is of its second
    again = _succeeds(client, client.post(f"{path}?action=retry"), "RetryJob", "BackupJobSession")
    assert [children(again, name)[0].text for name in ("State", "IsRetry")] == ["Starting", "true"]
    below = client.get(f"{path}/backupSessions").xml
    assert {started.get("UID"), again.get("UID")} < {each.get("UID") for each in below}


def test_job_is_deleted_once_it_does_not_run_and_its_points_stay(
    here: Site, client: EmClient, path: str
) -> None:
    _succeeds(client, client.post(f"{path}?action=start"), "StartJob", "BackupJobSession")
    success, message, _ = _outcome(client, client.delete(path), "DeleteJob")
    assert (success, "is running" in message) == ("false", True)
    _succeeds(client, client.post(f"{path}?action=stop"), "StopJob", "BackupJobSession")
    _succeeds(client, client.delete(path), "DeleteJob", None)
    assert client.get(path).status == client.delete(path).status == 404
    assert client.get(f"/vmRestorePoints/{here.ids['VmRestorePoint']}").status == 200


def test_vms_are_included_and_removed(
    here: Site, client: EmClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [VmInfo("vm-9", "nine", ())]
    monkeypatch.setattr(inventory, "list_vms", lambda _engine, _host_id: known)
    root = here.ids["HierarchyRoot"]

    def body(ref: str) -> bytes:
        name = "<HierarchyObjName>nine</HierarchyObjName>"
        return _xml(f"<HierarchyObjRef>{ref}</HierarchyObjRef>{name}", "CreateObjectInJobSpec")

    wanted = f"urn:VMware:Vm:{root}.vm-9"
    _succeeds(client, client.post(f"{path}/includes", body(wanted)), "UpdateJob")
    found = client.get(f"{path}/includes").xml
    assert [children(each, "Name")[0].text for each in found][-1] == "nine"
    [_, away] = links(found[-1])
    assert (away["Rel"], away["Href"]) == ("Delete", found[-1].get("Href"))
    one = client.follow(away["Href"]).xml
    assert (tag(one), children(one, "HierarchyObjRef")[0].text) == ("ObjectInJob", wanted)
    for ref, said in ((wanted, "already"), (f"urn:VMware:Vm:{root}.vm-77", "no VM")):
        success, message, _ = _outcome(client, client.post(f"{path}/includes", body(ref)), "UpdateJob")
        assert (success, said in message) == ("false", True)
    assert client.post(f"{path}/includes", body(f"urn:VMware:Folder:{root}.group-1")).status == 501
    assert client.post(f"{path}/includes", body("vm-9")).status == 400
    assert client.post(f"{path}/includes").status == 400
    for each in found[1:]:
        answer = client.delete((each.get("Href") or "").removeprefix(client.base))
        _succeeds(client, answer, "UpdateJob")
    left = client.get(f"{path}/includes").xml
    assert [each.get("Href") for each in left] == [found[0].get("Href")]
    last = (left[0].get("Href") or "").removeprefix(client.base)
    success, message, _ = _outcome(client, client.delete(last), "UpdateJob")
    assert (success, "no other VM" in message) == ("false", True)
    assert client.get(f"{path}/includes/{UUID(int=1)}").status == 404


def test_jobs_are_the_administrators(here: Site, path: str) -> None:
    here.add_account("user", [Role.PORTAL_USER])
    user = here.client("user")
    for method, below in (
        ("PUT", ""),
        ("PUT", "?action=edit"),
        ("DELETE", ""),
        ("POST", "?action=clone"),
        ("POST", "?action=toggleScheduleEnabled"),
        ("POST", "?action=retry"),
        ("POST", "?action=stop"),
        ("POST", "/includes"),
        ("DELETE", f"/includes/{UUID(int=1)}"),
        ("GET", "/linkedJobs"),
    ):
        assert user.request(method, path + below).status == 403, (method, below)
