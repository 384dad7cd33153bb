"""Names that are given to VMs, where a host makes names of files, folders or objects of them."""

from __future__ import annotations

from restorium.vocabulary.errors import InvalidInput

_SHOWN = 80


def check_name(name: str, *, of: str, characters: int | None = None, octets: int | None = None) -> str:
    """``name``, unless a host refuses it or makes a hidden file or a path of it.

    of: what is to have it, for the message. characters, octets: the most that it may have, octets as UTF-8. Raises
    InvalidInput.
    """
    reason = None
    if not name.strip() or name != name.strip():
        reason = "is empty or has blanks at its ends"
    elif name.startswith("."):
        reason = "begins with a dot"
    elif "/" in name or "\\" in name or not name.isprintable():
        reason = "has a slash or a character that cannot be printed"
    elif characters is not None and len(name) > characters:
        reason = f"is longer than {characters} characters"
    elif octets is not None and len(name.encode()) > octets:
        reason = f"is longer than {octets} bytes"
    if reason:
        raise InvalidInput(f"{name[:_SHOWN]!r} cannot be the name of {of}: it {reason}")
    return name
