"""`restorium job`: what is backed up and when, how long it is kept, and running it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.follow import Follow, end_with, follow_job_session
from restorium.cli.output import Output, field
from restorium.cli.scheduling import (
    MEMBERS,
    Daily,
    Days,
    Every,
    Monthly,
    Months,
    On,
    Window,
    Zone,
    check_together,
    times,
)
from restorium.vocabulary.errors import InvalidInput, VmNotFound
from restorium.vocabulary.timing import (
    describe_retention,
    describe_schedule,
    next_run,
    parse_day,
    parse_hours,
    parse_month,
    parse_retry,
)

app = typer.Typer(help="What is backed up.", no_args_is_help=True)
_WAYS = list(MEMBERS)


@server_command(app, "add")
def add(
    client: Client,
    output: Output,
    name: str,
    repository: Annotated[str, typer.Option(help="Repository to back up to.")],
    vm: Annotated[list[str], typer.Option(help="HOST/VM, may be given several times.")],
) -> None:
    """Add a backup job."""
    body = {
        "name": name,
        "repository_id": client.named("/repositories", repository)["id"],
        "vms": [_find_vm(client, path) for path in vm],
    }
    job = client.post("/jobs", body)
    output.result(job, f"added the job {job['name']}; run it with `restorium job start {job['name']}`")


@server_command(app, "list")
def list_jobs(client: Client, output: Output) -> None:
    """List the jobs."""
    found = client.items("/jobs")
    names = _names(found)
    output.table(
        found,
        [
            ("NAME", field("name")),
            ("REPOSITORY", field("repository_name")),
            ("NEXT RUN", lambda job: next_run(job, names)),
            ("VMS", lambda job: ", ".join(vm["vm_name"] for vm in job["vms"])),
            ("ID", field("id")),
        ],
    )


@server_command(app, "start")
def start(
    client: Client,
    output: Output,
    name: str,
    follow: Follow = False,
) -> None:
    """Run a job now."""
    job = client.named("/jobs", name)
    session = client.post(f"/jobs/{job['id']}/start")
    if follow:
        session = follow_job_session(client, output, session["id"])
        end_with(output, session)
    else:
        output.result(session, f"started the job {job['name']}: session {session['id']}")


@server_command(app, "show")
def show(client: Client, output: Output, name: str) -> None:
    """Show what a job backs up, when it runs and what it keeps."""
    found = client.items("/jobs")
    job = client.named("/jobs", name)
    output.details(
        job,
        [
            ("name", field("name")),
            ("description", field("description")),
            ("repository", field("repository_name")),
            ("VMs", lambda job: ", ".join(vm["vm_name"] for vm in job["vms"])),
            ("schedule", lambda job: describe_schedule(job["schedule"], _names(found))),
            ("next run", lambda job: next_run(job, _names(found))),
            ("retention", lambda job: describe_retention(job["retention"])),
            ("id", field("id")),
        ],
    )


@server_command(app, "edit")
def edit(
    client: Client,
    output: Output,
    name: str,
    new_name: Annotated[str | None, typer.Option("--name", help="New name.")] = None,
    description: Annotated[str | None, typer.Option(help="New description.")] = None,
    add_vm: Annotated[list[str] | None, typer.Option(help="HOST/VM to back up as well.")] = None,
    remove_vm: Annotated[list[str] | None, typer.Option(help="VM to back up no longer.")] = None,
) -> None:
    """Rename a job, describe it, or change which VMs it backs up; restore points stay."""
    job = client.named("/jobs", name)
    path = f"/jobs/{job['id']}"
    leaving = [_vm_of(job, vm) for vm in remove_vm or ()]
    job = client.request("PATCH", path, json={"name": new_name, "description": description})
    for vm in add_vm or ():
        client.post(f"{path}/vms", _find_vm(client, vm))
    for vm_id in leaving:
        client.delete(f"{path}/vms/{vm_id}")
    output.result(client.get(path), f"changed the job {job['name']}")


@server_command(app, "schedule")
def schedule(
    client: Client,
    output: Output,
    name: str,
    daily: Daily = None,
    days: Days = None,
    monthly: Monthly = None,
    on: On = None,
    months: Months = None,
    every: Every = None,
    continuous: Annotated[bool, typer.Option("--continuous", help="Again as soon as it has ended.")] = False,
    hours: Annotated[
        list[str] | None, typer.Option(help="Of --every and --continuous: 'mon-fri 8-18'; several add up.")
    ] = None,
    after: Annotated[str | None, typer.Option(help="After that job has ended.")] = None,
    zone: Zone = None,
    window: Window = None,
    retry: Annotated[str | None, typer.Option(help="Try failed runs again: TIMES or TIMES/MINUTES.")] = None,
    enable: Annotated[bool | None, typer.Option("--enable/--disable", help="Whether it counts.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take the schedule away.")] = False,
) -> None:
    """Set when a job runs by itself, all of it at once; without options, show it."""
    job = client.named("/jobs", name)
    path = f"/jobs/{job['id']}"
    asked = times(
        daily=daily, days=days, monthly=monthly, on=on, months=months, every=every, hours=hours or ()
    )
    if continuous:
        asked["continuous"] = {"hours": parse_hours(hours or ())}
    if after is not None:
        asked["after_job_id"] = client.named("/jobs", after)["id"]
    if asked and clear:
        raise InvalidInput("--clear goes with no other schedule", hint="Leave one of the two out.")
    check_together(
        asked,
        [
            ("--days", days, ["daily"]),
            ("--on", on, ["monthly"]),
            ("--months", months, ["monthly"]),
            ("--hours", hours, ["every", "continuous"]),
            ("--zone", zone, _WAYS),
            ("--window", window, _WAYS),
            ("--retry", retry, _WAYS),
        ],
    )
    if asked:
        present = job["schedule"] or {}
        asked |= {
            "zone": zone or present.get("zone", "UTC"),
            "window": parse_hours(window or ()),
            "retry": None if retry is None else parse_retry(retry),
            "enabled": enable is not False,
        }
        job = client.request("PUT", f"{path}/schedule", json=asked)
    elif clear:
        job = client.request("DELETE", f"{path}/schedule")
    elif enable is not None:
        job = client.request("PATCH", path, json={"schedule_enabled": enable})
    names = _names(client.items("/jobs"))
    said = f"{job['name']}: {describe_schedule(job['schedule'], names)}; next run: {next_run(job, names)}"
    output.result(job, said)


@server_command(app, "retention")
def retention(
    client: Client,
    output: Output,
    name: str,
    points: Annotated[int | None, typer.Option(help="Keep so many of the newest points of each VM.")] = None,
    days: Annotated[int | None, typer.Option(help="Keep the points of so many days.")] = None,
    weekly: Annotated[int | None, typer.Option(help="Keep one point a week for so many weeks.")] = None,
    weekly_day: Annotated[str, typer.Option(help="The day whose point that is.")] = "sunday",
    monthly: Annotated[int | None, typer.Option(help="Keep one point a month for so many months.")] = None,
    monthly_week: Annotated[str, typer.Option(help="The week whose point that is: first or last.")] = "first",
    yearly: Annotated[int | None, typer.Option(help="Keep one point a year for so many years.")] = None,
    yearly_month: Annotated[str, typer.Option(help="The month whose point that is.")] = "january",
    keep_all: Annotated[bool, typer.Option("--keep-all", help="Remove no restore point.")] = False,
) -> None:
    """Set how long a job's restore points are kept, all of it at once; without options, show it.

    What is kept no longer is removed after the job's next run.
    """
    job = client.named("/jobs", name)
    path = f"/jobs/{job['id']}/retention"
    asked: dict[str, Any] = {"points": points, "days": days}
    if weekly is not None:
        asked["weekly"] = {"weeks": weekly, "day": parse_day(weekly_day)}
    if monthly is not None:
        asked["monthly"] = {"months": monthly, "week": monthly_week.capitalize()}
    if yearly is not None:
        asked["yearly"] = {"years": yearly, "month": parse_month(yearly_month)}
    given = any(each is not None for each in asked.values())
    if given and keep_all:
        raise InvalidInput("--keep-all goes with no other option", hint="Leave one of the two out.")
    if given:
        job = client.request("PUT", path, json=asked)
    elif keep_all:
        job = client.request("DELETE", path)
    output.result(job, f"{job['name']}: {describe_retention(job['retention'])}")


@server_command(app, "remove")
def remove(client: Client, output: Output, name: str) -> None:
    """Remove a job and its sessions; what it has backed up stays."""
    job = client.named("/jobs", name)
    client.delete(f"/jobs/{job['id']}")
    output.result(job, f"removed the job {job['name']}; its restore points are still there")


def _names(jobs: list[dict[str, Any]]) -> dict[str, str]:
    return {job["id"]: job["name"] for job in jobs}


def _vm_of(job: dict[str, Any], vm_name: str) -> str:
    for vm in job["vms"]:
        if vm_name in (vm["vm_name"], vm["vm_ref"], vm["id"]):
            return str(vm["id"])
    raise VmNotFound(f"the job {job['name']} has no VM {vm_name!r}")


def _find_vm(client: Client, path: str) -> dict[str, str]:
    host_name, slash, vm_name = path.partition("/")
    if not slash or not vm_name:
        raise InvalidInput(f"{path!r} does not name a VM", hint="Write --vm HOST/VM.")
    host = client.named("/hosts", host_name)
    for vm in client.items(f"/hosts/{host['id']}/vms"):
        if vm_name in (vm["ref"], vm["name"]):
            return {"host_id": host["id"], "vm_ref": vm["ref"]}
    raise VmNotFound(f"the host {host_name} has no VM {vm_name!r}")
