"""What is handed out of a path: a file's bytes, or a folder as a tar archive while it is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from restorium.guest.archive import archive_name, tar
from restorium.guest.entries import Kind
from restorium.guest.view import Guest, Path


@dataclass(frozen=True, slots=True)
class Download:
    """``size`` is None where it is not known before the end. ``content`` raises as it is read."""

    name: str
    media_type: str
    size: int | None
    content: Iterator[bytes]

    @property
    def headers(self) -> dict[str, str]:
        """Of an answer over HTTP: they name what is handed out and keep browsers from opening it."""
        plain = "".join(each if each.isascii() and each not in '"\\%;' else "_" for each in self.name)
        disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(self.name, safe='')}"
        length = {} if self.size is None else {"Content-Length": str(self.size)}
        return {"Content-Type": self.media_type, "Content-Disposition": disposition, **length}


def download(guest: Guest, path: Path) -> Download:
    """What stands at a path. Raises as ``Guest.entry`` and ``Guest.open``."""
    if guest.entry(path).kind is Kind.FOLDER:
        return Download(archive_name(path) + ".tar", TAR, None, tar(guest, path))
    content = guest.open(path)
    return Download(path[-1], BINARY, content.size, content.chunks())


BINARY, TAR = "application/octet-stream", "application/x-tar"
