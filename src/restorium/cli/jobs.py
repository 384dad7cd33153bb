"""`restorium job`: what is backed up, and running it."""

from __future__ import annotations

from typing import Annotated

import typer

from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.follow import Follow, end_with, follow_job_session
from restorium.cli.output import Output, field
from restorium.vocabulary.errors import InvalidInput, VmNotFound

app = typer.Typer(help="What is backed up.", no_args_is_help=True)


@server_command(app, "add")
def add(
    client: Client,
    output: Output,
    name: str,
    repository: Annotated[str, typer.Option(help="Repository to back up to.")],
    vm: Annotated[list[str], typer.Option(help="HOST/VM, may be given several times.")],
) -> None:
    """Add a backup job."""
    body = {
        "name": name,
        "repository_id": client.named("/repositories", repository)["id"],
        "vms": [_find_vm(client, path) for path in vm],
    }
    job = client.post("/jobs", body)
    output.result(job, f"added the job {job['name']}; run it with `restorium job start {job['name']}`")


@server_command(app, "list")
def list_jobs(client: Client, output: Output) -> None:
    """List the jobs."""
    output.table(
        client.items("/jobs"),
        [
            ("NAME", field("name")),
            ("REPOSITORY", field("repository_name")),
            ("NEXT RUN", lambda job: job["next_run"] or "-"),
            ("VMS", lambda job: ", ".join(vm["vm_name"] for vm in job["vms"])),
            ("ID", field("id")),
        ],
    )


@server_command(app, "start")
def start(
    client: Client,
    output: Output,
    name: str,
    follow: Follow = False,
) -> None:
    """Run a job now."""
    job = client.named("/jobs", name)
    session = client.post(f"/jobs/{job['id']}/start")
    if follow:
        session = follow_job_session(client, output, session["id"])
        end_with(output, session)
    else:
        output.result(session, f"started the job {job['name']}: session {session['id']}")


def _find_vm(client: Client, path: str) -> dict[str, str]:
    host_name, slash, vm_name = path.partition("/")
    if not slash or not vm_name:
        raise InvalidInput(f"{path!r} does not name a VM", hint="Write --vm HOST/VM.")
    host = client.named("/hosts", host_name)
    for vm in client.items(f"/hosts/{host['id']}/vms"):
        if vm_name in (vm["ref"], vm["name"]):
            return {"host_id": host["id"], "vm_ref": vm["ref"]}
    raise VmNotFound(f"the host {host_name} has no VM {vm_name!r}")
