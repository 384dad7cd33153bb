"""`restorium evidence`: signed records of restores, fetched from a server and checked without one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import Progress

from restorium.cli.client import Client
from restorium.cli.command import Json, server_command
from restorium.cli.files import write_new
from restorium.cli.follow import BYTES
from restorium.cli.output import Output, field, moment
from restorium.disks import FORMATS, open_disk
from restorium.disks.digest import disk_digest
from restorium.disks.interface import data_extents
from restorium.evidence import Record, check, read_public_keys
from restorium.vocabulary.errors import EvidenceRefused, InvalidInput
from restorium.vocabulary.ids import parse_guid

app = typer.Typer(no_args_is_help=True, help="Signed records of restores.")

_Format = Annotated[
    str | None, typer.Option("--format", help=f"{', '.join(FORMATS)}; else by the image's first bytes.")
]


@server_command(app, "get")
def get(
    client: Client,
    output: Output,
    session: Annotated[str, typer.Argument(help="Id, as `restorium sessions` lists it.")],
    file: Annotated[Path | None, typer.Argument(help="File to write; else standard output.")] = None,
) -> None:
    """Fetch the record of a restore that has ended. An existing file is never overwritten."""
    document = client.get(f"/restore-sessions/{parse_guid(session)}/evidence")
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if file is None:
        typer.echo(text)
        return
    write_new(file, text + "\n")
    output.result({"file": str(file)}, f"wrote the record to {file}")


@server_command(app, "key")
def key(
    client: Client,
    output: Output,
    file: Annotated[Path | None, typer.Argument(help="File to write; else standard output.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Older keys too.")] = False,
) -> None:
    """Fetch the public key that records are checked with, as PEM. An existing file is never overwritten."""
    keys = client.items("/evidence/keys") if every else [client.get("/evidence/key")]
    text = "".join(each["public_key"] for each in keys)
    if file is not None:
        write_new(file, text)
        output.result({"file": str(file), "keys": keys}, f"wrote {len(keys)} public keys to {file}")
    elif output.as_json:
        output.details({"keys": keys}, [])
    else:
        typer.echo(text, nl=False)


@server_command(app, "keys")
def keys(client: Client, output: Output) -> None:
    """List the keys that sign and that signed."""
    output.table(
        client.items("/evidence/keys"),
        [("ID", field("id")), ("SINCE (UTC)", moment("created_at")), ("UNTIL (UTC)", moment("retired_at"))],
    )


@server_command(app, "rotate")
def rotate(client: Client, output: Output) -> None:
    """Sign with a new key from now on. What older keys signed is still checked with them."""
    made = client.post("/evidence/keys")
    output.result(made, f"records are signed with {made['id']} from now on")


@app.command("digest")
def digest(
    image: Annotated[Path, typer.Argument(help="Image of a disk.")],
    image_format: _Format = None,
    as_json: Json = False,
) -> None:
    """Compute the digest that records give of a disk. Needs no server."""
    size, found = _digest_of(image, image_format, Output(as_json))
    Output(as_json).result({"image": str(image), "size": size, "digest": found}, f"{found}  {image}")


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(help="Record, as `restorium evidence get` writes it.")],
    key: Annotated[Path, typer.Option("--key", help="PEM file of public keys that you trust.")],
    image: Annotated[
        list[str] | None, typer.Option("--image", help="DISK=FILE: hold this image against the record too.")
    ] = None,
    image_format: _Format = None,
    as_json: Json = False,
) -> None:
    """Check a record, and images of its disks. Needs no server. Exit code 0 means that all is as it is signed."""
    output = Output(as_json)
    record = check(_read(file), read_public_keys(_read(key), str(key)))
    images = [_named_image(each) for each in image or []]
    for disk, path in images:
        _compare(record, disk, path, image_format, output)
    held = {disk: str(path) for disk, path in images}
    output.result({"record": msgspec.to_builtins(record), "images": held}, _describe(record, held))


def _named_image(text: str) -> tuple[str, Path]:
    disk, equals, path = text.partition("=")
    if not (disk and equals and path):
        raise InvalidInput(f"{text!r} is not DISK=FILE", hint="Name disks as the record does.")
    return disk, Path(path)


def _compare(record: Record, key: str, path: Path, image_format: str | None, output: Output) -> None:
    disk = next((each for each in record.disks if each.key == key), None)
    if disk is None:
        known = ", ".join(each.key for each in record.disks) or "none"
        raise InvalidInput(f"the record has no disk {key!r}", hint=f"Its disks: {known}.")
    if disk.digest is None:
        raise EvidenceRefused(f"the record has no digest of disk {key}: {disk.reason or record.result}")
    size, found = _digest_of(path, image_format, output)
    if (size, found) != (disk.size, disk.digest):
        raise EvidenceRefused(
            f"{path} has {size:,} bytes of the digest {found}, the record says {disk.size:,} of {disk.digest}",
            hint="The image was changed since the restore, as a VM that runs changes it, or is another disk's.",
        )


def _digest_of(path: Path, image_format: str | None, output: Output) -> tuple[int, str]:
    with open_disk(path, image_format) as reader, Progress(*BYTES, console=output.live) as progress:
        data = sum(extent.length for extent in data_extents(reader.extents()))
        bar = progress.add_task(path.name, total=data)
        return reader.size, disk_digest(reader, progress=lambda count: progress.advance(bar, count))


def _describe(record: Record, images: dict[str, str]) -> str:
    session, point, target = record.session, record.point, record.target
    lines = [
        f"the record is genuine, signed with {record.key}",
        f"restore    {session.name}  ({session.id}): {record.result}",
        f"asked by   {session.requested_by} from {session.requested_from or 'unknown'},"
        f" {session.created_at:%Y-%m-%d %H:%M:%S} UTC, {session.duration_ms / 1000:.1f} s",
        f"point      {point.name}  ({point.id})",
    ]
    if target is not None:
        lines.append(f"target     {target.restored_ref or 'nothing'} on {target.host_name or target.host_id}")
    if record.reason is not None:
        lines.append(f"reason     {record.reason.message} ({record.reason.code})")
    for disk in record.disks:
        compared = f", {images[disk.key]} is identical" if disk.key in images else ""
        lines.append(f"disk       {disk.key}: {disk.result}, {disk.digest or 'no digest'}{compared}")
    return "\n".join(lines)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}", hint="Name a readable file.") from None
