"""What is in a file system: entries, their kinds and their names."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class Kind(Enum):
    """OTHER has no content: a device, a pipe, a socket."""

    FOLDER = "folder"
    FILE = "file"
    LINK = "link"
    OTHER = "other"

    @classmethod
    def of_mode(cls, mode: int) -> Kind:
        """Of a POSIX mode, or the part of it that says the type."""
        return _BY_TYPE.get(stat.S_IFMT(mode), cls.OTHER)


_BY_TYPE = {stat.S_IFDIR: Kind.FOLDER, stat.S_IFREG: Kind.FILE, stat.S_IFLNK: Kind.LINK}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file system says of an entry.

    size: bytes; of a link, those of its target. modified: with zone, None where it makes no sense. owner: a numeric
    id, a SID, or nothing. mode: POSIX permissions, None where there are none.
    """

    size: int
    modified: datetime | None = None
    owner: str = ""
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a folder, a link or something without content. ``path`` begins with the volume's name."""

    path: tuple[str, ...]
    kind: Kind
    facts: Facts
    target: str | None = None
    """Of a link, as it was written there. Nothing ever follows it."""

    @property
    def name(self) -> str:
        return self.path[-1]


_UNSAFE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff\\ufffe\\uffff]")


def clean(name: str) -> str | None:
    """A name as text that every document can hold: bytes that are none, and controls, become %XX.

    None for what cannot be a name: an empty one, ``.`` and ``..``, and whatever has a slash or a NUL.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        return None
    if "\\" in name and ".." in name.split("\\"):  # a way upwards, once unpacked on Windows
        name = name.replace("\\", "%5C")
    return _UNSAFE.sub(_escaped, name)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as surrogateescape keeps it
        return f"%{code - 0xDC00:02X}"
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))
