"""Watching a session to its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import timedelta
from operator import itemgetter
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from restorium.cli.client import Client, error_of
from restorium.cli.output import FAILED, Output, moment
from restorium.cli.sizes import format_size

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
_RESTORE = (
    TextColumn("{task.description}"),
    BarColumn(),
    TextColumn("{task.percentage:>3.0f} %"),
    DownloadColumn(binary_units=True),
    TextColumn("{task.fields[rate]}"),
    TextColumn("{task.fields[left]}"),
)
_ENDED = 10
"""Sessions that have ended and are still shown."""

Follow = Annotated[bool, typer.Option("--follow", help="Wait for its end and show how far it is.")]


def follow_restore(client: Client, output: Output, session_id: str) -> dict[str, Any]:
    """Draw a restore's progress until it has stopped, also over a restart of the server; gives its last state."""
    with Progress(*_RESTORE, console=output.live) as progress:
        bar = progress.add_task("restore", total=None, rate="", left="")
        for event, session in client.events(f"/restore-sessions/{session_id}/events"):
            if event == "session":
                progress.update(
                    bar,
                    description=f"{session['vm_name']}: {session['phase']}",
                    total=session["planned_bytes"] or None,
                    completed=session["done_bytes"],
                    rate=rate(session),
                    left=time_left(session),
                )
    last: dict[str, Any] = client.get(f"/restore-sessions/{session_id}")
    return last


def follow_restores(client: Client, output: Output) -> None:
    """Draw all restores, as they begin, go on and end, until Ctrl-C. In JSON, one line each time that one changes."""
    if output.as_json:
        for event, session in client.events("/restore-sessions/events"):
            if event == "session":
                output.line(session)
        return
    shown: dict[str, dict[str, Any]] = {}
    with Live(console=output.screen, auto_refresh=False) as live:
        for event, session in client.events("/restore-sessions/events"):
            if event == "session":
                shown.pop(session["id"], None)
                shown[session["id"]] = session
                for ended in [each["id"] for each in shown.values() if each["state"] == "Stopped"][:-_ENDED]:
                    del shown[ended]
            live.update(_table(shown.values()), refresh=True)


def rate(session: Mapping[str, Any]) -> str:
    """The speed for people; nothing while there is none."""
    return "" if session["speed"] is None else f"{format_size(session['speed'])}/s"


def time_left(session: Mapping[str, Any]) -> str:
    """The time left for people; nothing if nobody can tell."""
    seconds = session["seconds_left"]
    return "" if seconds is None else str(timedelta(seconds=seconds))


def _table(sessions: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("CREATED (UTC)", "VM", "STATE", "PHASE", "RESULT", "%", "SPEED", "LEFT", "ID"):
        table.add_column(title)
    for session in sorted(sessions, key=itemgetter("created_at"), reverse=True):
        result = "" if session["result"] == "None" else session["result"]
        cells = (
            moment("created_at")(session),
            session["vm_name"],
            session["state"],
            session["phase"],
            result,
            str(session["progress"]),
            rate(session),
            time_left(session),
            session["id"],
        )
        table.add_row(*map(escape, cells))
    return table


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
    """Draw a backup's progress until it has stopped, also over a restart of the server; gives its last state."""
    with Progress(*_PARTS, console=output.live) as progress:
        bar = progress.add_task("backup", total=100)
        for event, session in client.events(f"/job-sessions/{session_id}/events"):
            if event == "session":
                progress.update(bar, description=session["job_name"], completed=session["progress"])
    last: dict[str, Any] = client.get(f"/job-sessions/{session_id}")
    return last


def end_with(output: Output, session: dict[str, Any]) -> None:
    """Print a stopped session's result. Ends the command with FAILED unless it is Success."""
    output.result(session, f"{session['name']}: {session['result']}")
    if session["result"] != "Success":
        reason = session["reason"]
        if reason is not None:
            typer.echo(f"error: {reason['message']}\n{reason['hint']}", err=True)
        raise typer.Exit(FAILED)
