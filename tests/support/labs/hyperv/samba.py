"""Samba as the file server of a Windows machine: one volume by its administrative share."""

from __future__ import annotations

import getpass
import os
import resource
import signal
import socket
import subprocess
from functools import partial
from pathlib import Path

from tests.support.waiting import wait_until

_SETTINGS = """
[global]
  server role = standalone server
  interfaces = lo
  bind interfaces only = yes
  smb ports = {port}
  private dir = {state}
  lock directory = {state}
  state directory = {state}
  cache directory = {state}
  pid directory = {state}
  ncalrpc dir = {state}/ncalrpc
  log file = {state}/log
  passdb backend = tdbsam:{state}/passdb.tdb
  username map = {state}/users
  disable netbios = yes
  load printers = no
  printcap name = /dev/null
  disable spoolss = yes
  server min protocol = SMB3
  max disk size = 0
[C$]
  path = {volume}
  read only = no
  strict locking = no
"""


class Samba:
    """Serves until it is stopped, and again on the same port when it is started."""

    def __init__(self, volume: Path, state: Path, username: str, password: str) -> None:
        self.port = _free_port()
        self._settings = state / "smb.conf"
        self._settings.write_text(_SETTINGS.format(port=self.port, state=state, volume=volume))
        user = getpass.getuser()
        (state / "users").write_text(f"{user} = {username}\n")
        subprocess.run(
            ["pdbedit", "-s", self._settings, "-a", "-u", user, "-t"],
            input=f"{password}\n{password}\n",
            text=True,
            check=True,
            capture_output=True,
        )
        self._server: subprocess.Popen[bytes] | None = None
        self.start()

    def restart(self, largest: int | None = None) -> None:
        self.stop()
        self.start(largest)

    def start(self, largest: int | None = None) -> None:
        """largest: the bytes that a file may have before the volume is said to be full."""
        self._server = subprocess.Popen(
            ["smbd", "-s", self._settings, "--foreground", "--no-process-group"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=None if largest is None else partial(_limit_files, largest),
        )
        wait_until(self._listens, timeout=30)

    def stop(self) -> None:
        """The server and those that serve its connections."""
        if self._server is not None:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
        self._server = None

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _limit_files(largest: int) -> None:
    """A longer file is an error then, and no signal."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
