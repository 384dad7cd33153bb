"""`restorium drill`: runs of plans, and the commands for plans and for what runs found."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from restorium.cli import drill_plans, drill_results
from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.drill_results import recovery
from restorium.cli.follow import Follow, end_with
from restorium.cli.output import FAILED, Item, Output, field, moment

app = typer.Typer(no_args_is_help=True, help="Restores into a sandbox that prove that restores work.")
app.add_typer(drill_plans.app, name="plan")
drill_results.register(app)


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


@server_command(app, "show")
def show(client: Client, output: Output, run_id: Annotated[str, typer.Argument(metavar="RUN")]) -> None:
    """Show a run with its VMs, what the checks found, and events. Ends with 1 unless it came to Success."""
    found = client.get(f"/drill-runs/{run_id}")
    output.result(found, _describe(found))
    if found["state"] == "Stopped" and found["result"] != "Success":
        raise typer.Exit(FAILED)


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
        took = f", recovered in {recovery(vm)}" if vm["recovery_ms"] is not None else ""
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
