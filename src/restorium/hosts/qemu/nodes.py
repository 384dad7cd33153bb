"""A VM's disks as its QEMU has them. Source: QEMU's QAPI schema, query-block and query-named-block-nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restorium.hosts.image_folder.descriptions import DescribedDisk
from restorium.hosts.image_folder.folder import inside
from restorium.hosts.qemu.qmp import Qmp


@dataclass(frozen=True, slots=True)
class Node:
    """One disk: its ``key`` in the VM, and the name that its block node has.

    size: bytes, as the guest sees them. keeps_bitmaps: whether they outlive QEMU. bitmaps: by name, as QEMU tells them.
    """

    key: str
    name: str
    size: int
    keeps_bitmaps: bool
    has_snapshots: bool
    bitmaps: Mapping[str, Mapping[str, Any]]


def attached(qmp: Qmp, folder: Path, disks: Sequence[DescribedDisk]) -> list[Node]:
    """Those of the disks that a running VM has.

    An image on top of the described file, as a snapshot makes one, is the disk.
    """
    inserted = [device["inserted"] for device in qmp.execute("query-block") if "inserted" in device]
    found = []
    for disk in disks:
        path = inside(folder, disk.file)
        device = next((each for each in inserted if _stands_on(each, folder, path)), None)
        if device is not None:
            found.append(node(disk.key, device))
    return found


def named(qmp: Qmp, names: Mapping[str, str]) -> list[Node]:
    """names: of nodes, by the disk's key."""
    nodes = {each["node-name"]: each for each in qmp.execute("query-named-block-nodes")}
    return [node(key, nodes[name]) for key, name in names.items()]


def node(key: str, told: Mapping[str, Any]) -> Node:
    image = told["image"]
    compat = image.get("format-specific", {}).get("data", {}).get("compat")
    return Node(
        key,
        told["node-name"],
        image["virtual-size"],
        keeps_bitmaps=image["format"] == "qcow2" and compat == "1.1" and not told["ro"],
        has_snapshots=bool(image.get("snapshots")),
        bitmaps={each["name"]: each for each in told.get("dirty-bitmaps", []) if "name" in each},
    )


def _stands_on(inserted: Mapping[str, Any], folder: Path, path: Path) -> bool:
    image = inserted.get("image")
    while image is not None:
        for file in _files(str(image.get("filename", ""))):
            named_file = folder / file
            if named_file.exists() and path.exists() and named_file.samefile(path):
                return True
        image = image.get("backing-image")
    return False


def _files(filename: str) -> Iterator[str]:
    """What a name of QEMU's leads to: a plain one, or a tree of options where there is no plain one."""
    if not filename.startswith("json:"):
        if filename:
            yield filename.removeprefix("file:")
        return
    pending = [json.loads(filename.removeprefix("json:"))]
    while pending:
        options = pending.pop()
        if isinstance(options.get("filename"), str):
            yield options["filename"]
        pending += [each for each in options.values() if isinstance(each, dict)]
