"""Folders with sockets that last as long as whoever made them, and are found and removed after a crash."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from restorium.vocabulary.errors import HostError

_PREFIX = "restorium-libvirt-"
_OWNER = "owner"


class Workplace:
    """A folder in the system's one for temporary files, until ``close``. user: who else may use it, as user id."""

    def __init__(self, user: int | None = None) -> None:
        try:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            making = self.path / f"{_OWNER}.new"
            self._owner = os.open(making, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._owner, fcntl.LOCK_EX)
            making.rename(self.path / _OWNER)
            if user is not None and user != os.geteuid():
                os.chown(self.path, user, -1)
        except OSError as error:
            raise HostError(
                f"a folder for QEMU's socket cannot be made: {error.strerror}",
                hint="Restorium runs as root where QEMU runs as another user.",
            ) from error

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._owner)


def is_ours(folder: Path) -> bool:
    return folder.name.startswith(_PREFIX)


def is_abandoned(folder: Path) -> bool:
    """Whether nobody works in it any more: its owner's process has ended, or it is gone."""
    try:
        with (folder / _OWNER).open("rb") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return not folder.exists()
    except OSError:
        return False
    return True


def remove_abandoned() -> None:
    """Remove what processes of this user left that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            is_own = (folder / _OWNER).lstat().st_uid == os.geteuid() and not folder.is_symlink()
            if is_own and is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def temporary_file(*contents: str) -> Iterator[list[Path]]:
    """Each text in a file of its own until the block is left."""
    with ExitStack() as stack:
        paths = []
        for content in contents:
            file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".xml", encoding="utf-8"))
            file.write(content)
            file.flush()
            paths.append(Path(file.name))
        yield paths
