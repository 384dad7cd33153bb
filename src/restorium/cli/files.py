"""Files that commands write."""

from __future__ import annotations

from pathlib import Path

from restorium.vocabulary.errors import InvalidInput, TargetExists


def write_new(path: Path, text: str) -> None:
    """Never over what stands there. Raises TargetExists, InvalidInput."""
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError:
        raise TargetExists(f"{path} exists already", hint="Name another file, or remove it.") from None
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}", hint="Name another file.") from None
