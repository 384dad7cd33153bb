"""Hypervisors and image folders behind one interface: list VMs, read them, and make them again.

Invariants: a host's ``ref`` of a VM is stable; a VM being restored cannot be seen under its final name before
it is whole. What may be half done after a crash is each host's own to say; asking it for the same restore
target again finds it.
"""

from pathlib import Path

from restorium.hosts.image_folder import ImageFolder
from restorium.hosts.interface import Host
from restorium.vocabulary.errors import InvalidInput

_KINDS = {"image-folder": lambda address: ImageFolder(Path(address))}


def open_host(kind: str, address: str) -> Host:
    """kind "image-folder": ``address`` is a folder. Nothing is contacted yet. Raises InvalidInput."""
    if kind not in _KINDS:
        raise InvalidInput(f"{kind!r} is no kind of host; known are {', '.join(_KINDS)}")
    return _KINDS[kind](address)


__all__ = ["open_host"]
