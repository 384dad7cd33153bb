"""A VM's disk read from a restore point over NBD, and a VM booted from it, against the same disk as a local file.

python -m bench.instant [--size 4GiB] [--rounds 3] [--out FILE] [--work FOLDER]

The disk is that of bench/vault.py with a first sector that boots and says a word on the console; its repository is
local. In each round local and served take turns, in processes of their own: the server is one, qemu-nbd is its peer,
and QEMU boots from either. The first byte is counted, with the repository open as a server has it, from when a process
is told to serve the newest point until a client has read from it; qemu-nbd's from its start. The boot is counted from
the start of QEMU until the word is there. Reads are of 4 KiB, all over the data, one at a time, 200 before the first
that counts. Bytes read are compared with the image's.
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.common import first_line, machine, medians, parse_size, write
from bench.vault_image import make_image
from restorium.disks.raw import RawReader
from restorium.flows.point_disks import PointDisk
from restorium.nbd import NbdReader, NbdServer, UnixEndpoint
from restorium.vault import Key, PointDescription, Vault
from tests.support.boots import MARKER, boot_sector

_READS, _WARM_READS, _READ_BYTES = 2000, 200, 4096
_KEY = Key.passphrase("benchmark")
_WAIT_SECONDS = 120.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=parse_size, default="4GiB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        result = run(Path(work), options.size, options.rounds)
    for name, value in result["milliseconds"].items():
        print(f"{name:24} {value:9.2f} ms")
    print(result["ratios"])
    if options.out:
        write(options.out, result)


def run(work: Path, size: int, rounds: int) -> dict[str, Any]:
    image = work / "disk.img"
    make_image(image, size)
    with image.open("r+b") as file:
        file.write(boot_sector())
    with (
        Vault.create((work / "repository").as_uri(), _KEY, cache=work / "cache") as vault,
        RawReader(image) as reader,
        vault.backup() as writer,
    ):
        record = writer.write_disk("disk", reader, None, lambda count: None, lambda: False)
        writer.commit(PointDescription({}, datetime.now(UTC), (record,)))
    found = [_round(work, image, number) for number in range(rounds)]
    milliseconds = medians(found)
    return {
        "machine": machine(),
        "versions": {"qemu": first_line("qemu-system-x86_64", "--version")},
        "size": size,
        "rounds": found,
        "milliseconds": milliseconds,
        "ratios": {
            "boot_vs_local": round(milliseconds["boot_served"] / milliseconds["boot_local"], 2),
            "read_p99_vs_qemu_nbd": round(
                milliseconds["read_p99_served"] / milliseconds["read_p99_qemu_nbd"], 2
            ),
        },
    }


def serve(work: Path) -> None:
    """Serve the newest point's disk from the first line of standard input until it is closed."""
    with Vault.open((work / "repository").as_uri(), _KEY, cache=work / "cache") as vault:
        print("open", flush=True)
        sys.stdin.readline()
        disk = PointDisk(vault, vault.point(vault.points()[-1]).disks[0], "raw")
        with NbdServer(work / "served", {"disk": disk}):
            sys.stdin.read()


def _round(work: Path, image: Path, number: int) -> dict[str, float]:
    ours = [sys.executable, "-m", "bench.instant", "--serve", str(work)]
    peer = [
        "qemu-nbd",
        "-t",
        "-r",
        "-e",
        "8",
        "-x",
        "disk",
        "-f",
        "raw",
        "-k",
        str(work / "peer"),
        str(image),
    ]
    found = {}
    for name, command, path in (("served", ours, work / "served"), ("qemu_nbd", peer, work / "peer")):
        with _running(command, path) as started, NbdReader(UnixEndpoint(path), "disk") as reader:
            reader.read_into(0, memoryview(bytearray(_READ_BYTES)))
            found[f"first_byte_{name}"] = time.perf_counter() - started
            found[f"read_p50_{name}"], found[f"read_p99_{name}"] = _reads(reader, image, number)
    with _running(ours, work / "served"):
        found["boot_served"] = _boot(
            work,
            f"backing.driver=nbd,backing.server.type=unix,backing.server.path={work}/served,backing.export=disk",
        )
    found["boot_local"] = _boot(
        work, f"backing.driver=raw,backing.file.driver=file,backing.file.filename={image}"
    )
    found = {name: round(value * 1000, 2) for name, value in found.items()}
    print(found, flush=True)
    return found


def _reads(reader: NbdReader, image: Path, seed: int) -> tuple[float, float]:
    """The median and the 99th percentile, in seconds."""
    data = [extent for extent in reader.extents() if not extent.hole]
    chance = random.Random(seed)
    took = []
    with image.open("rb") as file:
        for extent in chance.choices(data, [each.length for each in data], k=_WARM_READS + _READS):
            offset = chance.randrange(extent.offset, extent.end - _READ_BYTES) // _READ_BYTES * _READ_BYTES
            buffer = bytearray(_READ_BYTES)
            started = time.perf_counter()
            reader.read_into(offset, memoryview(buffer))
            took.append(time.perf_counter() - started)
            assert buffer == os.pread(file.fileno(), _READ_BYTES, offset)
    counted = sorted(took[_WARM_READS:])
    return statistics.median(counted), counted[_READS * 99 // 100]


def _boot(work: Path, backing: str) -> float:
    """Seconds from the start of QEMU on an empty image above the disk until its word is on the console."""
    overlay = work / "overlay.qcow2"
    size = (work / "disk.img").stat().st_size
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", overlay, str(size)], check=True)
    command = [
        *(
            "qemu-system-x86_64",
            "-nodefaults",
            "-machine",
            "q35",
            "-accel",
            "tcg",
            "-m",
            "64",
            "-display",
            "none",
        ),
        *("-blockdev", f"node-name=disk0,driver=qcow2,file.driver=file,file.filename={overlay},{backing}"),
        *("-device", "virtio-blk-pci,drive=disk0", "-serial", "stdio"),
    ]
    started = time.perf_counter()
    qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        assert qemu.stdout is not None
        seen = b""
        while MARKER.encode() not in seen:
            part = os.read(qemu.stdout.fileno(), 4096)
            if not part:
                raise SystemExit("the guest did not boot")
            seen += part
        return time.perf_counter() - started
    finally:
        qemu.kill()
        qemu.communicate()


@contextmanager
def _running(command: Sequence[str], path: Path) -> Iterator[float]:
    """A server, from when it can be connected to; gives the moment when it was told to serve."""
    path.unlink(missing_ok=True)
    started = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdin is not None and process.stdout is not None
        if "--serve" in command:
            process.stdout.readline()
            started = time.perf_counter()
            process.stdin.write(b"\n")
            process.stdin.flush()
        deadline = time.monotonic() + _WAIT_SECONDS
        while not _listens(path):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} does not serve")
            time.sleep(0.005)
        yield started
    finally:
        process.terminate()
        process.communicate()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asking:
        try:
            asking.connect(str(path))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    main()
