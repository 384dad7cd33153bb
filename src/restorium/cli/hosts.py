"""`restorium host`: hypervisors and image folders."""

from __future__ import annotations

from pathlib import Path

import typer

from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.output import Item, Output, field
from restorium.cli.sizes import format_size

app = typer.Typer(help="Hypervisors and image folders.", no_args_is_help=True)
_add = typer.Typer(help="Add a host.", no_args_is_help=True)
app.add_typer(_add, name="add")


@server_command(_add, "image-folder")
def add_image_folder(client: Client, output: Output, name: str, path: Path) -> None:
    """Add a folder of disk images on the server's machine; a TOML file beside the disks describes each VM."""
    host = client.post("/hosts", {"name": name, "kind": "image-folder", "address": str(path.absolute())})
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


@server_command(app, "remove")
def remove(client: Client, output: Output, name: str) -> None:
    """Forget a host; nothing on it is touched. Refused while jobs or restore points are of its VMs."""
    item = client.named("/hosts", name)
    client.delete(f"/hosts/{item['id']}")
    output.result(item, f"removed the host {item['name']}")


def _disks(vm: Item) -> str:
    return ", ".join(f"{disk['key']} {format_size(disk['size'])}" for disk in vm["disks"])
