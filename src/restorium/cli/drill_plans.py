"""`restorium drill plan`: what is drilled, when, and how it is checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.output import Item, Output, field
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

app = typer.Typer(no_args_is_help=True, help="What is drilled, when, and how it is checked.")

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


@server_command(app, "add")
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


@server_command(app, "list")
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


@server_command(app, "show")
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


@server_command(app, "edit")
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


@server_command(app, "remove")
def remove(client: Client, output: Output, name: str) -> None:
    """Remove a plan; what its runs found stays."""
    plan = client.named("/drill-plans", name)
    client.delete(f"/drill-plans/{plan['id']}")
    output.result(plan, f"removed the drill plan {plan['name']}; its runs are still there")


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
