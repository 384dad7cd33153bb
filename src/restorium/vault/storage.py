"""Where objects lie: a local folder or an object store, with this house's errors and promises.

An object is written whole or not at all, and in a local folder it is on the medium before it has its name: a
name that can be seen after a power cut has its content. Errors are told apart: RepositoryFull where room
ends, StorageUnavailable for what may pass (tried again a few times first), NotFound, and DataCorrupt for an
object shorter than what is asked of it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, ObjectStore, from_url

from restorium.vocabulary.errors import (
    Conflict,
    DataCorrupt,
    InvalidInput,
    NotAVault,
    NotFound,
    RepositoryFull,
    StorageUnavailable,
)

Buffer = bytes | bytearray | memoryview
_T = TypeVar("_T")
_PAUSES = (0.1, 0.5, 2.0)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LASTING = {errno.EROFS, errno.EACCES, errno.EPERM}
_OS_ERROR = re.compile(r"os error (\d+)")
_REMOTE_SCHEMES = {"s3", "s3a", "gs", "az", "azure", "abfs", "abfss"}
_PART = "parts/"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """``size`` in bytes; ``modified`` is when it was written, by the storage's own clock."""

    name: str
    size: int
    modified: datetime


class Storage:
    """Objects by name. Safe to use from several threads.

    sleep: waits so many seconds between attempts. random_bytes: so many, unlike any drawn before.
    """

    def __init__(
        self,
        store: ObjectStore,
        url: str,
        *,
        folder: Path | None = None,
        sleep: Callable[[float], None] = time.sleep,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.url = url
        self._store = store
        self._folder = folder
        self._sleep = sleep
        self._random_bytes = random_bytes

    @classmethod
    def open(cls, url: str, *, make: bool = False) -> Storage:
        """The storage at ``file:///FOLDER``, ``s3://BUCKET/PREFIX``, ``gs://`` or ``az://``.

        Remote stores take credentials and endpoint from their own environment variables (AWS_*, GOOGLE_*,
        AZURE_*).
        make: make the folder if it is not there. Raises InvalidInput, NotAVault (no such folder),
        StorageUnavailable.
        """
        parts = urlsplit(url)
        if "@" in parts.netloc or (parts.scheme != "file" and (parts.query or parts.fragment)):
            # Not even told back: it would hold a secret, and URLs are shown to all who may see repositories.
            raise InvalidInput(
                "the URL of a repository holds no credentials and no parameters",
                hint="Set AWS_*, GOOGLE_* or AZURE_* in the server's environment, and write s3://BUCKET/PREFIX.",
            )
        try:
            if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
                folder = Path(unquote(parts.path))
                if not make and not folder.is_dir():
                    raise NotAVault(f"there is no folder at {url}")
                return cls(LocalStore(folder, mkdir=make), url, folder=folder)
            if parts.scheme in _REMOTE_SCHEMES and parts.netloc:
                return cls(from_url(url), url)
        except (BaseError, OSError, ValueError) as error:
            raise StorageUnavailable(f"{url} cannot be opened: {_first_line(error)}") from error
        raise InvalidInput(
            f"{url!r} is not the URL of a repository",
            hint="Use file:///FOLDER for a folder, or s3://BUCKET/PREFIX.",
        )

    @property
    def local(self) -> bool:
        return self._folder is not None

    def free_space(self) -> tuple[int, int] | None:
        """Bytes of the file system and bytes free for us; None where the storage cannot tell."""
        if self._folder is None:
            return None
        try:
            status = os.statvfs(self._folder)
        except OSError as error:
            raise StorageUnavailable(f"{self.url} cannot be reached: {error.strerror}") from error
        return status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize

    def get(self, name: str) -> bytes:
        """A small object, whole."""
        return self._try(name, lambda: bytes(self._store.get(name).bytes()))

    def get_range(self, name: str, start: int, length: int) -> memoryview:
        """Exactly ``length`` bytes from ``start``."""
        found = self._try(name, lambda: memoryview(self._store.get_range(name, start=start, length=length)))
        if len(found) != length:
            raise DataCorrupt(f"{name} in {self.url} ends before byte {start + length}")
        return found

    def put(self, name: str, content: Buffer) -> None:
        """Write an object whose name was never used before. Raises Conflict if it was, with other content."""
        if self._folder is None:
            self._create(
                name, lambda: self._store.put(name, content, mode="create", use_multipart=False), content
            )
            return
        part = f"{_PART}{self._random_bytes(16).hex()}"
        try:
            self._try(part, lambda: self._write_part(part, content))
            self._create(name, lambda: self._store.rename(part, name, overwrite=False), content)
            self._try(name, lambda: self._sync_folders(name))
        except BaseException:
            self.delete(part)
            raise

    def replace(self, name: str, content: Buffer, expected: Buffer | None) -> None:
        """Write one of the few objects that change, at once or not at all.

        expected: what it holds now; None for whatever it holds or nothing. Raises Conflict if it holds something
        else. Of two at once one wins, on a folder and wherever the storage has conditional writes.
        """
        if self._folder is not None:
            self._replace_file(name, content, expected)
            return
        mode: Any = "overwrite"
        if expected is not None:
            found = self._try(name, lambda: self._store.get(name))
            if bytes(found.bytes()) != expected:
                raise Conflict(f"{name} in {self.url} was changed meanwhile")
            # A member that is None is refused.
            mode = {each: found.meta[each] for each in ("e_tag", "version") if found.meta[each] is not None}
        try:
            self._try(name, lambda: self._store.put(name, content, mode=mode, use_multipart=False))
        except NotImplementedError:
            self._try(name, lambda: self._store.put(name, content, use_multipart=False))
        except Conflict:
            # An attempt whose answer was lost may have been the one that wrote it.
            if self.get(name) != content:
                raise

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """What is under ``prefix/``, in no order."""
        pages = self._try(prefix, lambda: iter(self._store.list(prefix, chunk_size=1000)))
        while (page := self._try(prefix, lambda: next(pages, None))) is not None:
            for found in page:
                yield StoredObject(found["path"], found["size"], found["last_modified"])

    def modified(self, name: str) -> datetime:
        """When the object was written, by the storage's own clock. Raises NotFound."""
        found: datetime = self._try(name, lambda: self._store.head(name)["last_modified"])
        return found

    def now(self) -> datetime:
        """The time by the storage's own clock, which is that of an object written for the purpose."""
        part = f"{_PART}{self._random_bytes(16).hex()}"
        try:
            self._try(part, lambda: self._store.put(part, b"", use_multipart=False))
            return self.modified(part)
        finally:
            self.delete(part)

    def delete(self, name: str, *, durable: bool = False) -> None:
        """Remove an object; nothing happens if there is none. durable: it does not come back after a power cut."""
        try:
            self._try(name, lambda: self._store.delete(name))
            if durable and self._folder is not None:
                self._try(name, lambda: self._sync_folders(name))
        except NotFound:
            return

    def _replace_file(self, name: str, content: Buffer, expected: Buffer | None) -> None:
        assert self._folder is not None
        folder = os.open(self._folder, os.O_RDONLY)
        part = f"{_PART}{self._random_bytes(16).hex()}"
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if expected is not None and self.get(name) != expected:
                raise Conflict(f"{name} in {self.url} was changed meanwhile")
            self._try(part, lambda: self._write_part(part, content))
            self._try(name, lambda: self._store.rename(part, name, overwrite=True))
            self._try(name, lambda: self._sync_folders(name))
        except BaseException:
            with suppress(StorageUnavailable):
                self.delete(part)
            raise
        finally:
            os.close(folder)

    def _write_part(self, part: str, content: Buffer) -> None:
        assert self._folder is not None
        self._store.put(part, content, use_multipart=False)
        _sync(self._folder / part)

    def _sync_folders(self, name: str) -> None:
        assert self._folder is not None
        folder = (self._folder / name).parent
        while folder != self._folder:
            _sync(folder)
            folder = folder.parent
        _sync(folder)

    def _create(self, name: str, call: Callable[[], object], content: Buffer) -> None:
        try:
            self._try(name, call)
        except Conflict:
            # An attempt whose answer was lost may have been the one that wrote it.
            if self.get(name) != content:
                raise

    def _try(self, name: str, call: Callable[[], _T]) -> _T:
        for pause in (*_PAUSES, None):
            try:
                return call()
            except FileNotFoundError as error:
                raise NotFound(f"{self.url} has no {name}") from error
            except AlreadyExistsError as error:
                raise Conflict(f"{self.url} already has {name}") from error
            except PreconditionError as error:
                raise Conflict(f"{name} in {self.url} was changed meanwhile") from error
            except (BaseError, OSError) as error:
                number = _os_error(error)
                if number in _FULL:
                    raise RepositoryFull(f"{self.url} has no room left for {name}") from error
                lasting = number in _LASTING or isinstance(
                    error, PermissionDeniedError | UnauthenticatedError
                )
                if lasting or pause is None:
                    raise StorageUnavailable(f"{self.url}: {name}: {_first_line(error)}") from error
                self._sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")


def _os_error(error: Exception) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = _OS_ERROR.search(str(error))
    return int(found[1]) if found else None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
