"""Whatever a reader of dissect raises says that the file system is damaged, or not quite what it reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from restorium.vocabulary.errors import DataCorrupt, RestoriumError, Unsupported


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Errors of dissect become DataCorrupt or Unsupported; ours pass. ``what`` was being read."""
    try:
        yield
    except DataCorrupt as error:
        raise DataCorrupt(f"{what}: {error.message}", hint=error.hint) from error.__cause__
    except RestoriumError:
        raise
    except NotImplementedError as error:
        raise Unsupported(f"{what} uses a feature that is not read: {error}") from error
    except (Exception, MemoryError, RecursionError) as error:
        raise DataCorrupt(
            f"{what} is damaged: {error!r:.200}",
            hint="The backup holds what the disk held: check the file system in the VM, or try another restore point.",
        ) from error
