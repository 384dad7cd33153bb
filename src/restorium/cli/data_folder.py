"""What a server keeps in its data folder beside the database, and how the commands find it there."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from restorium.vocabulary.errors import AlreadyRunning, InvalidInput

DEFAULT = Path("restorium-data")


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Where the server of a data folder listens; ``certificate`` is the PEM file to trust."""

    url: str
    pid: int
    certificate: Path


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Names in the folder. Everything secret in it is readable by its owner alone."""

    path: Path

    @property
    def certificate(self) -> Path:
        return self.path / "certificate.pem"

    @property
    def certificate_key(self) -> Path:
        return self.path / "certificate.key"

    @property
    def initial_password(self) -> Path:
        return self.path / "initial-password"

    @property
    def database(self) -> Path:
        return self.path / "restorium.db"

    @property
    def _server(self) -> Path:
        return self.path / "server.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, made if need be, for this process alone. Raises AlreadyRunning, InvalidInput."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise InvalidInput(
                f"cannot use {self.path} as the data folder: {error.strerror}",
                hint="Choose a folder that this user may write with --data.",
            ) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(f"another server is using the data folder {self.path}") from None
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def announced(self, server: RunningServer) -> Iterator[None]:
        """Let the commands find ``server`` while the block runs."""
        text = json.dumps({"url": server.url, "pid": server.pid, "certificate": str(server.certificate)})
        write_private(self._server, text + "\n")
        try:
            yield
        finally:
            self._server.unlink(missing_ok=True)

    def running_server(self) -> RunningServer | None:
        """The server that announced itself last; None if none runs."""
        try:
            found = json.loads(self._server.read_text())
            return RunningServer(found["url"], found["pid"], Path(found["certificate"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                f"{self._server} cannot be read: {error}", hint="Name the server with --server."
            ) from None


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
