"""The NBD client against qemu-nbd, and against servers that break the protocol."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from restorium.disks.interface import Extent
from restorium.nbd import NbdReader, NbdWriter, TcpEndpoint, UnixEndpoint, protocol
from restorium.vocabulary.errors import DiskDamaged, HostError, InvalidInput, TargetFull, Unsupported
from tests.support.nbd import data_map, exported, failing, qemu_img, qemu_io
from tests.support.waiting import wait_until

MIB = 1 << 20


def sparse_image(path: Path) -> bytes:
    """A raw image of 8 MiB with data at its beginning, in its middle, and in its last sector."""
    content = bytearray(8 * MIB)
    noise = random.Random(7)
    for start, length in ((0, 64 << 10), (3 * MIB, 2 * MIB), (8 * MIB - 4096, 4096)):
        content[start : start + length] = noise.randbytes(length)
    with path.open("wb") as file:
        file.truncate(len(content))
        for start, length in ((0, 64 << 10), (3 * MIB, 2 * MIB), (8 * MIB - 4096, 4096)):
            file.seek(start)
            file.write(content[start : start + length])
    return bytes(content)


def read(reader: NbdReader, offset: int, length: int) -> bytes:
    buffer = bytearray(length)
    reader.read_into(offset, memoryview(buffer))
    return bytes(buffer)


@pytest.mark.parametrize("clients", ["1", "8"])
def test_bytes_and_holes_are_those_of_the_image(tmp_path: Path, clients: str) -> None:
    content = sparse_image(tmp_path / "disk.raw")
    with (
        exported(tmp_path, tmp_path / "disk.raw", "raw", "-r", "-e", clients, "-x", "disk0") as (place, _),
        NbdReader(place, "disk0") as reader,
    ):
        assert reader.size == len(content)
        extents = list(reader.extents())
        assert [(e.offset, e.length) for e in extents if not e.hole] == data_map(tmp_path / "disk.raw")
        assert sum(e.length for e in extents) == len(content)
        assert read(reader, 0, len(content)) == content
        spans = [(random.Random(n).randrange(len(content) - 70_000), 1 + n * 1000) for n in range(64)]
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda span: read(reader, *span), spans))
        assert found == [content[start : start + length] for start, length in spans]


def test_a_dirty_bitmap_tells_what_changed_since(tmp_path: Path) -> None:
    image = tmp_path / "disk.qcow2"
    qemu_img("create", "-f", "qcow2", image, "64M")
    qemu_io(image, "write -P 1 0 1M")
    qemu_img("bitmap", "--add", "-g", "64k", image, "since")
    qemu_io(image, "write -P 2 10M 64k", "write -P 3 40M 200k")
    context = "qemu:dirty-bitmap:since"
    with (
        exported(tmp_path, image, "qcow2", "-r", "-B", "since") as (place, _),
        NbdReader(place, contexts=[context, "qemu:dirty-bitmap:other"]) as reader,
    ):
        assert reader.changed(context) == [
            Extent(10 * MIB, 64 << 10, hole=False),
            Extent(40 * MIB, 256 << 10, hole=False),
        ]
        assert not reader.offers("qemu:dirty-bitmap:other")
        with pytest.raises(InvalidInput, match="does not offer"):
            reader.changed("qemu:dirty-bitmap:other")
        assert read(reader, 40 * MIB, 4) == b"\3\3\3\3"


def test_what_is_written_is_in_the_image(tmp_path: Path) -> None:
    content = sparse_image(tmp_path / "wanted.raw")
    qemu_img("create", "-f", "qcow2", tmp_path / "made.qcow2", "8M")
    qemu_io(tmp_path / "made.qcow2", "write -P 9 1M 1M")
    with (
        exported(tmp_path, tmp_path / "made.qcow2", "qcow2", "-e", "4") as (place, _),
        NbdWriter(place) as writer,
    ):
        pieces = [range(start, start + MIB) for start in (0, *range(3 * MIB, 5 * MIB, MIB), 7 * MIB)]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda p: writer.write(p.start, content[p.start : p.stop]), pieces))
        writer.zero(MIB, MIB)
        writer.flush()
        with pytest.raises(InvalidInput, match="not inside"):
            writer.write(8 * MIB - 1, b"ab")
    qemu_img("compare", "-f", "raw", "-F", "qcow2", tmp_path / "wanted.raw", tmp_path / "made.qcow2")
    assert (MIB, MIB) not in data_map(tmp_path / "made.qcow2", "qcow2")


def test_a_full_target_and_a_read_only_one_say_so(tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(bytes(MIB))
    with (
        exported(tmp_path, tmp_path / "disk.raw", "raw", "-r") as (place, _),
        pytest.raises(HostError, match="can only be read"),
    ):
        NbdWriter(place)
    with failing(tmp_path, protocol.Error.ENOSPC) as place, NbdWriter(place, "disk0") as writer:
        with pytest.raises(TargetFull, match=r"disk0.* at byte 4096: No space"):
            writer.write(4096, b"x" * 512)
        with pytest.raises(TargetFull):
            writer.write(0, b"x")
    with failing(tmp_path, protocol.Error.EIO) as place, NbdReader(place, "disk0") as reader:
        for _ in range(2):
            with pytest.raises(DiskDamaged, match="at byte 512: Input/output error"):
                read(reader, 512, 10)


def test_a_server_that_dies_in_mid_read_ends_the_read(tmp_path: Path) -> None:
    sparse_image(tmp_path / "disk.raw")
    with (
        exported(tmp_path, tmp_path / "disk.raw", "raw", "-r", "-e", "4") as (place, server),
        NbdReader(place) as reader,
        ThreadPoolExecutor(4) as threads,
    ):
        os.kill(server.pid, signal.SIGSTOP)
        reads = [threads.submit(read, reader, 0, 4 * MIB) for _ in range(8)]
        os.kill(server.pid, signal.SIGKILL)
        for reading in reads:
            with pytest.raises(HostError, match=r"the NBD export '' at .* was (closed|lost)"):
                reading.result(10)
        with pytest.raises(HostError):
            list(reader.extents())


def test_a_silent_server_ends_the_read(tmp_path: Path) -> None:
    sparse_image(tmp_path / "disk.raw")
    with (
        exported(tmp_path, tmp_path / "disk.raw", "raw", "-r") as (place, server),
        NbdReader(place, timeout=0.2) as reader,
    ):
        os.kill(server.pid, signal.SIGSTOP)
        with pytest.raises(HostError, match=r"did not answer for 0\.2 s"):
            read(reader, 0, 10)


def test_closing_wakes_up_who_reads(tmp_path: Path) -> None:
    sparse_image(tmp_path / "disk.raw")
    with exported(tmp_path, tmp_path / "disk.raw", "raw", "-r") as (place, server):
        reader = NbdReader(place)
        os.kill(server.pid, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as threads:
            reading = threads.submit(read, reader, 0, 10)
            wait_until(lambda: reading.running())
            reader.close()
            with pytest.raises(HostError):
                reading.result(10)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be reached"):
        NbdReader(UnixEndpoint(tmp_path / "none.sock"))
    with pytest.raises(HostError, match="cannot be reached"):
        NbdReader(TcpEndpoint("127.0.0.1", 1))
    (tmp_path / "disk.raw").write_bytes(bytes(MIB))
    with (
        exported(tmp_path, tmp_path / "disk.raw", "raw", "-x", "disk0") as (place, _),
        pytest.raises(HostError, match=r"'disk1' at .* has no such export"),
    ):
        NbdReader(place, "disk1")


@pytest.mark.parametrize(
    "greeting",
    [
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n",
        protocol.U64.pack(protocol.SERVER_MAGIC) + protocol.U64.pack(protocol.OLDSTYLE_MAGIC) + bytes(200),
        b"",
        b"NBDMAGICIHAVEOPT\0\1" + protocol.OPTION_REPLY.pack(protocol.OPTION_REPLY_MAGIC, 8, 1, 0xFFFFFFFF),
        b"NBDMAGICIHAVEOPT\0\1"
        + b"".join(
            protocol.OPTION_REPLY.pack(protocol.OPTION_REPLY_MAGIC, option, 0x80000001, 0)
            for option in (8, 7)
        ),
    ],
)
def test_other_servers_are_refused(tmp_path: Path, greeting: bytes) -> None:
    with answering(tmp_path, greeting) as place, pytest.raises((HostError, Unsupported), match="disk0"):
        NbdReader(place, "disk0", timeout=5)


@contextmanager
def answering(folder: Path, answer: bytes) -> Iterator[UnixEndpoint]:
    """A server that says ``answer`` to whoever comes, and hangs up."""
    path = folder / "answering.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.sendall(answer)
                client.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionError):
                    while client.recv(1000):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield UnixEndpoint(path)
        thread.join(10)
