"""`restorium import`: image files that are there already, as a restore point."""

from __future__ import annotations

from typing import Annotated

import typer

from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.follow import Follow, end_with, follow_job_session
from restorium.cli.output import Output


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    server_command(app, "import")(import_images)


def import_images(
    client: Client,
    output: Output,
    vm: Annotated[str, typer.Argument(help="Name that the VM is to have.")],
    files: Annotated[list[str], typer.Argument(help="Its images, one a disk: absolute paths on the server.")],
    repository: Annotated[str, typer.Option(help="Repository to keep it in.")],
    host: Annotated[str, typer.Option(help="Host that it is to be restored to.")],
    follow: Follow = False,
) -> None:
    """Read disk images (raw, qcow2, vmdk, vhdx) into a repository, as a restore point of a VM."""
    body = {
        "vm_name": vm,
        "host_id": client.named("/hosts", host)["id"],
        "repository_id": client.named("/repositories", repository)["id"],
        "files": files,
    }
    session = client.post("/imports", body)
    if follow:
        end_with(output, follow_job_session(client, output, session["id"]))
    else:
        output.result(session, f"started to import {vm}: session {session['id']}")
