"""Hosts for the conformance suites, each with a way to put VMs there and to look at them without Restorium.

A host joins by a module of this package with a class like ``ImageFolderLab``, named in LABS.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol
from uuid import UUID

import pytest
from _pytest.mark import ParameterSet

from restorium.flows import hosts
from restorium.flows.engine import Engine
from restorium.hosts import open_host
from restorium.hosts.interface import Host, Login


class Lab(Protocol):
    """One host of ``kind``.

    disk_format: what the host says of its VMs' disks. tracks: whether it knows what changed since the last backup.
    powers: whether it runs VMs. What only some labs have is asked for by the functions below.
    """

    kind: ClassVar[str]
    disk_format: ClassVar[str]
    tracks: ClassVar[bool]
    powers: ClassVar[bool]
    address: str
    login: Login | None

    def __init__(self, folder: Path) -> None: ...

    def add_vm(self, name: str, contents: Mapping[str, bytes]) -> str:
        """A VM that is off, with these disks by key; gives its ref. The keys are the host's: see ``keys``."""
        ...

    def keys(self, count: int) -> list[str]:
        """What the host calls the first disks of a VM."""
        ...

    def remove_vm(self, ref: str) -> None: ...
    def start(self, ref: str) -> None:
        """Run the VM; only where ``powers``."""
        ...

    def runs(self, ref: str) -> bool:
        """Whether it runs and is not paused."""
        ...

    def write(self, ref: str, key: str, offset: int, data: bytes) -> None:
        """Write to a disk as the VM would, whether it runs or not."""
        ...

    def contents(self, ref: str) -> dict[str, bytes]:
        """What the disks hold, by key, read without Restorium."""
        ...

    def leftovers(self) -> Sequence[str]:
        """What backups and restores must not leave: snapshots, overlays, temporary files and VMs, paused VMs."""
        ...

    def forget_changes(self, ref: str) -> None:
        """Lose what the host knows of changes, as its own tools could; only where ``tracks``."""
        ...

    def cut(self) -> AbstractContextManager[None]:
        """The host cannot be reached until the block is left."""
        ...

    def close(self) -> None:
        """Stop what was started."""
        ...


_LABS = {
    "image-folder": "image_folder:ImageFolderLab",
    "qemu": "qemu:QemuLab",
    "vsphere": "vsphere:VsphereLab",
    "vsphere on vSAN": "vsphere:VsanLab",
    "cloud-director": "cloud_director:CloudDirectorOnVcsimLab",
    "hyperv": "hyperv.lab:HyperVLab",
    "libvirt": "libvirt:LibvirtLab",
}
KINDS = list(_LABS)
"""Kinds of hosts, and what differs within one."""
_QUICK = ("image-folder",)


def lab_params() -> list[ParameterSet]:
    """The kinds for a fixture or a test; those that take their time are left out of the quick run."""
    return [pytest.param(kind, marks=[] if kind in _QUICK else pytest.mark.slow) for kind in KINDS]


def open_lab(kind: str, folder: Path) -> Lab:
    module, _, name = _LABS[kind].partition(":")
    made: Any = getattr(import_module(f"tests.support.labs.{module}"), name)
    lab: Lab = made(folder)
    return lab


def resumes(lab: Lab) -> bool:
    """Whether a disk that a restore has begun to write can be gone on with, by another process."""
    return getattr(lab, "resumes", False)


def add_plain_vm(lab: Lab, name: str, contents: Mapping[str, bytes]) -> str:
    """As ``add_vm``, with disks of ``plain_formats``, and so that a copy can be all the same: no card has an address
    of its own.
    """
    ref: str = getattr(lab, "add_plain_vm", lab.add_vm)(name, contents)
    return ref


def plain_formats(lab: Lab, keys: Sequence[str]) -> dict[str, str]:
    """By key, where the keys are a VM's first."""
    formats = getattr(lab, "plain_formats", (lab.disk_format,) * len(keys))
    return dict(zip(keys, formats, strict=False))


Behind = tuple[str, str, str, Login | None]
"""A host that a lab's stands in front of: kind, name, address, logon. ``behind`` of the lab lists them."""


def add_host(engine: Engine, lab: Lab, name: str = "lab") -> UUID:
    """Add the lab's host, and before it those that it stands in front of; gives its id."""
    for kind, behind, address, login in _behind(lab):
        hosts.add(engine, kind, f"{name} {behind}", address, login)
    return hosts.add(engine, lab.kind, name, lab.address, lab.login)


def open_lab_host(lab: Lab) -> Host:
    """The lab's host without an installation."""
    known = {address: (kind, login) for kind, _, address, login in _behind(lab)}

    def peer(address: str) -> Host:
        kind, login = known[address]
        return open_host(kind, address, login)

    return open_host(lab.kind, lab.address, lab.login, peer)


def _behind(lab: Lab) -> list[Behind]:
    return getattr(lab, "behind", [])


@contextmanager
def away(path: Path) -> Iterator[None]:
    """What is at ``path`` has another name until the block is left."""
    other = path.with_name("away")
    path.rename(other)
    try:
        yield
    finally:
        other.rename(path)
