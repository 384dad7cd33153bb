"""A VM's description, ``<ref>.vm.toml`` in an image folder. docs/image-folder.md is for who writes one."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from pathlib import Path, PurePosixPath
from typing import Any

from restorium.disks import FORMATS
from restorium.vocabulary.errors import HostError, VmNotFound

SUFFIX = ".vm.toml"
_MOST_BYTES = 1 << 20
_OWN_KEYS = {"name", "disk", "restored_by"}
_OWN_DISK_KEYS = {"key", "file", "format", "size"}
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_AS_TEXT = "toml"
"""Member of the object that stands in JSON for a value that TOML has and JSON has not."""


@dataclass(frozen=True, slots=True)
class DescribedDisk:
    """``file`` is relative to the folder. ``size`` in bytes: what the image must have at least."""

    key: str
    file: str
    format: str | None = None
    size: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Description:
    """``settings``: what else the file says. ``restored_by``: the restore that wrote it, if one did."""

    name: str
    disks: tuple[DescribedDisk, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    restored_by: str | None = None


def read_description(path: Path) -> Description:
    """Raises VmNotFound if there is no file, HostError naming file and fault if it says nothing usable."""
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise VmNotFound(f"{path} does not exist") from error
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > _MOST_BYTES:
        raise _fault(path, f"is larger than {_MOST_BYTES} bytes")
    try:
        table = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise _fault(path, f"is not TOML: {error}") from error
    disks = table.get("disk")
    if not isinstance(disks, list) or not disks:
        raise _fault(path, "has no [[disk]]")
    described = tuple(_read_disk(path, number, each) for number, each in enumerate(disks, 1))
    keys = [disk.key for disk in described]
    if len(set(keys)) != len(keys):
        raise _fault(path, f"has two disks of one key, as in {', '.join(keys)}")
    restored_by = table.get("restored_by")
    return Description(
        _text(path, table, "name", "the VM"),
        described,
        _to_json(_without(table, _OWN_KEYS)),
        restored_by if isinstance(restored_by, str) else None,
    )


def render_description(description: Description) -> str:
    """The file's text."""
    top: dict[str, Any] = {"name": description.name}
    if description.restored_by is not None:
        top["restored_by"] = description.restored_by
    lines = [*_lines(top), *_lines(_without(description.settings, _OWN_KEYS))]
    for disk in description.disks:
        lines += ["", "[[disk]]"]
        own = {"key": disk.key, "file": disk.file, "format": disk.format, "size": disk.size}
        lines += [*_lines(own), *_lines(_without(disk.settings, _OWN_DISK_KEYS))]
    return "\n".join(lines) + "\n"


def _read_disk(path: Path, number: int, table: Any) -> DescribedDisk:
    where = f"disk {number}"
    if not isinstance(table, dict):
        raise _fault(path, f"has no table for {where}")
    file = _text(path, table, "file", where)
    parts = PurePosixPath(file).parts
    if PurePosixPath(file).is_absolute() or ".." in parts or "\0" in file:
        raise _fault(path, f"names {file!r}, which is not inside its folder")
    image_format = table.get("format")
    if image_format is not None and image_format not in FORMATS:
        raise _fault(path, f"gives {where} the format {image_format!r}; known are {', '.join(FORMATS)}")
    size = table.get("size")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise _fault(path, f"gives {where} the size {size!r}, which is no number of bytes")
    others = _to_json(_without(table, _OWN_DISK_KEYS))
    return DescribedDisk(_text(path, table, "key", where), file, image_format, size, others)


def _text(path: Path, table: Mapping[str, Any], key: str, where: str) -> str:
    value = table.get(key)
    if not isinstance(value, str) or not value.strip():
        raise _fault(path, f"has no {key!r} for {where}")
    return value


def _fault(path: Path, what: str) -> HostError:
    return HostError(
        f"{path} {what}", hint="Correct the description; docs/image-folder.md shows what it may say."
    )


def _to_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_to_json(each) for each in value]
    if isinstance(value, datetime | date | time):
        return {_AS_TEXT: value.isoformat()}
    if isinstance(value, float) and not math.isfinite(value):
        return {_AS_TEXT: str(value)}
    return value


def _without(table: Mapping[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}


def _lines(table: Mapping[str, Any]) -> list[str]:
    """What has no value is left out, for TOML has no word for it."""
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items() if value is not None]


def _key(key: str) -> str:
    return key if _BARE_KEY.match(key) else _string(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        if _is_toml_only(value):
            return str(value[_AS_TEXT])
        inner = ", ".join(_lines(value))
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(each) for each in value if each is not None)}]"
    if isinstance(value, str):
        return _string(value)
    return json.dumps(value)


def _string(text: str) -> str:
    """JSON's escapes are TOML's, but JSON leaves DEL as it is. What no file can hold becomes a question mark."""
    writable = text.encode("utf-8", "replace").decode()
    return json.dumps(writable, ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_toml_only(value: Mapping[str, Any]) -> bool:
    """Whether ``_to_json`` made it of a date, a time or a number that is not finite."""
    try:
        return bool(value == _to_json(tomllib.loads(f"value = {value.get(_AS_TEXT)}")["value"]))
    except ValueError:
        return False
