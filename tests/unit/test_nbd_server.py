"""The NBD server: real clients read from it what its disks hold, and hostile ones cannot hurt it."""

from __future__ import annotations

import random
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from restorium.disks.interface import Extent
from restorium.nbd import NbdReader, NbdServer, UnixEndpoint, protocol
from restorium.nbd.server import MOST_CONNECTIONS
from restorium.vocabulary.errors import DataCorrupt, DiskDamaged, HostError, InvalidInput, RestoriumError
from tests.support.nbd import data_map, qemu_img
from tests.support.waiting import wait_until

MIB = 1 << 20


class Disk:
    """In memory. ``holes``: their first bytes, each 1 MiB long. broken: offsets that cannot be read."""

    def __init__(self, size: int, holes: tuple[int, ...] = (), broken: int | None = None) -> None:
        self.content = bytearray(random.Random(3).randbytes(size))
        self.size = size
        self._holes = holes
        self._broken = broken
        for start in holes:
            self.content[start : start + MIB] = bytes(MIB)

    def extents(self) -> Iterator[Extent]:
        for start in range(0, self.size, MIB):
            yield Extent(start, min(MIB, self.size - start), hole=start in self._holes)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        if self._broken is not None and offset <= self._broken < offset + len(buffer):
            raise DataCorrupt("chunk 17 does not match its digest")
        buffer[:] = self.content[offset : offset + len(buffer)]


def url(path: Path, name: str = "") -> str:
    return f"nbd+unix:///{name}?socket={path}"


def test_programs_read_the_same_bytes_and_holes(tmp_path: Path) -> None:
    disk = Disk(9 * MIB + 512, holes=(2 * MIB, 3 * MIB, 7 * MIB))
    (tmp_path / "wanted.raw").write_bytes(disk.content)
    path = tmp_path / "nbd.sock"
    with NbdServer(path, {"sda": disk, "sdb": Disk(MIB)}):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        qemu_img("convert", "-f", "raw", "-O", "qcow2", url(path, "sda"), tmp_path / "copy.qcow2")
        assert data_map(url(path, "sda")) == [(0, 2 * MIB), (4 * MIB, 3 * MIB), (8 * MIB, MIB + 512)]
        told = subprocess.run(
            ["nbdinfo", "--list", url(path)], check=True, capture_output=True, text=True
        ).stdout
        for words in (
            'export="sda"',
            'export="sdb"',
            "base:allocation",
            "can_multi_conn: true",
            "is_read_only: true",
        ):
            assert words in told
        subprocess.run(["nbdcopy", url(path, "sda"), str(tmp_path / "copy.raw")], check=True)
        refused = subprocess.run(
            ["qemu-io", "-f", "raw", "-c", "write 0 512", url(path, "sdb")], capture_output=True, text=True
        )
        assert refused.returncode
    assert (tmp_path / "copy.raw").read_bytes() == disk.content
    qemu_img("compare", "-f", "qcow2", "-F", "raw", tmp_path / "copy.qcow2", tmp_path / "wanted.raw")
    assert not path.exists()


def test_our_own_client_reads_from_many_threads(tmp_path: Path) -> None:
    disk = Disk(6 * MIB + 1, holes=(MIB,))
    with NbdServer(tmp_path / "s", {"a": disk}) as server, NbdReader(UnixEndpoint(server.path)) as reader:
        assert reader.size == disk.size
        assert [e for e in reader.extents() if e.hole] == [Extent(MIB, MIB, hole=True)]
        spans = [(random.Random(n).randrange(5 * MIB), 1 + n * 9_000) for n in range(100)]

        def read(span: tuple[int, int]) -> bytes:
            buffer = bytearray(span[1])
            reader.read_into(span[0], memoryview(buffer))
            return bytes(buffer)

        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(read, spans))
        assert found == [disk.content[start : start + length] for start, length in spans]


def test_what_cannot_be_read_is_an_error_of_its_bytes_alone_and_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []

    def troubled(name: str, error: RestoriumError) -> None:
        told.append((name, error.message))

    disk = Disk(4 * MIB, broken=MIB)
    with (
        NbdServer(tmp_path / "s", {"a": disk}, troubled=troubled) as server,
        NbdReader(UnixEndpoint(server.path), "a") as reader,
    ):
        buffer = bytearray(4096)
        with pytest.raises(DiskDamaged, match="at byte 1048000: Input/output error"):
            reader.read_into(1_048_000, memoryview(buffer))
        reader.read_into(2 * MIB, memoryview(buffer))
        assert buffer == disk.content[2 * MIB : 2 * MIB + 4096]
    assert told == [("a", "chunk 17 does not match its digest")]


def test_a_socket_left_behind_is_taken_over_and_a_newer_one_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    first = NbdServer(path, {"a": Disk(MIB)})
    second = NbdServer(path, {"b": Disk(MIB)})
    first.close()
    with NbdReader(UnixEndpoint(path), "b") as reader:
        assert reader.size == MIB
    second.close()
    with pytest.raises(HostError, match="cannot be reached"):
        NbdReader(UnixEndpoint(path), "b")
    with pytest.raises(InvalidInput, match="too long for a socket"):
        NbdServer(tmp_path / ("x" * 100), {})
    with pytest.raises(HostError, match="cannot be listened on: No such file"):
        NbdServer(tmp_path / "none" / "s", {})


def test_closing_hangs_up_on_clients(tmp_path: Path) -> None:
    server = NbdServer(tmp_path / "s", {"a": Disk(MIB)})
    with NbdReader(UnixEndpoint(server.path), "a", connections=3) as reader:
        wait_until(lambda: server.clients == 3)
        server.close()
        with pytest.raises(HostError, match=r"was (closed|lost)"):
            reader.read_into(0, memoryview(bytearray(10)))
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("nbd")]


def test_too_many_connections_are_sent_away_and_room_is_made_again(tmp_path: Path) -> None:
    with NbdServer(tmp_path / "s", {"a": Disk(MIB)}) as server:
        place = UnixEndpoint(server.path)
        with (
            NbdReader(place, connections=MOST_CONNECTIONS),
            pytest.raises(HostError, match=r"was (closed|lost)"),
        ):
            NbdReader(place)
        wait_until(lambda: not server.clients)
        NbdReader(place).close()


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NbdServer]:
    with NbdServer(tmp_path_factory.mktemp("nbd") / "s", {"a": Disk(2 * MIB)}) as server:
        yield server


_GREETED = protocol.CLIENT_FLAGS.pack(3)


def _option(option: int, data: bytes, length: int | None = None) -> bytes:
    size = len(data) if length is None else length
    return protocol.OPTION.pack(protocol.OPTION_MAGIC, option, size) + data


def _request(flags: int, command: int, offset: int, length: int) -> bytes:
    return protocol.REQUEST.pack(protocol.REQUEST_MAGIC, flags, command, 9, offset, length)


_GONE = _GREETED + _option(8, b"") + _option(7, protocol.U32.pack(1) + b"a" + protocol.U16.pack(0))
_numbers = st.one_of(
    st.integers(0, 12), st.sampled_from([1 << 16, 1 << 31, (1 << 32) - 1]), st.integers(0, (1 << 32) - 1)
)
_options = st.builds(
    _option,
    _numbers,
    st.one_of(
        st.binary(max_size=64),
        st.builds(lambda n, rest: protocol.U32.pack(n) + b"a" + rest, _numbers, st.binary(max_size=32)),
    ),
    st.one_of(st.none(), _numbers),
)
_requests = st.builds(
    _request,
    st.integers(0, 0xFFFF),
    st.one_of(st.integers(0, 9), st.integers(0, 0xFFFF)),
    st.one_of(st.integers(0, 3 * MIB), st.sampled_from([(1 << 64) - 1, 1 << 63])),
    _numbers,
)


@pytest.mark.slow
@given(
    st.one_of(
        st.binary(max_size=200),
        st.builds(lambda parts: _GREETED + b"".join(parts), st.lists(_options, max_size=6)),
        st.builds(
            lambda parts, tail: _GONE + b"".join(parts) + tail,
            st.lists(_requests, max_size=8),
            st.binary(max_size=60),
        ),
    )
)
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_client_hurts_the_server(attacked: NbdServer, sent: bytes) -> None:
    """Whatever a client sends: it is answered or hung up on, and others are served as before."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(attacked.path))
        try:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            while client.recv(1 << 20):
                pass
        except ConnectionError:
            pass
    with NbdReader(UnixEndpoint(attacked.path), "a", connections=1) as reader:
        buffer = bytearray(4096)
        reader.read_into(MIB, memoryview(buffer))
        assert any(buffer)
    wait_until(lambda: attacked.clients <= 1)
