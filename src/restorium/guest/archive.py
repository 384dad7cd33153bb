"""A folder as a tar archive, made while it is read: a header a file, nothing kept of what has been sent."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime

from restorium.guest.entries import Entry, Kind
from restorium.guest.view import Guest, Path

_BLOCK = tarfile.BLOCKSIZE
_TYPES = {Kind.FOLDER: tarfile.DIRTYPE, Kind.FILE: tarfile.REGTYPE, Kind.LINK: tarfile.SYMTYPE}
_MODES = {Kind.FOLDER: 0o755, Kind.FILE: 0o644, Kind.LINK: 0o777}


def tar(guest: Guest, path: Path) -> Iterator[bytes]:
    """The archive in pieces. Its names begin with the folder's own; links are links in it.

    What has no content is left out. Raises as Guest.walk does: an archive cut short is no archive.
    """
    above = len(path) - 1
    for entry, content in guest.walk(path):
        if entry.kind in _TYPES:
            yield _header(entry, above)
            if content is not None:
                yield from content.chunks()
                yield bytes(-content.size % _BLOCK)
    yield bytes(2 * _BLOCK)


def archive_name(path: Path) -> str:
    """What the folder is called in an archive; a volume without the characters that no file name may have."""
    return path[-1].replace(":", "").replace("$", "") or "volume"


def _header(entry: Entry, above: int) -> bytes:
    top = archive_name(entry.path[: above + 1])
    info = tarfile.TarInfo("/".join((top, *entry.path[above + 1 :])))
    info.type = _TYPES[entry.kind]
    info.size = entry.facts.size if entry.kind is Kind.FILE else 0
    info.mode = _MODES[entry.kind] if entry.facts.mode is None else entry.facts.mode
    info.mtime = int((entry.facts.modified or datetime.fromtimestamp(0, UTC)).timestamp())
    if entry.facts.owner.isdecimal():
        info.uid = int(entry.facts.owner)
    info.linkname = entry.target or ""
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
