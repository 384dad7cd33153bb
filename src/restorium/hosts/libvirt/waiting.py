"""A guest that waits for the server of its disks: what QEMU can do and libvirt has no word for.

libvirt's own NBD node gives up at once when the server hangs up. So each is replaced by one that does not, by QEMU's
monitor, before the guest has begun. Facts are those of QEMU's QAPI schema.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from lxml import etree

from restorium.hosts.interface import ServedDisk
from restorium.hosts.libvirt.domains import attribute
from restorium.hosts.libvirt.virsh import Virsh
from restorium.hosts.overlays import RECONNECT_SECONDS
from restorium.vocabulary.errors import HostError

_NODE = "restorium-{target}"
_RELEASE_SECONDS = 10.0
_LOOK_SECONDS = 0.05


def backing_store(served: ServedDisk, size: int) -> etree._Element:
    """What is below an image, for a domain. The slice, all of the disk, makes libvirt put a raw node above NBD's."""
    store = etree.Element("backingStore", {"type": "network"})
    etree.SubElement(store, "format", {"type": "raw"})
    source = etree.SubElement(store, "source", {"protocol": "nbd", "name": served.name})
    etree.SubElement(source, "host", {"transport": "unix", "socket": str(served.socket)})
    slices = etree.SubElement(source, "slices")
    etree.SubElement(slices, "slice", {"type": "storage", "offset": "0", "size": str(size)})
    etree.SubElement(store, "backingStore")
    return store


def is_backed(disk: etree._Element) -> bool:
    """Whether the image of a domain's disk lies above a restore point."""
    return attribute(disk, "backingStore/source", "protocol") == "nbd"


def make_wait(virsh: Virsh, domain: UUID, running: etree._Element) -> None:
    """Let the VM, whose guest is held, wait for the servers of its disks. May be repeated. Raises HostError."""
    known = {node["node-name"] for node in _ask(virsh, domain, "query-named-block-nodes")}
    for disk in running.iterfind("devices/disk"):
        if not is_backed(disk):
            continue
        node = _NODE.format(target=attribute(disk, "target", "dev"))
        if node not in known:
            _ask(
                virsh,
                domain,
                "blockdev-add",
                {
                    "driver": "nbd",
                    "node-name": node,
                    "server": {
                        "type": "unix",
                        "path": attribute(disk, "backingStore/source/host", "socket"),
                    },
                    "export": attribute(disk, "backingStore/source", "name"),
                    "read-only": True,
                    "reconnect-delay": RECONNECT_SECONDS,
                },
            )
        above = {
            "driver": "raw",
            "node-name": f"libvirt-{attribute(disk, 'backingStore', 'index')}-format",
            "read-only": True,
            "file": node,
        }
        _ask(virsh, domain, "blockdev-reopen", {"options": [above]})


def forget_servers(virsh: Virsh, domain: UUID) -> None:
    """Take away what ``make_wait`` made, once libvirt has taken away what reads there. Raises HostError."""
    deadline = time.monotonic() + _RELEASE_SECONDS
    while True:
        nodes = {node["node-name"] for node in _ask(virsh, domain, "query-named-block-nodes")}
        ours = {node for node in nodes if node.startswith(_NODE.format(target=""))}
        for node in ours:
            try:
                _ask(virsh, domain, "blockdev-del", {"node-name": node})
            except HostError:  # libvirt is about to
                if time.monotonic() > deadline:
                    raise
        if not ours:
            return
        time.sleep(_LOOK_SECONDS)


def _ask(virsh: Virsh, domain: UUID, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
    """What QEMU returns. Raises HostError with its reason."""
    asked = json.dumps({"execute": command, "arguments": arguments or {}})
    answer: dict[str, Any] = json.loads(virsh.run("qemu-monitor-command", str(domain), asked))
    if "error" in answer:
        raise HostError(
            f"QEMU refuses {command}: {answer['error'].get('desc')}",
            hint="docs/platforms.md says with which versions of libvirt a VM can run from its restore point.",
        )
    return answer.get("return")
