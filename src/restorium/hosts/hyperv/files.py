"""Files on a host, over SMB 3: its volumes by their administrative shares, signed and encrypted.

A connection that was lost is made anew, once for each request; every request names its place, so it may come twice.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import PureWindowsPath
from typing import Any, TypeVar

from smbprotocol.connection import Connection, Dialects
from smbprotocol.exceptions import (
    AccessDenied,
    DiskFull,
    LogonFailure,
    ObjectNameNotFound,
    ObjectPathNotFound,
    SMBAuthenticationError,
    SMBException,
    SMBResponseException,
)
from smbprotocol.file_info import FileEndOfFileInformation
from smbprotocol.header import NtStatus
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    Open,
    ShareAccess,
    SMB2FlushRequest,
    SMB2ReadResponse,
    SMB2SetInfoRequest,
    SMB2WriteResponse,
)
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from restorium.hosts.hyperv.address import Address
from restorium.hosts.interface import Login
from restorium.vocabulary.errors import DiskDamaged, DiskMissing, HostError, TargetFull, Unsupported

T = TypeVar("T")

_REQUEST_BYTES = 1 << 20
_AT_ONCE = 4
_CREDITS = 2 * _AT_ONCE * _REQUEST_BYTES // 65536
_SECONDS = 60
"""A request that takes longer has lost its host."""

_GONE = {
    NtStatus.STATUS_FILE_CLOSED,
    NtStatus.STATUS_NETWORK_NAME_DELETED,
    NtStatus.STATUS_USER_SESSION_DELETED,
    0xC000035C,  # the session expired: a name that smbprotocol lacks
}

_READ = FilePipePrinterAccessMask.GENERIC_READ
_WRITE = _READ | FilePipePrinterAccessMask.GENERIC_WRITE


class Volumes:
    """The volumes of a host. Connected to when a file is first opened; used by several threads."""

    def __init__(self, address: Address, login: Login) -> None:
        self._address = address
        self._login = login
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._session: Session | None = None
        self._trees: dict[str, TreeConnect] = {}
        self.gate = threading.BoundedSemaphore(_AT_ONCE)

    def open(self, path: str) -> RemoteFile:
        """To read. Raises DiskMissing, HostError."""
        return RemoteFile(self, path, _READ, CreateDisposition.FILE_OPEN)

    def reopen(self, path: str) -> RemoteFile:
        """To write what is there. Raises DiskMissing, HostError."""
        return RemoteFile(self, path, _WRITE, CreateDisposition.FILE_OPEN)

    def new(self, path: str) -> RemoteFile:
        """An empty file in the place of what stands there. Raises HostError, TargetFull."""
        return RemoteFile(self, path, _WRITE, CreateDisposition.FILE_OVERWRITE_IF)

    def close(self) -> None:
        with self._lock:
            self._drop()

    def name(self, path: str) -> str:
        """The path with its host, for messages."""
        return f"{path} on {self._address.host}"

    def opened(self, path: str, access: int, disposition: int) -> Open:
        """Over the present connection, or a new one. Raises what smbprotocol does, and OSError."""
        share, name = _split(path)
        with self._lock:
            if self._connection is None:
                self._connect()
            connection = self._connection
        try:
            found = Open(self._tree(share), name)
            found.create(
                ImpersonationLevel.Impersonation,
                access,
                FileAttributes.FILE_ATTRIBUTE_NORMAL,
                ShareAccess.FILE_SHARE_READ | ShareAccess.FILE_SHARE_WRITE | ShareAccess.FILE_SHARE_DELETE,
                disposition,
                CreateOptions.FILE_NON_DIRECTORY_FILE,
            )
        except (SMBException, OSError, ValueError) as error:
            if is_lost(error):
                self.lost(connection)
            raise
        return found

    def lost(self, connection: Connection | None) -> None:
        """That connection answers no more."""
        with self._lock:
            if connection is self._connection:
                self._drop()

    def _tree(self, share: str) -> TreeConnect:
        with self._lock:
            if share not in self._trees:
                tree = TreeConnect(self._session, rf"\\{self._address.host}\{share}")
                tree.connect()
                self._trees[share] = tree
            return self._trees[share]

    def _connect(self) -> None:
        connection = Connection(
            uuid.uuid4(), self._address.host, self._address.smb_port, require_signing=True
        )
        try:
            connection.connect(Dialects.SMB_3_1_1, timeout=_SECONDS)
            session = Session(connection, self._login.username, self._login.password, require_encryption=True)
            session.connect()
            connection.echo(session.session_id, credit_request=_CREDITS)
        except BaseException:
            connection.disconnect(close=False)
            raise
        self._connection, self._session = connection, session

    def _drop(self) -> None:
        connection, self._connection, self._session = self._connection, None, None
        self._trees.clear()
        if connection is not None:
            connection.disconnect(close=False)


class RemoteFile:
    """A BlockFile."""

    def __init__(self, volumes: Volumes, path: str, access: int, disposition: int) -> None:
        self.path = PureWindowsPath(volumes.name(path))
        self._volumes = volumes
        self._place = path
        self._access = access
        self._lock = threading.Lock()
        self._open: Open | None = None
        self._opening = disposition
        self.length: int = self._asked("be opened", lambda found: found.end_of_file)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        if offset + len(buffer) > self.length:
            raise DiskDamaged(f"{self.path} ends at byte {self.length}, before its disk does")
        for start in range(0, len(buffer), _REQUEST_BYTES):
            part, place = buffer[start : start + _REQUEST_BYTES], offset + start
            self._asked(f"be read at byte {place}", partial(_read, offset=place, buffer=part))

    def read(self, offset: int, length: int) -> bytes:
        content = bytearray(length)
        self.read_into(offset, memoryview(content))
        return bytes(content)

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        for start in range(0, len(view), _REQUEST_BYTES):
            part = bytes(view[start : start + _REQUEST_BYTES])
            self._asked("be written", partial(_write, offset=offset + start, data=part))
        self.length = max(self.length, offset + len(view))

    def set_length(self, length: int) -> None:
        self._asked(f"grow to {length} bytes", lambda found: _set_end(found, length))
        self.length = length

    def flush(self) -> None:
        self._asked("be flushed", _flush)

    def close(self) -> None:
        with self._lock:
            found, self._open = self._open, None
        if found is not None:
            with suppress(SMBException, OSError):  # with its connection, the file was closed
                found.close()

    def _asked(self, what: str, ask: Callable[[Open], T]) -> T:
        """Raises DiskMissing, TargetFull, HostError."""
        with self._volumes.gate:
            try:
                found: Open | None = None
                try:
                    found = self._opened()
                    return ask(found)
                except (SMBException, OSError, ValueError) as error:
                    if not is_lost(error):
                        raise
                    return ask(self._opened(lost=found))
            except (ObjectNameNotFound, ObjectPathNotFound) as error:
                raise DiskMissing(f"{self.path} does not exist") from error
            except DiskFull as error:
                raise TargetFull(f"{self.path} cannot {what}: the volume is full") from error
            except (LogonFailure, SMBAuthenticationError) as error:
                raise HostError(
                    f"{self.path} cannot {what}: file sharing does not accept the account",
                    hint="Check user name and password; a local account is named HOST\\account.",
                ) from error
            except AccessDenied as error:
                raise HostError(
                    f"{self.path} cannot {what}: the account may not",
                    hint="The account must be an administrator of the host, for its administrative shares.",
                ) from error
            except (SMBException, OSError, ValueError) as error:
                raise HostError(
                    f"{self.path} cannot {what}: {error}",
                    hint="Check that the host runs and that file sharing (SMB) reaches it.",
                ) from error

    def _opened(self, lost: Open | None = None) -> Open:
        """The file, opened anew in place of one whose connection is ``lost``. It is made empty only the first time."""
        with self._lock:
            if lost is not None and lost is self._open:
                self._volumes.lost(_connection_of(lost))
                self._open = None
            if self._open is None:
                self._open = self._volumes.opened(self._place, self._access, self._opening)
                self._opening = CreateDisposition.FILE_OPEN
            return self._open


def is_lost(error: BaseException) -> bool:
    """Whether it says nothing but that the connection is gone, which smbprotocol tells in many ways."""
    return error.status in _GONE if isinstance(error, SMBResponseException) else True


def _connection_of(found: Open) -> Connection:
    return found.tree_connect.session.connection


def _answer(found: Open, message: Any) -> bytes:
    tree = found.tree_connect
    request = found.connection.send(message, tree.session.session_id, tree.tree_connect_id)
    answer: bytes = found.connection.receive(request, timeout=_SECONDS)["data"].get_value()
    return answer


def _read(found: Open, offset: int, buffer: memoryview) -> None:
    done = 0
    while done < len(buffer):
        response = SMB2ReadResponse()
        message, _ = found.read(offset + done, len(buffer) - done, send=False)
        response.unpack(_answer(found, message))
        content = response["buffer"].get_value()
        buffer[done : done + len(content)] = content
        done += len(content)


def _write(found: Open, offset: int, data: bytes) -> None:
    done = 0
    while done < len(data):
        response = SMB2WriteResponse()
        message, _ = found.write(data[done:], offset + done, send=False)
        response.unpack(_answer(found, message))
        done += response["count"].get_value()


def _set_end(found: Open, length: int) -> None:
    end = FileEndOfFileInformation()
    end["end_of_file"] = length
    message = SMB2SetInfoRequest()
    message["info_type"] = end.INFO_TYPE
    message["file_info_class"] = end.INFO_CLASS
    message["file_id"] = found.file_id
    message["buffer"] = end
    _answer(found, message)


def _flush(found: Open) -> None:
    message = SMB2FlushRequest()
    message["file_id"] = found.file_id
    _answer(found, message)


def _split(path: str) -> tuple[str, str]:
    """The share of a path's volume, and the path below it. Raises Unsupported for one that is on no volume."""
    parsed = PureWindowsPath(path)
    drive = parsed.drive
    if len(drive) != 2 or drive[1] != ":" or not parsed.root:
        raise Unsupported(
            f"the disk {path} is not on a volume of its host with a letter",
            hint="Disks on file servers and of physical drives are not backed up through Hyper-V.",
        )
    return f"{drive[0]}$", "\\".join(parsed.parts[1:])
