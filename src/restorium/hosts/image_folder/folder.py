"""Names and moves in an image folder: what is hostile is refused, what stands there is never overwritten."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from restorium.vocabulary.errors import HostError, InvalidInput, TargetExists, TargetFull

_ATTEMPT = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}\Z")
LONGEST_NAME = 180
"""Bytes, so that what is added still makes a file's name."""
_LONGEST_REF = 247
_FULL = {errno.ENOSPC, errno.EDQUOT}


def check_ref(ref: str) -> str:
    """The part of a description's file name that names its VM. Raises InvalidInput if no file is called so."""
    if not ref or ref.startswith(".") or "/" in ref or "\0" in ref or len(_encoded(ref)) > _LONGEST_REF:
        raise InvalidInput(f"{ref[:LONGEST_NAME]!r} cannot name a VM of an image folder")
    return ref


def check_attempt(attempt: str) -> str:
    """Raises InvalidInput unless it can be part of a file's name."""
    if not _ATTEMPT.match(attempt):
        raise InvalidInput(f"{attempt[:80]!r} cannot name a restore: letters, digits and dashes can")
    return attempt


def inside(folder: Path, file: str) -> Path:
    """The path of a file that a description names. Raises HostError if links lead out of the folder."""
    path = folder / file
    try:
        is_inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:
        raise HostError(f"{path} cannot be followed: {error}") from error
    if not is_inside:
        raise HostError(f"{path} leads out of {folder}", hint="Put the file itself into the folder.")
    return path


@contextmanager
def explained(what: str) -> Iterator[None]:
    """What the system refuses becomes a HostError, or TargetFull, that says what was being done."""
    try:
        yield
    except OSError as error:
        kind = TargetFull if error.errno in _FULL else HostError
        raise kind(f"{what} failed: {error.strerror}") from error


def place_new(source: Path, target: Path) -> None:
    """Rename, but never over what stands there. Repeated after a crash, it does what is left.

    Raises TargetExists.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError as error:
        if not target.exists() or not source.samefile(target):
            raise TargetExists(f"{target} exists already") from error
    source.unlink()


def check_links(file: Path) -> None:
    """Raises HostError where ``place_new`` cannot work, before much is written for it."""
    other = file.with_name(f"{file.name}.link")
    try:
        other.unlink(missing_ok=True)
        os.link(file, other)
        other.unlink()
    except OSError as error:
        raise HostError(
            f"{file.parent} takes no hard links, which a restore needs: {error.strerror}",
            hint="Restore to a folder on a file system such as ext4 or XFS.",
        ) from error


def check_writable(probe: Path) -> None:
    """Raises HostError unless a restore can make files where ``probe`` is named; leaves nothing."""
    with explained(f"writing to {probe.parent}"):
        try:
            probe.write_bytes(b"")
            check_links(probe)
        finally:
            probe.unlink(missing_ok=True)


def take_owner_and_mode(path: Path, other: Path) -> None:
    """Those that ``other`` has; the owner only where this account may give files away."""
    shutil.copymode(other, path)
    status = other.stat()
    with suppress(PermissionError):
        os.chown(path, status.st_uid, status.st_gid)


def place_over(source: Path, target: Path) -> None:
    """Rename over what stands there. Two names of one file are made one, which rename alone does not do."""
    if target.exists() and source.samefile(target):
        source.unlink()
    else:
        source.replace(target)


def write_durably(path: Path, text: str) -> None:
    """A file that is whole or not there, whenever the power is cut. The folder is flushed by the caller."""
    making = path.with_name(f"{path.name}.part")
    with making.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    making.replace(path)


def flush(path: Path) -> None:
    """A file's bytes, or a folder's names, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _encoded(name: str) -> bytes:
    return name.encode(errors="replace")
