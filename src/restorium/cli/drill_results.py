"""`restorium drill results`, `at-risk` and `report`: what drills found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.files import write_new
from restorium.cli.output import FAILED, Item, Output, field, moment
from restorium.vocabulary.errors import InvalidInput


def register(app: typer.Typer) -> None:
    """Add the commands to those of drills."""
    server_command(app, "results")(results)
    server_command(app, "at-risk")(at_risk)
    server_command(app, "report")(report)


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
            ("RECOVERY", recovery),
            ("OBJECTIVE", lambda found: f"{found['objective_seconds']} s"),
            ("POINT", field("point_name")),
            ("SESSION", field("session_id")),
        ],
    )


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


def recovery(found: Item) -> str:
    """How long a VM took, in words; nothing if it is not known."""
    return "" if found["recovery_ms"] is None else f"{found['recovery_ms'] / 1000:.1f} s"
