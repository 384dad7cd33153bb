"""The demo's course, from making two VMs to comparing a restored disk with what was backed up."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
import tomllib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from restorium.cli.client import Client, connect
from restorium.cli.data_folder import write_private
from restorium.cli.demo.files import FILES
from restorium.cli.demo.machines import Machine, digest, make_machine
from restorium.cli.demo.report import Narrator, Report
from restorium.cli.demo.running import RunningMachine, check_installed
from restorium.cli.demo.server import DemoServer, start_server
from restorium.cli.demo.third_party import RestoreSessionSeen, ThirdParty
from restorium.cli.sizes import format_size
from restorium.vocabulary.errors import HostError, InvalidInput, VerificationFailed

_POLL_SECONDS = 0.2
_HOSTS = ("image-folder", "qemu")


def run_demo(data: Path | None, *, keep: bool, report: Path | None, host: str = "image-folder") -> None:
    """Run the demo in ``data``, which must be empty or absent, or in a temporary folder.

    host: ``image-folder`` for VMs that are off, ``qemu`` for VMs that run and are written to while they are read.
    Returns only if the restored disk is byte for byte what the first backup read. Raises VerificationFailed
    otherwise, Unsupported if there is no QEMU, and the errors of whatever else did not hold. The server and the VMs
    keep running only with ``keep``.
    """
    if host not in _HOSTS:
        raise InvalidInput(f"the demo knows no host {host!r}", hint=f"It has {' and '.join(_HOSTS)}.")
    if host == "qemu":
        check_installed()
    folder = _empty_folder(data)
    outcome = Report(username="administrator")
    narrator = Narrator(outcome)
    images = folder / "images"
    images.mkdir()
    with ExitStack() as stack:
        with narrator.step("make_vms", "make two VMs, one with a raw and one with a qcow2 disk"):
            web, mail = make_machine(images, "web", "raw"), make_machine(images, "mail", "qcow2")
        narrator.say(f"{FILES} files on {web.file_system} each, in {images}")
        running = []
        if host == "qemu":
            with narrator.step("start_vms", "start both in QEMU"):
                for machine in (web, mail):
                    running.append(RunningMachine(machine))
                    stack.callback(running[-1].stop)
        with narrator.step("start_server", "start a server with TLS, SQLite and a repository of its own"):
            server = start_server(folder / "server", folder / "server.log")
        stack.callback(server.stop)
        outcome.server_url = server.url
        narrator.say(f"{server.url}, process {server.process.pid}")
        with connect(server.connection) as native:
            _back_up_twice(native, narrator, outcome, folder, [web, mail], running)
        session = _restore_as_third_party(server, narrator, outcome, web)
        with narrator.step("compare", "compare the restored disk with the source of that moment"):
            outcome.restored_sha256 = digest(_restored_disk(images, session["RestoredObjRef"]))
        if outcome.restored_sha256 != outcome.source_sha256:
            raise VerificationFailed(
                f"the disk restored by {session.href} is not the disk that was backed up"
            )
        narrator.conclude()
        if report is not None:
            outcome.write(report)
        if keep:
            stack.pop_all()
    narrator.advise(_advice(server, folder, data, keep=keep, runs=host == "qemu"))
    if data is None and not keep:
        shutil.rmtree(folder)


def _back_up_twice(
    client: Client,
    narrator: Narrator,
    outcome: Report,
    folder: Path,
    machines: list[Machine],
    running: list[RunningMachine],
) -> None:
    """running: the machines if they run, else empty."""
    with narrator.step("configure", "add the folder of VMs, a repository and a job"):
        kind = "qemu" if running else "image-folder"
        host = client.post("/hosts", {"name": "lab", "kind": kind, "address": str(folder / "images")})
        passphrase = secrets.token_urlsafe(18)
        write_private(folder / "repository-passphrase", passphrase + "\n")
        repository = client.post(
            "/repositories",
            {
                "name": "local",
                "url": (folder / "repository").as_uri(),
                "key": {"kind": "passphrase", "passphrase": passphrase},
            },
        )
        vms = [{"host_id": host["id"], "vm_ref": machine.name} for machine in machines]
        job = client.post("/jobs", {"name": "nightly", "repository_id": repository["id"], "vms": vms})
    outcome.source_sha256 = digest(machines[0].disk)
    with narrator.step("first_backup", "back up both VMs: everything"):
        session = client.post(f"/jobs/{job['id']}/start")
        written = _write_meanwhile(client, running, session)
        _await_job(client, outcome, session)
    if written:
        narrator.say(f"{format_size(written)} of {machines[0].name} overwritten while it was read")
    with narrator.step("change", "change some blocks on both disks"):
        changed = sum(machine.change() for machine in running or machines)
    narrator.say(f"{format_size(changed)} overwritten")
    with narrator.step("second_backup", "back up both VMs again: what has changed"):
        _await_job(client, outcome, client.post(f"/jobs/{job['id']}/start"))


def _write_meanwhile(client: Client, running: list[RunningMachine], session: dict[str, Any]) -> int:
    """Write to the first machine once its backup reads it; how many bytes."""
    if not running:
        return 0

    def ended() -> bool:
        return bool(client.get(f"/job-sessions/{session['id']}")["state"] == "Stopped")

    return running[0].change() if running[0].wait_read(ended) else 0


def _await_job(client: Client, outcome: Report, session: dict[str, Any]) -> None:
    while session["state"] != "Stopped":
        time.sleep(_POLL_SECONDS)
        session = client.get(f"/job-sessions/{session['id']}")
    if session["result"] != "Success":
        raise HostError(f"the backup ended {session['result']}: {session['reason']}")
    outcome.bytes_read += sum(vm["read_bytes"] for vm in session["vms"])
    outcome.bytes_stored += sum(vm["stored_bytes"] for vm in session["vms"])


def _restore_as_third_party(
    server: DemoServer, narrator: Narrator, outcome: Report, machine: Machine
) -> RestoreSessionSeen:
    bar = Progress(
        TextColumn("  {task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=narrator.console,
    )
    with ThirdParty(server.url, outcome.username, server.password, server.folder.certificate) as client:
        with narrator.step(
            "find_point", f"find the first point of {machine.name} through the API, as any client would"
        ):
            point = client.first_point(machine.name)
        started = time.monotonic()
        href = client.start_restore(point)
        with bar:
            task = bar.add_task(f"restore {machine.name}", total=100)
            session = client.watch(href, lambda percent: bar.update(task, completed=percent))
        outcome.seconds["restore"] = round(time.monotonic() - started, 3)
        outcome.restore_session_href = href
        outcome.restore_session_xml = client.text(href, "application/xml")
        outcome.restore_session_json = client.text(href, "application/json")
    if session["Result"] != "Success":
        raise HostError(f"the restore ended {session['Result']}: {href}", hint=f"See {server.log}.")
    return session


def _restored_disk(images: Path, reference: str) -> Path:
    """The disk of the VM that the restore session names, as its description in the image folder says."""
    description = images / f"{reference.rpartition('.')[2]}.vm.toml"
    return images / str(tomllib.loads(description.read_text())["disk"][0]["file"])


def _empty_folder(data: Path | None) -> Path:
    if data is None:
        return Path(tempfile.mkdtemp(prefix="restorium-demo-"))
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise InvalidInput(f"{data} is not an empty folder", hint="Name a new folder with --data.")
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return data.resolve()


def _advice(server: DemoServer, folder: Path, data: Path | None, *, keep: bool, runs: bool) -> list[str]:
    if not keep and data is None:
        return ["restorium demo --keep    leaves the server running for a look around"]
    commands = [
        f"restorium points --data {server.folder.path}",
        f"restorium sessions --data {server.folder.path}",
        f"restorium job start nightly --follow --data {server.folder.path}",
        f"ls {folder / 'images'}",
    ]
    if not keep:
        return [f"restorium serve --data {server.folder.path}", "and, in another terminal:", *commands]
    logon = f"{server.url}/api/sessionMngr/?v=latest"
    return [
        *commands,
        f"curl --cacert {server.folder.certificate} -u administrator -X POST '{logon}'",
        f"(the password is in {server.folder.initial_password})",
        f"kill {server.process.pid}    stops the server",
        *([f"pkill -f {folder / 'images'}    stops the VMs"] if runs else []),
    ]
