"""`restorium export`: a disk of a restore point as an image file, or as bytes on standard output."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.progress import Progress

from restorium.cli.client import Client
from restorium.cli.command import server_command
from restorium.cli.follow import BYTES
from restorium.cli.output import Output
from restorium.disks import WRITTEN_FORMATS, create_disk
from restorium.disks.interface import Extent
from restorium.vocabulary.errors import InvalidInput, NotFound, TargetExists
from restorium.vocabulary.ids import parse_guid

_PART_BYTES = 8 << 20
_AT_ONCE = 4
_EXTENTS = 1000
_ZEROS = bytes(1 << 20)
_STANDARD_OUTPUT = "-"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    server_command(app, "export")(export)


def export(
    client: Client,
    output: Output,
    point: Annotated[str, typer.Argument(help="Id, as `restorium points` lists it.")],
    file: Annotated[str, typer.Argument(help="Image to write; - for the raw bytes on standard output.")],
    disk: Annotated[str | None, typer.Option(help="Key of the disk, if the VM has several.")] = None,
    image_format: Annotated[
        str | None, typer.Option("--format", help=f"{', '.join(WRITTEN_FORMATS)}; else by the file's name.")
    ] = None,
) -> None:
    """Write a disk of a restore point to an image file. An existing file is never overwritten."""
    path = f"/restore-points/{parse_guid(point)}/disks"
    chosen = _choose(client.items(path), disk)
    source = _Disk(client, f"{path}/{chosen['number']}", chosen["size"])
    with Progress(*BYTES, console=output.live) as progress:
        bar = progress.add_task(f"disk {chosen['key']}", total=source.data_bytes)

        def advance(count: int) -> None:
            progress.advance(bar, count)

        if file == _STANDARD_OUTPUT:
            if image_format not in (None, "raw"):
                raise InvalidInput(
                    f"{image_format} cannot be written to standard output", hint="Name a file, or use raw."
                )
            _stream(source, sys.stdout.buffer, advance)
            return
        target = Path(file)
        chosen_format = image_format or _format_of(target)
        _write(source, target, chosen_format, advance)
    told = {"file": str(target), "format": chosen_format, "disk": chosen["key"], "size": chosen["size"]}
    output.result(told, f"wrote disk {chosen['key']} to {target}, as {chosen_format}")


class _Disk:
    """A disk on the server."""

    def __init__(self, client: Client, path: str, size: int) -> None:
        self.size = size
        self._client = client
        self._path = path
        self.extents = list(self._read_extents())

    @property
    def data_bytes(self) -> int:
        return sum(extent.length for extent in self.extents)

    def parts(self) -> Iterator[tuple[int, bytes]]:
        """The data in order, several requests ahead."""
        ahead: deque[tuple[int, Future[bytes]]] = deque()
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            try:
                for extent in self.extents:
                    for offset in range(extent.offset, extent.end, _PART_BYTES):
                        if len(ahead) == _AT_ONCE:
                            at, part = ahead.popleft()
                            yield at, part.result()
                        length = min(_PART_BYTES, extent.end - offset)
                        ahead.append((offset, threads.submit(self._read, offset, length)))
                while ahead:
                    at, part = ahead.popleft()
                    yield at, part.result()
            finally:
                threads.shutdown(cancel_futures=True)

    def _read(self, offset: int, length: int) -> bytes:
        return self._client.content(f"{self._path}/data", {"Range": f"bytes={offset}-{offset + length - 1}"})

    def _read_extents(self) -> Iterator[Extent]:
        offset = 0
        while True:
            found = self._client.items(f"{self._path}/extents", offset=offset, limit=_EXTENTS)
            for item in found:
                yield Extent(item["offset"], item["length"], hole=False)
            if len(found) < _EXTENTS:
                return
            offset = found[-1]["offset"] + found[-1]["length"]


def _choose(disks: list[dict[str, Any]], key: str | None) -> dict[str, Any]:
    keys = ", ".join(disk["key"] for disk in disks)
    if key is None:
        if len(disks) != 1:
            raise InvalidInput(f"the restore point has the disks {keys}", hint="Name one with --disk.")
        return disks[0]
    for disk in disks:
        if disk["key"] == key:
            return disk
    raise NotFound(f"the restore point has no disk {key!r}", hint=f"Its disks are {keys}.")


def _format_of(target: Path) -> str:
    suffix = target.suffix.removeprefix(".").lower()
    return suffix if suffix in WRITTEN_FORMATS else "raw"


def _write(source: _Disk, target: Path, image_format: str, advance: Callable[[int], None]) -> None:
    """Write under another name beside it, which goes away unless all is written."""
    if target.exists():
        raise TargetExists(f"{target} exists already", hint="Name another file, or remove it.")
    partial = target.with_name(f".{target.name}.restorium-part")
    try:
        with create_disk(partial, source.size, image_format, source.extents) as writer:
            for offset, content in source.parts():
                writer.write(offset, content)
                advance(len(content))
            writer.flush()
        target.hardlink_to(
            partial
        )  # unlike a rename, never in the place of a file that has come up meanwhile
    finally:
        partial.unlink(missing_ok=True)


def _stream(source: _Disk, out: BinaryIO, advance: Callable[[int], None]) -> None:
    position = 0
    for offset, content in source.parts():
        _fill(out, offset - position)
        out.write(content)
        advance(len(content))
        position = offset + len(content)
    _fill(out, source.size - position)
    out.flush()


def _fill(out: BinaryIO, count: int) -> None:
    while count:
        count -= out.write(_ZEROS[:count])
