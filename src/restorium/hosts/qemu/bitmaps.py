"""Dirty bitmaps of chains: what the last backup's has gathered, and a new one for the next.

Each backup begins a bitmap of its own with a name that no other has; it goes on gathering until a later backup's
token shows that it is not needed. So a backup that is not kept costs nothing but a bitmap, and a disk that was put back
to an earlier copy of itself has not got the bitmap that is asked for.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from restorium.hosts.interface import Chain
from restorium.hosts.qemu.nodes import Node
from restorium.hosts.qemu.qmp import Qmp
from restorium.nbd import dirty_bitmap

FROZEN = "restorium-frozen"
"""What an earlier bitmap has gathered up to the moment of the backup; lives as long as the backup."""
CONTEXT = dirty_bitmap(FROZEN)
_TOKEN = re.compile(r"(\d+):(restorium-[A-Za-z0-9-]+)")

Action = tuple[str, dict[str, Any]]
"""One of a transaction."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """What is done about the changes of one disk.

    new: the bitmap to begin. old: that of the last backup, which is to be read; ``why`` says why there is none. stale:
    what is needed no more.
    """

    node: Node
    new: str | None = None
    old: str | None = None
    why: str | None = None
    stale: Sequence[str] = ()

    @property
    def token(self) -> str | None:
        return None if self.new is None else f"{self.node.size}:{self.new}"

    def actions(self) -> Iterator[Action]:
        """What is to happen at the moment of the backup."""
        of_node = {"node": self.node.name}
        if self.new is not None:
            kept = self.node.keeps_bitmaps
            yield "block-dirty-bitmap-add", of_node | {"name": self.new, "persistent": kept}
        if self.old is not None:
            yield "block-dirty-bitmap-add", of_node | {"name": FROZEN, "disabled": True}
            yield "block-dirty-bitmap-merge", of_node | {"target": FROZEN, "bitmaps": [self.old]}


def track(node: Node, chain: Chain | None, *, running: bool) -> Tracking:
    """running: whether the guest is; a bitmap that does not outlive QEMU is of use only then."""
    if chain is None:
        return Tracking(node)
    given = chain.since.get(node.key)
    if node.has_snapshots:
        stays = "it has internal snapshots, which it could not go back to while a list of its changes is kept"
        return Tracking(node, why=None if given is None else stays, stale=_removable(node, chain))
    if not node.keeps_bitmaps and not running:
        return Tracking(node, why=None if given is None else "its image cannot keep a list of changes")
    old: str | None = None
    why: str | None = None
    if given is not None:
        old, why = _found(node, given)
    new = f"restorium-{chain.id}-{secrets.token_hex(8)}"
    return Tracking(node, new, old, why, [name for name in _removable(node, chain) if name != old])


def remove_stale(qmp: Qmp, trackings: Sequence[Tracking]) -> None:
    for tracking in trackings:
        for name in tracking.stale:
            qmp.execute("block-dirty-bitmap-remove", {"node": tracking.node.name, "name": name})


def _found(node: Node, token: str) -> tuple[str | None, str | None]:
    """The bitmap that a token names if it can be trusted, or why there is none."""
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None, "the last backup was made in another way"
    size, name = int(match[1]), match[2]
    if size != node.size:
        return None, f"it had {size:,} bytes at the last backup and has {node.size:,} now"
    bitmap = node.bitmaps.get(name)
    if bitmap is None:
        return None, "it is not the disk of the last backup, or lost its list of changes since"
    if bitmap.get("inconsistent") or not bitmap.get("recording"):
        return None, "its list of changes is not whole, as QEMU did not end orderly"
    return name, None


def _removable(node: Node, chain: Chain) -> list[str]:
    """The chain's own, and those of any that are not whole: they serve nobody, and QEMU grows no disk that has one."""
    own = re.compile(rf"restorium-{re.escape(chain.id)}-[0-9a-f]{{16}}")
    return [
        name
        for name, bitmap in node.bitmaps.items()
        if own.fullmatch(name) or (name.startswith("restorium-") and bitmap.get("inconsistent"))
    ]
