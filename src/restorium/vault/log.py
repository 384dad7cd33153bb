"""What the vault puts into the log: warnings of what is damaged and worked around."""

from __future__ import annotations


def warn(event: str, **fields: object) -> None:
    """One warning, with what it is about."""
    # Warnings are rare, and structlog takes longer to import than the rest of the vault together.
    import structlog

    structlog.get_logger("restorium.vault").warning(event, **fields)
