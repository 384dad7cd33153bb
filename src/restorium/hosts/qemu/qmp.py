"""Asking QEMU by QMP over a unix socket. Source: QEMU's docs/interop/qmp-spec.txt and its QAPI schema.

Blocking, for hosts are used from threads; a QMP socket talks to one client at a time, so connections are kept short.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from restorium.vocabulary.errors import HostError, Unsupported

_GREETING_SECONDS = 5.0
_ANSWER_SECONDS = 60.0
"""A transaction waits until what the guest has in flight is written."""
_OLDEST = (7, 1)
_MOST_BYTES = 64 << 20
_READ_BYTES = 64 * 1024


class NotRunning(HostError):
    """Nobody listens on the socket: the VM is off. Stays inside the package."""


class Silent(HostError):
    """QEMU runs and does not answer, as one does that waits for a disk. Stays inside the package."""


class Refused(HostError):
    """QEMU answered a command with an error. ``reason`` is QEMU's own. Stays inside the package."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, hint="QEMU's own words say what it needs.")
        self.reason = reason


class Qmp:
    """A connection that takes commands. ``name``: who answers, for messages."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        """Negotiates on a connected socket, which is closed if that fails. Raises HostError."""
        self._socket = connection
        self._name = name
        self._received = b""
        try:
            self._negotiate()
        except BaseException:
            self._socket.close()
            raise

    @classmethod
    def connect(cls, path: Path, name: str, seconds: float = _GREETING_SECONDS) -> Self:
        """seconds: how long another client of the socket is waited for. Raises NotRunning, HostError."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(seconds)
        try:
            with short_name(path) as short:
                connection.connect(short)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            connection.close()
            raise NotRunning(f"{name} does not run: nobody listens on {path}") from None
        except BlockingIOError as error:
            connection.close()
            raise Silent(
                f"{name} takes no more connections on {path}", hint="Look whether it hangs."
            ) from error
        except OSError as error:
            connection.close()
            raise HostError(
                f"the QMP socket {path} of {name} cannot be used: {error.strerror or error}",
                hint="Restorium must run as the account that runs QEMU, or as root.",
            ) from error
        return cls(connection, name)

    def execute(
        self, command: str, arguments: Mapping[str, Any] | None = None, *, give: int | None = None
    ) -> Any:
        """What QEMU returns. give: a file descriptor to go with the command. Raises Refused, HostError."""
        message = json.dumps({"execute": command, "arguments": arguments or {}}).encode() + b"\n"
        self._socket.settimeout(_ANSWER_SECONDS)
        try:
            socket.send_fds(self._socket, [message], [] if give is None else [give])
            answer = self._answer(time.monotonic() + _ANSWER_SECONDS)
        except OSError as error:
            raise self._lost(error) from error
        if "error" in answer:
            reason = str(answer["error"].get("desc"))
            raise Refused(f"QEMU refuses {command} for {self._name}: {reason}", reason)
        return answer.get("return")

    def transact(self, actions: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """All at one moment of the guest, or none. Raises Refused, HostError."""
        if actions:
            listed = [{"type": kind, "data": data} for kind, data in actions]
            self.execute("transaction", {"actions": listed})

    def wait_closed(self, seconds: float) -> None:
        """Until QEMU has ended. Raises HostError if it does not."""
        deadline = time.monotonic() + seconds
        try:
            while self._message(deadline) is not None:
                pass
        except TimeoutError as error:
            raise HostError(f"{self._name} does not end", hint="End its QEMU by hand.") from error
        except OSError:
            return

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _negotiate(self) -> None:
        timeout = self._socket.gettimeout() or _GREETING_SECONDS
        try:
            greeting = self._message(time.monotonic() + timeout)
        except TimeoutError as error:
            raise Silent(
                f"QEMU does not answer on the QMP socket of {self._name}",
                hint="A QMP socket serves one program at a time: give Restorium one of its own.",
            ) from error
        except OSError as error:
            raise self._lost(error) from error
        if greeting is None:
            raise self._lost(ConnectionResetError())
        try:
            told = greeting["QMP"]["version"]["qemu"]
            version = (int(told["major"]), int(told["minor"]))
        except (KeyError, TypeError, ValueError) as error:
            raise self._not_qemu() from error
        if version < _OLDEST:
            raise Unsupported(
                f"{self._name} runs under QEMU {version[0]}.{version[1]}, which is too old",
                hint=f"Run it under QEMU {_OLDEST[0]}.{_OLDEST[1]} or newer.",
            )
        self.execute("qmp_capabilities")

    def _answer(self, deadline: float) -> dict[str, Any]:
        """The next message that is no event."""
        while (message := self._message(deadline)) is not None:
            if "event" not in message:
                return message
        raise ConnectionResetError("closed")

    def _message(self, deadline: float) -> dict[str, Any] | None:
        """None at the end. Raises OSError, HostError for what is not QMP."""
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            part = self._socket.recv(_READ_BYTES)
            if not part:
                return None
            self._received += part
            if len(self._received) > _MOST_BYTES:
                raise HostError(f"the QMP socket of {self._name} sends more than any answer has")
        line, _, self._received = self._received.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise self._not_qemu()
        return message

    def _not_qemu(self) -> HostError:
        return HostError(
            f"what answers on the QMP socket of {self._name} is not QEMU",
            hint="Name the socket of -qmp in the description.",
        )

    def _lost(self, error: OSError) -> HostError:
        if isinstance(error, TimeoutError):
            return Silent(f"the QEMU of {self._name} does not answer", hint="Look whether it hangs.")
        return NotRunning(f"the QEMU of {self._name} has ended", hint="Look at its log for why.")


@contextmanager
def short_name(path: Path) -> Iterator[str]:
    """A unix socket's name that is never too long for the system, which takes 107 bytes, until the block is left."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
