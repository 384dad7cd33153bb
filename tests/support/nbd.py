"""qemu-nbd on a unix socket."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from restorium.nbd import UnixEndpoint
from tests.support.waiting import wait_until


@contextmanager
def exported(
    folder: Path, image: Path, image_format: str, *options: str
) -> Iterator[tuple[UnixEndpoint, subprocess.Popen[bytes]]]:
    """``image`` served until the block is left. options: further ones of qemu-nbd."""
    with _serving(folder / f"{image.name}.sock", "-f", image_format, *options, str(image)) as serving:
        yield serving


@contextmanager
def failing(folder: Path, error: int) -> Iterator[UnixEndpoint]:
    """Named disk0: a disk of 1 MiB whose every read and write fails with ``error``."""
    image = folder / "failing.raw"
    image.write_bytes(bytes(1 << 20))
    options = ["driver=raw", "file.driver=blkdebug", "file.image.driver=file", f"file.image.filename={image}"]
    for number, kind in enumerate(("read", "write")):
        inject = f"file.inject-error.{number}"
        options += [f"{inject}.event=none", f"{inject}.iotype={kind}", f"{inject}.errno={error}"]
    with _serving(
        folder / f"failing-{error}.sock", "-x", "disk0", "--image-opts", ",".join(options)
    ) as serving:
        yield serving[0]


@contextmanager
def _serving(path: Path, *arguments: str) -> Iterator[tuple[UnixEndpoint, subprocess.Popen[bytes]]]:
    server = subprocess.Popen(["qemu-nbd", "-t", "-k", str(path), *arguments], stderr=subprocess.PIPE)
    try:
        wait_until(lambda: _listens(path) or server.poll() is not None)
        assert server.poll() is None, server.stderr and server.stderr.read()
        yield UnixEndpoint(path), server
    finally:
        server.kill()
        server.communicate()


def _listens(path: Path) -> bool:
    """The name is there before anybody listens."""
    with socket.socket(socket.AF_UNIX) as asking:
        return asking.connect_ex(str(path)) == 0


def qemu_img(*arguments: str | Path) -> str:
    return subprocess.run(
        ["qemu-img", *map(str, arguments)], check=True, capture_output=True, text=True
    ).stdout


def qemu_io(image: Path, *commands: str) -> None:
    words = [word for command in commands for word in ("-c", command)]
    subprocess.run(["qemu-io", *words, str(image)], check=True, capture_output=True)


def data_map(image: str | Path, image_format: str = "raw") -> list[tuple[int, int]]:
    """Start and length of what does not read as zeros, as qemu-img sees it."""
    told = json.loads(qemu_img("map", "--output=json", "-f", image_format, str(image)))
    return [(extent["start"], extent["length"]) for extent in told if not extent["zero"]]
