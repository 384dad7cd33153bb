"""`restorium points`, `remove-point`, `restore`, `sessions` and `cancel`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

import typer

from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.follow import (
    Follow,
    end_with,
    follow_lines,
    follow_restore,
    follow_restores,
    rate,
    time_left,
)
from restorium.cli.output import FAILED, Output, field, moment
from restorium.cli.sizes import format_size
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.ids import parse_guid
from restorium.vocabulary.timing import parse_since


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    server_command(app, "points")(points)
    server_command(app, "remove-point")(remove_point)
    server_command(app, "restore")(restore)
    server_command(app, "sessions")(sessions)
    server_command(app, "cancel")(cancel)


def points(
    client: Client,
    output: Output,
    vm: Annotated[str | None, typer.Option(help="Only restore points of this VM.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most to list.")] = 100,
) -> None:
    """List the restore points of VMs, newest first."""
    output.table(
        client.items("/restore-points", vm=vm, limit=limit),
        [
            ("CREATED (UTC)", moment("created_at")),
            ("VM", field("vm_name")),
            ("TYPE", field("point_type")),
            ("JOB", field("job_name")),
            ("ID", field("id")),
        ],
    )


def remove_point(
    client: Client,
    output: Output,
    point: Annotated[str, typer.Argument(help="Id, as `restorium points` lists it.")],
) -> None:
    """Remove one restore point for good. The room that it alone takes is freed by the next prune."""
    path = f"/restore-points/{parse_guid(point)}"
    item = client.get(path)
    client.delete(path)
    output.result(item, f"removed the restore point of {item['vm_name']} of {moment('created_at')(item)} UTC")


def restore(
    client: Client,
    output: Output,
    point: Annotated[str, typer.Argument(help="Id, as `restorium points` lists it.")],
    keep_original: Annotated[
        bool, typer.Option("--keep-original", help="Restore beside the original.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="Name of the VM restored beside the original.")] = None,
    host: Annotated[
        str | None, typer.Option(help="Restore to this host; the original stays as it is.")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="Datastore or storage profile for the VM beside the original.")
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(metavar="FROM=TO", help="Connect what was on one network to another; may be repeated."),
    ] = None,
    container: Annotated[
        str | None, typer.Option(help="Folder, resource pool, VDC or vApp for the VM beside the original.")
    ] = None,
    power_on: Annotated[bool, typer.Option("--power-on", help="Start the VM afterwards.")] = False,
    instant: Annotated[
        bool,
        typer.Option(
            "--instant",
            help="Run the VM beside the original at once, and move it off the repository meanwhile.",
        ),
    ] = False,
    follow: Follow = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only tell what it would do. Ends with 1 if something is in the way."),
    ] = False,
) -> None:
    """Restore a VM, over the original unless told otherwise."""
    body = {
        "restore_point_id": str(parse_guid(point)),
        "keep_original": keep_original or name is not None or host is not None or instant,
        "host_id": None if host is None else client.named("/hosts", host)["id"],
        "new_name": name,
        "power_on": power_on,
        "instant": instant,
        "placement": {"container": container, "storage": storage, "networks": _mapping(network or [])},
    }
    if dry_run:
        _dry_run(client, output, body)
        return
    session = client.post("/restores", body, headers={"Idempotency-Key": str(uuid4())})
    if follow:
        end_with(output, follow_restore(client, output, session["id"]))
    else:
        output.result(session, f"started restore session {session['id']}")


def _mapping(networks: list[str]) -> dict[str, str]:
    """``FROM=TO`` by FROM. Raises InvalidInput."""
    mapping: dict[str, str] = {}
    for given in networks:
        source, equals, target = given.partition("=")
        if not (source and equals and target) or source in mapping:
            raise InvalidInput(
                f"--network {given} does not map one network to another",
                hint="Write --network FROM=TO, once for each network.",
            )
        mapping[source] = target
    return mapping


def _dry_run(client: Client, output: Output, body: dict[str, Any]) -> None:
    plan = follow_lines(client, output, "POST", "/restores/plan", "dry run", body)
    output.result(plan, _describe_plan(plan))
    if not plan["ok"]:
        raise typer.Exit(FAILED)


def _describe_plan(plan: dict[str, Any]) -> str:
    place = "over the original" if plan["target_name"] is None else f"as {plan['target_name']}"
    free = "" if plan["free_bytes"] is None else f", {format_size(plan['free_bytes'])} free"
    seconds = plan["estimated_seconds"]
    time = "" if seconds is None else f", in about {round(seconds)} s"
    lines = [
        f"{plan['vm_name']} would be restored {place} on {plan['host_name']}, expected result {plan['expected']}",
        f"writes     {format_size(plan['needed_bytes'])}{free}{time}",
    ]
    for disk in plan["disks"]:
        there = "all there" if disk["problem"] is None else f"lost: {disk['problem']['message']}"
        data = f"{format_size(disk['data_bytes'])} of data in {format_size(disk['size'])}"
        lines.append(f"disk       {disk['disk_key']}: {data}, {there}")
    lines += [f"not carried {told}" for told in plan["not_carried"]]
    for problem in plan["problems"]:
        lines += [f"problem    {problem['message']} ({problem['code']})", f"remedy     {problem['hint']}"]
    return "\n".join(lines)


def sessions(
    client: Client,
    output: Output,
    session_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Show one restore session.")
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Show how far it is until its end; without ID, all as they change."),
    ] = False,
    state: Annotated[
        str | None, typer.Option(help="Only these: Starting, Working, Stopping, Stopped.")
    ] = None,
    result: Annotated[str | None, typer.Option(help="Only these: Success, Warning, Failed.")] = None,
    vm: Annotated[str | None, typer.Option(help="Only VMs with this in their name.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only those asked for since then: a moment, or 90m, 36h, 7d ago.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all as CSV.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="The most to list.")] = 100,
) -> None:
    """List the restore sessions, newest first, or show one."""
    begun = None if since is None else parse_since(since, datetime.now(UTC)).isoformat()
    chosen = {"state": state, "result": result, "vm": vm, "since": begun}
    query = {name: text for name, text in chosen.items() if text is not None}
    if (session_id is not None or follow) and (query or as_csv):
        raise InvalidInput(
            "only a list can be filtered or printed as CSV", hint="Leave out the ID and --follow."
        )
    if session_id is not None and follow:
        end_with(output, follow_restore(client, output, session_id))
    elif session_id is not None:
        session = client.get(f"/restore-sessions/{session_id}")
        output.result(session, _describe(session))
    elif follow:
        follow_restores(client, output)
    elif as_csv:
        for piece in client.pieces("/restore-sessions", {**query, "format": "csv"}):
            sys.stdout.buffer.write(piece)
        sys.stdout.flush()
    else:
        output.table(
            client.items("/restore-sessions", limit=limit, **query),
            [
                ("CREATED (UTC)", moment("created_at")),
                ("VM", field("vm_name")),
                ("STATE", field("state")),
                ("RESULT", field("result")),
                ("%", field("progress")),
                ("ID", field("id")),
            ],
        )


def cancel(client: Client, output: Output, session_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Ask a running restore to stop and to remove what it has written."""
    session = client.post(f"/restore-sessions/{session_id}/cancel")
    output.result(session, f"asked restore session {session['id']} to stop")


def _describe(session: dict[str, Any]) -> str:
    lines = [
        f"{session['name']}  ({session['id']})",
        f"state      {session['state']} ({session['phase']}), result {session['result']}",
        f"progress   {session['progress']} %, {format_size(session['done_bytes'])}"
        f" of {format_size(session['planned_bytes'])}",
        *(
            f"{title:<10} {text}"
            for title, text in (("speed", rate(session)), ("time left", time_left(session)))
            if text
        ),
        f"asked by   {session['requested_by']}, {moment('created_at')(session)} UTC",
    ]
    if session["ended_at"] is not None:
        lines.append(f"ended      {moment('ended_at')(session)} UTC")
    if session["reason"] is not None:
        lines.append(f"reason     {session['reason']['message']} ({session['reason']['code']})")
        lines.append(f"remedy     {session['reason']['hint']}")
    lines += [
        f"disk       {disk['disk_key']}: {format_size(disk['copied_bytes'])} copied"
        f" of {format_size(disk['planned_bytes'])}, {format_size(disk['verified_bytes'])} verified"
        for disk in session["disks"]
    ]
    lines += [
        f"{moment('at')(event)}  {event['level']:<7}  {event['message']}" for event in session["events"]
    ]
    return "\n".join(lines)
