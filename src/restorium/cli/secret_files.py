"""Secrets that a command is given in a file, so that no process list shows them."""

from __future__ import annotations

from pathlib import Path

from restorium.vocabulary.errors import InvalidInput


def read_secret(path: Path) -> str:
    """The file's text without the line end after it. Raises InvalidInput if it cannot be read or is empty."""
    try:
        secret = path.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {path}: {error}", hint="Name a readable text file.") from None
    if not secret:
        raise InvalidInput(f"{path} is empty", hint="Put the secret on the file's first line.")
    return secret
