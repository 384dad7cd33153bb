"""`restorium verify`, `prune` and `stats`: looking after a repository. Ctrl-C stops them, and harms nothing."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.follow import follow_lines
from restorium.cli.output import FAILED, Output, field, moment
from restorium.cli.sizes import format_size

_Repository = Annotated[str, typer.Argument(help="Name of the repository.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    server_command(app, "verify")(verify)
    server_command(app, "prune")(prune)
    server_command(app, "stats")(stats)


def verify(
    client: Client,
    output: Output,
    repository: _Repository,
    read_data: Annotated[
        bool, typer.Option("--read-data", help="Read all data, not the index alone.")
    ] = False,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="Let the next backup store anew what is damaged.")
    ] = False,
) -> None:
    """Hold a repository against its digests. Ends with 1 if something is wrong."""
    asked = {"read_data": read_data, "quarantine": quarantine}
    found = _follow(client, output, "POST", repository, "verify", asked)
    wrong = found["findings"]
    told = [f"{each['subject']}: {each['problem']}" for each in wrong]
    read = f", {format_size(found['read_bytes'])} read" if read_data else ""
    told.append(
        f"{found['points']} restore points in {found['packs']} packs{read}: {_count(len(wrong))} wrong"
    )
    if quarantine:
        told.append(f"{found['quarantined']} packs are not counted on any more")
    output.result(found, "\n".join(told))
    if wrong:
        raise typer.Exit(FAILED)


def prune(client: Client, output: Output, repository: _Repository) -> None:
    """Give back the room of what no restore point needs. The server does it once a day by itself."""
    found = _follow(client, output, "POST", repository, "prune")
    told = (
        f"removed {format_size(found['removed_bytes'])} in {found['removed_packs']} packs;"
        f" {found['waiting_packs']} packs wait until nobody can need them"
    )
    if found["unreadable"]:
        told = f"nothing was removed, for restore points cannot be read: {found['unreadable']}"
    output.result(found, told)
    if found["unreadable"]:
        raise typer.Exit(FAILED)


def stats(client: Client, output: Output, repository: _Repository) -> None:
    """Show what a repository's room is used for, and what each restore point adds to it."""
    found = _follow(client, output, "GET", repository, "stats")
    if output.as_json:
        output.result(found, "")
        return
    output.table(
        found["points"],
        [
            ("CREATED (UTC)", moment("created")),
            ("DATA", _size("data")),
            ("ADDED", _size("added")),
            ("ALONE", _size("alone")),
            ("POINT", field("name")),
        ],
    )
    output.result(
        found,
        f"{format_size(found['stored'])} stored, {format_size(found['needed'])} of it needed:"
        f" deduplicated {_times(found['data'], found['distinct'])}, compressed"
        f" {_times(found['distinct'], found['needed'])}",
    )


def _follow(
    client: Client, output: Output, method: str, name: str, what: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Follow work on a repository to its end; gives its result. Raises the error that it ended with."""
    repository = client.named("/repositories", name)
    return follow_lines(client, output, method, f"/repositories/{repository['id']}/{what}", what, body)


def _size(name: str) -> Any:
    return lambda item: format_size(item[name])


def _times(before: int, after: int) -> str:
    return f"{before / after:.1f} times" if after else "1.0 times"


def _count(number: int) -> str:
    return "nothing is" if number == 0 else "one thing is" if number == 1 else f"{number} things are"
