"""The program's commands, put together."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from restorium.cli import (
    accounts,
    audit,
    drills,
    evidence,
    export,
    hosts,
    imports,
    jobs,
    keys,
    maintenance,
    repositories,
    restores,
    webhooks,
)
from restorium.cli.output import print_error
from restorium.vocabulary.errors import RestoriumError

app = typer.Typer(
    name="restorium",
    help="Back up virtual machines and restore them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(accounts.app, name="account")
app.add_typer(hosts.app, name="host")
app.add_typer(repositories.app, name="repository")
app.add_typer(keys.app, name="key")
app.add_typer(jobs.app, name="job")
app.add_typer(evidence.app, name="evidence")
app.add_typer(drills.app, name="drill")
app.add_typer(audit.app, name="audit")
app.add_typer(webhooks.app, name="webhook")
restores.register(app)
export.register(app)
imports.register(app)
maintenance.register(app)


@app.command("serve")
def serve(
    data: Annotated[Path | None, typer.Option(help="Folder for everything the server keeps.")] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT; port 0 takes a free one.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings.")] = None,
) -> None:
    """Run the server until it is told to stop."""
    from restorium.settings import Settings

    given: dict[str, object] = {}
    if data is not None:
        given["data"] = data
    if listen is not None:
        given["http"] = {"listen": listen}
    settings = Settings.load(config, **given)
    # The engine takes seconds to load: a mistake in the settings is told before.
    from restorium.cli.serve import serve

    serve(
        settings,
        show=lambda text: typer.echo(text, err=True),
        ready=lambda url: typer.echo(f"listening on {url}"),
    )


@app.command("worker")
def worker(
    data: Annotated[Path | None, typer.Option(help="Folder for what the worker keeps.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings.")] = None,
) -> None:
    """Share a server's work on its PostgreSQL database, without answering requests."""
    from restorium.settings import Settings

    settings = Settings.load(config, **({} if data is None else {"data": data}))
    from restorium.cli.work import work

    work(settings, ready=lambda worker_id: typer.echo(f"working as {worker_id}"))


@app.command("demo")
def demo(
    data: Annotated[Path | None, typer.Option(help="Folder to work in; a new one by default.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the server running.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write what happened to this file, as JSON.")] = None,
    host: Annotated[
        str, typer.Option(help="image-folder for VMs that are off, qemu for VMs that run.")
    ] = "image-folder",
) -> None:
    """Back up two VMs, restore one as a client of the API would, and compare it byte for byte."""
    from restorium.cli.demo.run import run_demo

    run_demo(data, keep=keep, report=report, host=host)


def run() -> None:
    """Run the command line of this process and end it with the command's exit code."""
    try:
        app()
    except RestoriumError as error:
        sys.exit(print_error(error))
    except KeyboardInterrupt:
        sys.exit(130)
