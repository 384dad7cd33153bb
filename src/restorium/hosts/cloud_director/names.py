"""Names of Cloud Director's objects: ``urn:vcloud:<kind>:<GUID>`` outside, paths of its API inside."""

from __future__ import annotations

import re

from restorium.vocabulary.errors import HostError

_GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_IN_PATH = re.compile(rf"({_GUID})(?:/|$)")
_URN = re.compile(rf"urn:vcloud:(\w+):({_GUID})")
_PATHS = {
    "vm": "/api/vApp/vm-{}",
    "vapp": "/api/vApp/vapp-{}",
    "vdc": "/api/vdc/{}",
    "vdcstorageProfile": "/api/vdcStorageProfile/{}",
    "vimserver": "/api/admin/extension/vimServer/{}",
}
LONGEST_NAME = 128
"""Bytes of the name of a VM or vApp."""


def urn(kind: str, href: str) -> str:
    """The URN of the object at that address. Raises HostError."""
    found = _IN_PATH.search(href)
    if found is None:
        raise HostError(f"Cloud Director names a {kind} by {href!r}, which has no id in it")
    return f"urn:vcloud:{kind}:{found[1].lower()}"


def is_urn(text: str, kind: str) -> bool:
    found = _URN.fullmatch(text)
    return found is not None and found[1].lower() == kind.lower()


def path(ref: str) -> str:
    """Where the object of that URN is in the API; only for one that ``is_urn`` of a kind named here."""
    found = _URN.fullmatch(ref)
    kinds = {kind.lower(): pattern for kind, pattern in _PATHS.items()}
    assert found is not None
    return kinds[found[1].lower()].format(found[2].lower())
