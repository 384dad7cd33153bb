"""The demo's server: a child process with a data folder, an address and an account of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from restorium.cli.client import Connection
from restorium.cli.data_folder import DataFolder, write_private
from restorium.vocabulary.errors import HostError

_READY = "listening on "
_STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class DemoServer:
    """A running server. ``log`` is what it writes to standard error, its first password included."""

    process: subprocess.Popen[str]
    url: str
    folder: DataFolder
    log: Path

    @property
    def connection(self) -> Connection:
        """How the commands reach it."""
        return Connection(None, "administrator", self.folder.initial_password, None, self.folder.path)

    @property
    def password(self) -> str:
        return self.folder.initial_password.read_text().strip()

    def stop(self) -> None:
        """Ask the process to stop and wait for it. Raises HostError if it does not stop cleanly."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise HostError(
                f"the server did not stop within {_STOP_SECONDS:.0f} s", hint=f"See {self.log}."
            ) from None
        if code:
            raise HostError(f"the server ended with exit code {code}", hint=f"See {self.log}.")


def start_server(data: Path, log: Path, config: Path | None = None, *, port: int = 0) -> DemoServer:
    """Start ``restorium serve`` on a loopback port, a free one for 0, and wait until it is ready. Raises HostError."""
    command = [
        sys.executable,
        "-m",
        "restorium",
        "serve",
        "--data",
        str(data),
        "--listen",
        f"127.0.0.1:{port}",
    ]
    if config is not None:
        command += ["--config", str(config)]
    write_private(log, "")
    with log.open("a") as errors:
        process = subprocess.Popen(  # noqa: S603  our own arguments
            command,
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            text=True,
            env=_own_environment(os.environ),
            start_new_session=True,
        )
    if process.stdout is None:
        raise HostError("the server's output cannot be read")
    line = process.stdout.readline().strip()
    process.stdout.close()
    if not line.startswith(_READY):
        process.wait()
        raise HostError(f"the server did not start: {log.read_text().strip()[-500:]}", hint=f"See {log}.")
    return DemoServer(process, line.removeprefix(_READY), DataFolder(data), log)


def _own_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Without the user's own settings of the program, which are meant for another server."""
    return {name: value for name, value in given.items() if not name.startswith("RESTORIUM_")}
