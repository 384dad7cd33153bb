"""`restorium drill`: plans of restores into a sandbox, their runs, and what they found."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.files import write_new
from restorium.cli.follow import Follow, end_with
from restorium.cli.output import FAILED, Item, Output, field, moment
from restorium.cli.scheduling import (
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
from restorium.vocabulary.errors import InvalidInput, NotFound
from restorium.vocabulary.timing import describe_schedule, next_run, parse_duration, parse_hours

app = typer.Typer(no_args_is_help=True, help="Restores into a sandbox that prove that restores work.")
plans = typer.Typer(no_args_is_help=True, help="What is drilled, when, and how it is checked.")
app.add_typer(plans, name="plan")
_POLL_SECONDS = 0.5

_Vms = Annotated[list[str] | None, typer.Option("--vm", help="HOST/VM, may be given several times.")]
_Percent = Annotated[
    int | None, typer.Option("--percent", help="So many per cent of the VMs a run, in turns.")
]
_Jobs = Annotated[list[str] | None, typer.Option("--job", help="Of --percent: only VMs of this job.")]
_Filesystems = Annotated[
    bool | None, typer.Option("--filesystems/--no-filesystems", help="All volumes must be readable.")
]
_Files = Annotated[
    list[str] | None, typer.Option("--file", help="PATH or PATH=SHA256: must be there, and not be empty.")
]
_BootMarker = Annotated[
    str | None, typer.Option("--boot", help="Must boot until this is on the serial console.")
]
_BootTime = Annotated[str, typer.Option("--boot-time", help="Of --boot: at most so long, such as 5m.")]
_BootMemory = Annotated[int, typer.Option("--boot-memory", help="Of --boot: MiB of memory.")]
_BootCpus = Annotated[int, typer.Option("--boot-cpus", help="Of --boot: processors.")]


@server_command(plans, "add")
def add(
    client: Client,
    output: Output,
    name: str,
    sandbox: Annotated[str, typer.Option(help="Host to restore to, of whose VMs none is backed up.")],
    objective: Annotated[str, typer.Option(help="A restore is to take no longer, such as 15m or 2h.")],
    vm: _Vms = None,
    percent: _Percent = None,
    job: _Jobs = None,
    filesystems: _Filesystems = None,
    file: _Files = None,
    boot: _BootMarker = None,
    boot_time: _BootTime = "5m",
    boot_memory: _BootMemory = 1024,
    boot_cpus: _BootCpus = 1,
    daily: Daily = None,
    days: Days = None,
    monthly: Monthly = None,
    on: On = None,
    months: Months = None,
    every: Every = None,
    zone: Zone = None,
    window: Window = None,
) -> None:
    """Add a plan. It runs when it is told to, and by its schedule if it is given one."""
    checks: dict[str, Any] = {"filesystems": bool(filesystems), "files": _files(file or ())}
    if boot is not None:
        checks["boot"] = _boot(boot, boot_time, boot_memory, boot_cpus)
    body = {
        "name": name,
        "sandbox_host_id": client.named("/hosts", sandbox)["id"],
        "objective_seconds": parse_duration(objective),
        "vms": [_vm(client, each) for each in vm or ()],
        "percent": percent,
        "job_ids": [client.named("/jobs", each)["id"] for each in job or ()],
        "checks": checks,
        "schedule": _schedule(daily, days, monthly, on, months, every, zone, window),
    }
    plan = client.post("/drill-plans", body)
    output.result(
        plan, f"added the drill plan {plan['name']}; run it with `restorium drill run {plan['name']}`"
    )


@server_command(plans, "list")
def list_plans(client: Client, output: Output) -> None:
    """List the plans."""
    output.table(
        client.items("/drill-plans"),
        [
            ("NAME", field("name")),
            ("VMS", _selection),
            ("OBJECTIVE", lambda plan: f"{plan['objective_seconds']} s"),
            ("SANDBOX", field("sandbox_host_name")),
            ("NEXT RUN", _next),
            ("ID", field("id")),
        ],
    )


@server_command(plans, "show")
def show_plan(client: Client, output: Output, name: str) -> None:
    """Show what a plan restores, when, and what it looks at."""
    output.details(
        client.named("/drill-plans", name),
        [
            ("name", field("name")),
            ("VMs", _selection),
            ("sandbox", field("sandbox_host_name")),
            ("objective", lambda plan: f"{plan['objective_seconds']} s"),
            ("checks", lambda plan: ", ".join(_checks(plan["checks"]))),
            ("schedule", lambda plan: describe_schedule(plan["schedule"], {})),
            ("next run", _next),
            ("id", field("id")),
        ],
    )


@server_command(plans, "edit")
def edit(
    client: Client,
    output: Output,
    name: str,
    new_name: Annotated[str | None, typer.Option("--name", help="New name.")] = None,
    sandbox: Annotated[str | None, typer.Option(help="Host to restore to.")] = None,
    objective: Annotated[str | None, typer.Option(help="Such as 15m or 2h.")] = None,
    vm: _Vms = None,
    percent: _Percent = None,
    job: _Jobs = None,
    filesystems: _Filesystems = None,
    file: _Files = None,
    no_files: Annotated[bool, typer.Option("--no-files", help="Look for no files.")] = False,
    boot: _BootMarker = None,
    boot_time: _BootTime = "5m",
    boot_memory: _BootMemory = 1024,
    boot_cpus: _BootCpus = 1,
    no_boot: Annotated[bool, typer.Option("--no-boot", help="Do not boot.")] = False,
    daily: Daily = None,
    days: Days = None,
    monthly: Monthly = None,
    on: On = None,
    months: Months = None,
    every: Every = None,
    zone: Zone = None,
    window: Window = None,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether its schedule counts.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear-schedule", help="Take the schedule away.")] = False,
) -> None:
    """Change a plan: what is named is set, VMs, files and a schedule all at once; the rest stays."""
    plan = client.named("/drill-plans", name)
    kept = ("name", "sandbox_host_id", "objective_seconds", "vms", "percent", "job_ids", "checks", "schedule")
    body = {member: plan[member] for member in kept}
    checks = body["checks"]
    if new_name is not None:
        body["name"] = new_name
    if sandbox is not None:
        body["sandbox_host_id"] = client.named("/hosts", sandbox)["id"]
    if objective is not None:
        body["objective_seconds"] = parse_duration(objective)
    if vm:
        body |= {"vms": [_vm(client, each) for each in vm], "percent": None, "job_ids": []}
    if percent is not None or job:
        body |= {"vms": [], "percent": body["percent"] if percent is None else percent}
        if job:
            body["job_ids"] = [client.named("/jobs", each)["id"] for each in job]
    if filesystems is not None:
        checks["filesystems"] = filesystems
    if file or no_files:
        checks["files"] = _files(file or ())
    if boot is not None or no_boot:
        checks["boot"] = None if boot is None else _boot(boot, boot_time, boot_memory, boot_cpus)
    schedule = _schedule(daily, days, monthly, on, months, every, zone, window)
    if schedule is not None or clear:
        body["schedule"] = schedule
    if enable is not None:
        if body["schedule"] is None:
            raise InvalidInput(
                f"the drill plan {name} has no schedule", hint="Give it one, such as --daily 22:00."
            )
        body["schedule"]["enabled"] = enable
    changed = client.request("PUT", f"/drill-plans/{plan['id']}", json=body)
    output.result(changed, f"changed the drill plan {changed['name']}")


@server_command(plans, "remove")
def remove(client: Client, output: Output, name: str) -> None:
    """Remove a plan; what its runs found stays."""
    plan = client.named("/drill-plans", name)
    client.delete(f"/drill-plans/{plan['id']}")
    output.result(plan, f"removed the drill plan {plan['name']}; its runs are still there")


@server_command(app, "run")
def run(client: Client, output: Output, name: str, follow: Follow = False) -> None:
    """Run a plan now. Followed, it ends with 0 only if every VM passed."""
    plan = client.named("/drill-plans", name)
    started = client.post(f"/drill-plans/{plan['id']}/run")
    if not follow:
        output.result(started, f"started the drill plan {plan['name']}: run {started['id']}")
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} VMs"),
        TimeElapsedColumn(),
        console=output.live,
    ) as progress:
        bar = progress.add_task(plan["name"], total=started["vms"])
        for event, found in client.events(f"/drill-runs/{started['id']}/events"):
            if event == "session":
                through = [vm for vm in found["results"] if vm["state"] == "Completed"]
                busy = next((vm["vm_name"] for vm in found["results"] if vm["state"] == "InProgress"), "")
                progress.update(bar, completed=len(through), description=f"{plan['name']}: {busy}")
    end_with(output, client.get(f"/drill-runs/{started['id']}"))


@server_command(app, "cancel")
def cancel(client: Client, output: Output, run_id: Annotated[str, typer.Argument(metavar="RUN")]) -> None:
    """Ask a run to stop and to remove what it has restored."""
    found = client.post(f"/drill-runs/{run_id}/cancel")
    output.result(found, f"asked the drill run {found['id']} to stop")


@server_command(app, "runs")
def runs(
    client: Client,
    output: Output,
    plan: Annotated[str | None, typer.Option(help="Only runs of this plan.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most to list.")] = 100,
) -> None:
    """List the runs, newest first."""
    plan_id = None if plan is None else client.named("/drill-plans", plan)["id"]
    output.table(
        client.items("/drill-runs", plan=plan_id, limit=limit),
        [
            ("CREATED (UTC)", moment("created_at")),
            ("PLAN", field("plan_name")),
            ("STATE", field("state")),
            ("RESULT", field("result")),
            ("PASSED", lambda found: f"{found['succeeded']}/{found['vms']}"),
            ("ID", field("id")),
        ],
    )


@server_command(app, "results")
def results(
    client: Client,
    output: Output,
    vm: Annotated[str | None, typer.Option(help="Only of this VM.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most to list.")] = 100,
) -> None:
    """List what drills of VMs came to, newest first: how recovery times change."""
    output.table(
        client.items("/drill-results", vm=vm, limit=limit),
        [
            ("STARTED (UTC)", moment("started_at")),
            ("VM", field("vm_name")),
            ("PLAN", field("plan_name")),
            ("RESULT", field("result")),
            ("RECOVERY", _recovery),
            ("OBJECTIVE", lambda found: f"{found['objective_seconds']} s"),
            ("POINT", field("point_name")),
            ("SESSION", field("session_id")),
        ],
    )


@server_command(app, "show")
def show(client: Client, output: Output, run_id: Annotated[str, typer.Argument(metavar="RUN")]) -> None:
    """Show a run with its VMs, what the checks found, and events. Ends with 1 unless it came to Success."""
    found = client.get(f"/drill-runs/{run_id}")
    output.result(found, _describe(found))
    if found["state"] == "Stopped" and found["result"] != "Success":
        raise typer.Exit(FAILED)


@server_command(app, "at-risk")
def at_risk(
    client: Client,
    output: Output,
    days: Annotated[int, typer.Option(min=1, help="Proven longer ago is at risk.")] = 30,
) -> None:
    """List the VMs of which no restore or drill has succeeded lately. Ends with 1 if there are any."""
    found = client.items("/vms/at-risk", days=days)
    output.table(
        found,
        [
            ("VM", field("vm_name")),
            ("NEWEST POINT (UTC)", moment("newest_at")),
            ("RESTORED (UTC)", moment("restored_at")),
            ("DRILLED (UTC)", moment("drilled_at")),
        ],
    )
    if found:
        raise typer.Exit(FAILED)


@server_command(app, "report")
def report(
    client: Client,
    output: Output,
    out: Annotated[Path, typer.Option(help="File to write; .csv makes a table, all else a page.")],
    start: Annotated[
        str | None, typer.Option("--from", help="From this date on, such as 2026-01-01.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Before this date.")] = None,
    run_id: Annotated[str | None, typer.Option("--run", help="Of this run alone.")] = None,
) -> None:
    """Write what drills found, for an auditor. An existing file is never overwritten."""
    kind = "csv" if out.suffix.lower() == ".csv" else "html"
    if run_id is not None and (start or end):
        raise InvalidInput("--run goes with no dates", hint="Leave one of the two out.")
    query = {"format": kind} | {name: value for name, value in (("from", start), ("to", end)) if value}
    path = "/drills/report" if run_id is None else f"/drill-runs/{run_id}/report"
    write_new(out, client.content(path, query=query).decode())
    output.result({"file": str(out), "format": kind}, f"wrote the report to {out}")


def _vm(client: Client, path: str) -> dict[str, str]:
    """HOST/VM, of which there are restore points, or that a job backs up."""
    host_name, slash, name = path.partition("/")
    if not slash or not name:
        raise InvalidInput(f"{path!r} does not name a VM", hint="Write --vm HOST/VM.")
    host = client.named("/hosts", host_name)
    for vm in (*client.items("/vms"), *(vm for job in client.items("/jobs") for vm in job["vms"])):
        if vm["host_id"] == host["id"] and name in (vm["vm_ref"], vm["vm_name"]):
            return {"host_id": vm["host_id"], "vm_ref": vm["vm_ref"]}
    raise NotFound(f"no job backs up the VM {path!r}, and there is no restore point of it")


def _schedule(
    daily: str | None,
    days: str | None,
    monthly: str | None,
    on: str | None,
    months: str | None,
    every: str | None,
    zone: str | None,
    window: list[str] | None,
) -> dict[str, Any] | None:
    asked = times(daily=daily, days=days, monthly=monthly, on=on, months=months, every=every)
    ways = ["daily", "monthly", "every"]
    check_together(
        asked,
        [
            ("--days", days, ["daily"]),
            ("--on", on, ["monthly"]),
            ("--months", months, ["monthly"]),
            ("--zone", zone, ways),
            ("--window", window, ways),
        ],
    )
    return asked | {"zone": zone or "UTC", "window": parse_hours(window or ())} if asked else None


def _files(texts: Iterable[str]) -> list[dict[str, Any]]:
    found = []
    for text in texts:
        path, _, sha256 = text.partition("=")
        found.append({"path": path, "not_empty": True, "sha256": sha256 or None})
    return found


def _boot(marker: str, time_limit: str, memory: int, cpus: int) -> dict[str, Any]:
    return {"marker": marker, "seconds": parse_duration(time_limit), "memory_mib": memory, "cpus": cpus}


def _selection(plan: Item) -> str:
    if plan["percent"] is None:
        return ", ".join(vm["vm_ref"] for vm in plan["vms"])
    return f"{plan['percent']} % of {'some jobs' if plan['job_ids'] else 'all'}"


def _checks(checks: Item) -> list[str]:
    found = ["digests"]
    found += ["file systems"] if checks["filesystems"] else []
    found += [each["path"] for each in checks["files"]]
    return found + ([f"boot to {checks['boot']['marker']}"] if checks["boot"] else [])


def _next(plan: Item) -> str:
    shown = plan["schedule"] is not None and plan["schedule"]["enabled"]
    return next_run({**plan, "schedule_enabled": shown}, {})


def _recovery(found: Item) -> str:
    return "" if found["recovery_ms"] is None else f"{found['recovery_ms'] / 1000:.1f} s"


def _describe(run: Item) -> str:
    lines = [
        f"{run['name']}  ({run['id']})",
        f"state      {run['state']}, result {run['result']}: {run['succeeded']} of {run['vms']} passed",
        f"asked by   {run['requested_by']}, {moment('created_at')(run)} UTC",
    ]
    if run["reason"] is not None:
        lines.append(f"reason     {run['reason']['message']} ({run['reason']['code']})")
        lines.append(f"remedy     {run['reason']['hint']}")
    for vm in run["results"]:
        took = f", recovered in {_recovery(vm)}" if vm["recovery_ms"] is not None else ""
        lines.append(
            f"VM         {vm['vm_name']}: {vm['result']}{took}, {vm['point_name'] or 'no restore point'}"
        )
        for check in vm["checks"]:
            subject = f" {check['subject']}" if check["subject"] else ""
            lines.append(f"           {check['result']:<11} {check['kind']}{subject}: {check['detail']}")
        if vm["session_id"] is not None:
            lines.append(f"           evidence    {vm['session_id']}")
    lines += [f"{moment('at')(event)}  {event['level']:<7}  {event['message']}" for event in run["events"]]
    return "\n".join(lines)
