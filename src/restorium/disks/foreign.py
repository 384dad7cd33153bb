"""vmdk and vhdx images, by way of dissect.hypervisor. It keeps a place of its own: one thread reads at a time.

An image names other files only in two ways: a vmdk descriptor its extents, which are taken from the
descriptor's own folder, and a snapshot its parent, which is refused. dissect is never given a path, so that
it opens nothing itself.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dissect.hypervisor.disk.c_vhdx import ALIGNMENT, FILE_PARAMETERS_GUID, METADATA_REGION_GUID, c_vhdx
from dissect.hypervisor.disk.vhdx import VHDX, MetadataTable, RegionTable
from dissect.hypervisor.disk.vmdk import VMDK, SparseDisk

from restorium.disks.files import ImageFile, joined
from restorium.disks.interface import Extent
from restorium.vocabulary.errors import DiskDamaged, InvalidInput, RestoriumError, Unsupported

_SECTOR = 512
_DESCRIPTOR_BYTES = 1 << 20
_NO_PARENT = "ffffffff"
_FLATTEN = "Make a copy without snapshots, for example with qemu-img convert -O qcow2 OLD NEW."
_EXTENT_LINE = re.compile(r'(?:RW|RDONLY) +(\d+) +([A-Z]+)(?: +"([^"]*)")?(?: +(\d+))?')


class _Stream(io.RawIOBase):
    """An image's file as dissect wants it: with a place, and without a name."""

    def __init__(self, file: ImageFile) -> None:
        self._file = file
        self._place = 0

    def read(self, count: int = -1) -> bytes:
        left = max(self._file.length - self._place, 0)
        content = self._file.read(self._place, left if count < 0 else min(count, left))
        self._place += len(content)
        return content

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        self._place = (
            place + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._file.length}[whence]
        )
        return self._place

    def tell(self) -> int:
        return self._place


class ForeignReader:
    """A disk behind dissect."""

    def __init__(self, path: Path, files: ExitStack, disk: Any) -> None:
        self._path = path
        self._files = files
        self._disk = disk
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        return int(self._disk.size)

    def extents(self) -> Iterator[Extent]:
        if isinstance(self._disk, VHDX):
            return joined(self._blocks(self._disk))
        return joined(self._grains(self._disk))

    def read_into(self, offset: int, buffer: memoryview) -> None:
        if offset < 0 or offset + len(buffer) > self.size:
            raise InvalidInput(
                f"bytes {offset} to {offset + len(buffer)} are not inside {self._path}, which has {self.size}"
            )
        with self._lock, _damage(self._path, f"at byte {offset} of its disk"):
            self._disk.seek(offset)
            content = self._disk.read(len(buffer))
        if len(content) != len(buffer):
            raise DiskDamaged(f"{self._path} ends before byte {offset + len(buffer)} of its disk")
        buffer[:] = content

    def close(self) -> None:
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _blocks(self, disk: Any) -> Iterator[Extent]:
        present = (c_vhdx.PAYLOAD_BLOCK_FULLY_PRESENT, c_vhdx.PAYLOAD_BLOCK_PARTIALLY_PRESENT)
        for offset in range(0, self.size, disk.block_size):
            with self._lock, _damage(self._path, "in its map"):
                state = disk.bat.pb(offset // disk.block_size).state
            yield Extent(offset, min(disk.block_size, self.size - offset), state not in present)

    def _grains(self, disk: Any) -> Iterator[Extent]:
        offset = 0
        for part in disk.disks:
            if not isinstance(part, SparseDisk):
                yield Extent(offset, part.size, hole=False)
                offset += part.size
                continue
            grain = part.header.grain_size * _SECTOR
            for start in range(0, part.size, grain):
                with self._lock, _damage(self._path, "in its map"):
                    place = part._lookup_grain(start // grain)
                yield Extent(offset + start, min(grain, part.size - start), place in (0, 1))
            offset += part.size


@contextmanager
def _damage(path: Path, where: str) -> Iterator[None]:
    """Whatever dissect raises on what it reads is damage to the image."""
    try:
        yield
    except RestoriumError:
        raise
    except Exception as error:
        raise DiskDamaged(f"{path} cannot be understood {where}: {error!r}") from error


def open_vhdx(path: Path) -> ForeignReader:
    """Fixed and dynamic disks. Raises Unsupported for a differencing disk and one not closed cleanly."""
    with ExitStack() as files:
        file = ImageFile.to_read(path)
        files.callback(file.close)
        with _damage(path, "as a vhdx image"):
            _check_vhdx(path, file)
            disk = VHDX(_Stream(file))
        return ForeignReader(path, files.pop_all(), disk)


def open_vmdk(path: Path) -> ForeignReader:
    """Sparse, stream-optimised and flat disks, descriptor inside or beside. Raises Unsupported for snapshots."""
    with ExitStack() as files:
        file = ImageFile.to_read(path)
        files.callback(file.close)
        with _damage(path, "as a vmdk image"):
            if file.read(0, min(file.length, 4)) == b"# Di":
                parts = [_open_extent(path, *extent, files) for extent in _read_descriptor(path, file)]
            else:
                parts = [file]
            for part in parts:
                _check_sparse(part)
            disk = VMDK([_Stream(part) for part in parts])
        return ForeignReader(path, files.pop_all(), disk)


def _check_vhdx(path: Path, file: ImageFile) -> None:
    stream = _Stream(file)
    headers = []
    for place in (ALIGNMENT, 2 * ALIGNMENT):
        stream.seek(place)
        headers.append(c_vhdx.header(stream))
    current = max(headers, key=lambda header: int(header.sequence_number))
    if any(current.log_guid):
        raise Unsupported(
            f"{path} was not closed cleanly: its log holds changes that are not yet in place",
            hint="Start and shut down its VM, or repair a copy with qemu-img check -r all.",
        )
    metadata = RegionTable(stream, 3 * ALIGNMENT).get(METADATA_REGION_GUID)
    parameters = MetadataTable(stream, metadata.file_offset, metadata.length).get(FILE_PARAMETERS_GUID)
    if parameters.has_parent:
        raise Unsupported(f"{path} is a snapshot's part of a disk", hint=_FLATTEN)


def _read_descriptor(path: Path, file: ImageFile) -> list[tuple[int, str, str, int]]:
    """Its extents: sectors, type, file name, first sector in the file."""
    text = file.read(0, min(file.length, _DESCRIPTOR_BYTES)).decode("utf-8", "replace")
    _refuse_parent(path, text)
    found = [match for line in text.splitlines() if (match := _EXTENT_LINE.match(line.strip()))]
    if not found:
        raise DiskDamaged(f"{path} names no file that holds its disk")
    return [(int(each[1]), each[2], each[3] or "", int(each[4] or 0)) for each in found]


def _open_extent(path: Path, sectors: int, kind: str, name: str, start: int, files: ExitStack) -> ImageFile:
    if name != Path(name).name or not name or "\\" in name or (path.parent / name).is_symlink():
        raise DiskDamaged(f"{path} names {name!r}, which is not a file beside it")
    if kind not in ("FLAT", "VMFS", "SPARSE", "VMFSSPARSE", "SESPARSE") or start:
        raise Unsupported(f"{path} has an extent of the kind {kind} from sector {start}", hint=_FLATTEN)
    file = ImageFile.to_read(path.parent / name)
    files.callback(file.close)
    if kind in ("FLAT", "VMFS") and file.length != sectors * _SECTOR:
        raise DiskDamaged(f"{file.path} has {file.length} bytes, its descriptor says {sectors * _SECTOR}")
    return file


def _check_sparse(file: ImageFile) -> None:
    """Refuse what names a parent, and maps larger than the largest disk needs."""
    header = file.read(0, min(file.length, _SECTOR))
    if not header.startswith(b"KDMV"):
        return
    capacity, grain, descriptor, descriptor_sectors = (
        int.from_bytes(header[at : at + 8], "little") for at in (12, 20, 28, 36)
    )
    entries = int.from_bytes(header[44:48], "little")
    if not grain or not entries or capacity // (grain * entries) > (1 << 24) or grain > (1 << 15):
        raise DiskDamaged(f"{file.path} declares a map that no vmdk image has")
    length = min(descriptor_sectors * _SECTOR, _DESCRIPTOR_BYTES, max(file.length - descriptor * _SECTOR, 0))
    if length:
        text = file.read(descriptor * _SECTOR, length)
        _refuse_parent(file.path, text.split(b"\0")[0].decode("utf-8", "replace"))


def _refuse_parent(path: Path, descriptor: str) -> None:
    match = re.search(r"^\s*parentCID\s*=\s*\"?(\w+)", descriptor, re.MULTILINE)
    if match is not None and match[1].lower() != _NO_PARENT:
        raise Unsupported(f"{path} is a snapshot's part of a disk", hint=_FLATTEN)
