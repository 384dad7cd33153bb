"""`restorium host`: hypervisors and image folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.output import Item, Output, field
from restorium.cli.secret_files import read_secret
from restorium.cli.sizes import format_size

app = typer.Typer(help="Hypervisors and image folders.", no_args_is_help=True)
_add = typer.Typer(help="Add a host.", no_args_is_help=True)
app.add_typer(_add, name="add")


@server_command(_add, "image-folder")
def add_image_folder(client: Client, output: Output, name: str, path: Path) -> None:
    """Add a folder of disk images on the server's machine; a TOML file beside the disks describes each VM."""
    _post(client, output, "image-folder", name, str(path.absolute()))


@server_command(_add, "qemu")
def add_qemu(client: Client, output: Output, name: str, path: Path) -> None:
    """Add a folder of VMs of plain QEMU on the server's machine, running or off, each with a TOML file."""
    _post(client, output, "qemu", name, str(path.absolute()))


@server_command(_add, "libvirt")
def add_libvirt(client: Client, output: Output, name: str, address: str = "qemu:///system") -> None:
    """Add the libvirt of the server's machine; --address is its URI."""
    _post(client, output, "libvirt", name, address)


def _remote(kind: str, help_text: str) -> None:
    """Make a command that adds hosts of a kind which is reached over the network with a logon."""

    def add(
        client: Client,
        output: Output,
        name: str,
        address: str,
        logon_username: Annotated[str, typer.Option(help="The account on the host to log on as.")],
        logon_password_file: Annotated[Path, typer.Option(help="A file with its password.")],
        thumbprint: Annotated[
            str | None,
            typer.Option(help="SHA-256 of the host's certificate, trusted in place of a verified one."),
        ] = None,
    ) -> None:
        secret = read_secret(logon_password_file)
        _post(
            client,
            output,
            kind,
            name,
            address,
            username=logon_username,
            password=secret,
            thumbprint=thumbprint,
        )

    add.__doc__ = help_text
    server_command(_add, kind)(add)


_remote(
    "cloud-director",
    "Add a VMware Cloud Director by its address https://NAME. Its vCenters are added before it.",
)
_remote(
    "hyperv",
    "Add a Microsoft Hyper-V host, as https://HOST with its WinRM port if that is not 5986.",
)
_remote("vsphere", "Add a vCenter Server: https://vcenter.example[:port].")


def _post(client: Client, output: Output, kind: str, name: str, address: str, **logon: str | None) -> None:
    host = client.post("/hosts", {"name": name, "kind": kind, "address": address, **logon})
    output.result(host, f"added the host {host['name']} ({host['kind']} {host['address']})")


@server_command(app, "list")
def list_hosts(client: Client, output: Output) -> None:
    """List the hosts."""
    output.table(
        client.items("/hosts"),
        [
            ("NAME", field("name")),
            ("KIND", field("kind")),
            ("ADDRESS", field("address")),
            ("ID", field("id")),
        ],
    )


@server_command(app, "vms")
def list_vms(client: Client, output: Output, name: str) -> None:
    """List the VMs of a host."""
    host = client.named("/hosts", name)
    output.table(
        client.items(f"/hosts/{host['id']}/vms"),
        [
            ("NAME", field("name")),
            ("REF", field("ref")),
            ("DISKS", _disks),
        ],
    )


@server_command(app, "edit")
def edit(
    client: Client,
    output: Output,
    name: str,
    new_name: Annotated[str | None, typer.Option("--name", help="New name.")] = None,
    address: Annotated[str | None, typer.Option(help="New address; needs the password.")] = None,
    logon_username: Annotated[str | None, typer.Option(help="New account; needs its password.")] = None,
    logon_password_file: Annotated[Path | None, typer.Option(help="A file with the password.")] = None,
    thumbprint: Annotated[
        str | None, typer.Option(help="SHA-256 of the host's new certificate; needs the password.")
    ] = None,
) -> None:
    """Change how a host is called and reached. It is reached as it will be before anything is kept."""
    host = client.named("/hosts", name)
    asked = {
        "name": new_name,
        "address": address,
        "username": logon_username,
        "password": None if logon_password_file is None else read_secret(logon_password_file),
        "thumbprint": thumbprint,
    }
    changed = client.request("PATCH", f"/hosts/{host['id']}", json=asked)
    output.result(changed, f"changed the host {changed['name']} ({changed['kind']} {changed['address']})")


@server_command(app, "remove")
def remove(client: Client, output: Output, name: str) -> None:
    """Forget a host; nothing on it is touched. Refused while jobs or restore points are of its VMs."""
    item = client.named("/hosts", name)
    client.delete(f"/hosts/{item['id']}")
    output.result(item, f"removed the host {item['name']}")


def _disks(vm: Item) -> str:
    return ", ".join(f"{disk['key']} {format_size(disk['size'])}" for disk in vm["disks"])
