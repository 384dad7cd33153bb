"""Reading a qcow2 image."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import zstandard

from restorium.disks.files import ImageFile, OpenImage, joined
from restorium.disks.interface import Extent
from restorium.disks.qcow2.header import read_header
from restorium.disks.qcow2.mapping import Kind, Mapping, Run
from restorium.vocabulary.errors import DiskDamaged

_ZEROS = bytes(1 << 20)
_LARGEST_WINDOW = 8 << 20


class Qcow2Reader(OpenImage):
    """The active state of an image."""

    def __init__(self, path: Path) -> None:
        file = ImageFile.to_read(path)
        try:
            self._header = read_header(file)
            self._mapping = Mapping(file, self._header)
        except BaseException:
            file.close()
            raise
        super().__init__(file, self._header.size)

    def extents(self) -> Iterator[Extent]:
        """Clusters that are not allocated, or marked as zero, are holes."""
        return joined(Extent(run.offset, run.length, run.kind is Kind.HOLE) for run in self._mapping.runs())

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.check_inside(offset, len(buffer))
        end = offset + len(buffer)
        position = offset
        while position < end:
            run = self._mapping.run_at(position, end)
            part = buffer[position - offset : run.end - offset]
            if run.kind is Kind.HOLE:
                _fill_with_zeros(part)
            elif run.kind is Kind.DATA:
                self.file.read_into(run.place, part)
            else:
                inside = position % self._header.cluster_size
                part[:] = self._decompress(run)[inside : inside + run.length]
            position = run.end

    def _decompress(self, run: Run) -> bytes:
        """The whole cluster; never more, whatever the stored bytes would swell to."""
        stored = self.file.read(run.place, run.stored)
        size = self._header.cluster_size
        try:
            if self._header.compression == "zstd":
                with zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).stream_reader(
                    stored
                ) as stream:
                    content = stream.read(size)
            else:
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, size)
        except (zlib.error, zstandard.ZstdError) as error:
            raise self._not_whole(run) from error
        if len(content) != size:
            raise self._not_whole(run)
        return content

    def _not_whole(self, run: Run) -> DiskDamaged:
        return DiskDamaged(f"{self.file.path} has a compressed cluster at byte {run.place} that is not whole")


def _fill_with_zeros(buffer: memoryview) -> None:
    for start in range(0, len(buffer), len(_ZEROS)):
        count = min(len(_ZEROS), len(buffer) - start)
        buffer[start : start + count] = _ZEROS[:count]
