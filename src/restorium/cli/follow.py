"""Watching a session to its end."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from restorium.cli.client import Client, error_of
from restorium.cli.output import FAILED, Output

_POLL_SECONDS = 0.3

BYTES = (
    TextColumn("{task.description}"),
    BarColumn(),
    TextColumn("{task.percentage:>3.0f} %"),
    DownloadColumn(binary_units=True),
    TransferSpeedColumn(),
    TimeElapsedColumn(),
)
"""Columns of the progress of work that is counted in bytes."""

_PARTS = (
    TextColumn("{task.description}"),
    BarColumn(),
    TextColumn("{task.percentage:>3.0f} %"),
    TimeElapsedColumn(),
)

Follow = Annotated[bool, typer.Option("--follow", help="Wait for its end and show how far it is.")]


def follow_restore(client: Client, output: Output, session_id: str) -> dict[str, Any]:
    """Draw a restore's progress until it has stopped; gives its last state."""
    with Progress(*BYTES, console=output.live) as progress:
        bar = progress.add_task("restore", total=None)
        while True:
            session: dict[str, Any] = client.get(f"/restore-sessions/{session_id}")
            progress.update(
                bar,
                description=f"{session['vm_name']}: {session['phase']}",
                total=session["planned_bytes"] or None,
                completed=session["done_bytes"],
            )
            if session["state"] == "Stopped":
                return session
            time.sleep(_POLL_SECONDS)


def follow_lines(
    client: Client, output: Output, method: str, path: str, what: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Draw the progress of work that is answered by lines; gives its result. Raises the error that it ended with."""
    with Progress(*_PARTS, console=output.live) as drawn, closing(client.lines(method, path, body)) as lines:
        bar = drawn.add_task(what, total=None)
        for line in lines:
            if "error" in line:
                raise error_of(line["error"])
            if "result" in line:
                result: dict[str, Any] = line["result"]
                return result
            drawn.update(
                bar, description=f"{what}: {line['phase']}", total=line["total"], completed=line["done"]
            )
    raise error_of(
        {"code": "server-unreachable", "message": "the server's answer broke off", "hint": "Ask again."}
    )


def follow_job_session(client: Client, output: Output, session_id: str) -> dict[str, Any]:
    """Draw a backup's progress until it has stopped; gives its last state."""
    with Progress(*_PARTS, console=output.live) as progress:
        bar = progress.add_task("backup", total=100)
        while True:
            session: dict[str, Any] = client.get(f"/job-sessions/{session_id}")
            progress.update(bar, description=session["job_name"], completed=session["progress"])
            if session["state"] == "Stopped":
                return session
            time.sleep(_POLL_SECONDS)


def end_with(output: Output, session: dict[str, Any]) -> None:
    """Print a stopped session's result. Ends the command with FAILED unless it is Success."""
    output.result(session, f"{session['name']}: {session['result']}")
    if session["result"] != "Success":
        reason = session["reason"]
        if reason is not None:
            typer.echo(f"error: {reason['message']}\n{reason['hint']}", err=True)
        raise typer.Exit(FAILED)
