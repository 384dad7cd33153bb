"""How much memory a process that runs for months keeps of what it has freed."""

from __future__ import annotations

import ctypes

from restorium.vault.workers import default_threads

_M_ARENA_MAX = -8
"""As malloc.h of the GNU C library names it."""


def share_arenas(most: int | None = None) -> None:
    """Let all threads allocate from ``most`` places, one a core if None; other C libraries than GNU's are let be.

    By default there are eight a core, and each keeps what it once had: every backup and restore has threads of its own,
    so a server grew by half with nothing to show for it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, most or default_threads())
