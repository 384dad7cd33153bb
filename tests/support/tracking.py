"""What a host says of changes between backups of one VM."""

from __future__ import annotations

from restorium.disks.interface import Extent
from restorium.hosts.interface import Chain, Host, OpenVm

_PIECE = 65536


def tokens(opened: OpenVm) -> dict[str, str]:
    """By disk, where it is tracked."""
    return {key: each.token for key, each in opened.tracked.items() if each.token is not None}


def backed_up(
    host: Host, ref: str, chain: str = "nightly", since: dict[str, str] | None = None
) -> dict[str, str]:
    """One backup; gives its tokens."""
    with host.open_vm(ref, Chain(chain, since or {})) as opened:
        return tokens(opened)


def changes(
    host: Host, ref: str, since: dict[str, str], chain: str = "nightly"
) -> tuple[dict[str, list[Extent] | None], dict[str, str | None]]:
    """What changed by disk, and why it is not known."""
    with host.open_vm(ref, Chain(chain, since)) as opened:
        extents = {
            key: None if each.changed is None else list(each.changed) for key, each in opened.tracked.items()
        }
        return extents, {key: each.why for key, each in opened.tracked.items()}


def piece_at(offset: int) -> list[Extent]:
    """The piece of a dirty bitmap that one write is in."""
    return [Extent(offset // _PIECE * _PIECE, _PIECE, hole=False)]
