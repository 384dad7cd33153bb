"""Writing a qcow2 image."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from pathlib import Path

from restorium.disks.blocks import check_sectors, data_runs, divide
from restorium.disks.files import ImageFile, OpenImage
from restorium.disks.interface import Extent
from restorium.disks.qcow2.header import pack_header, read_header
from restorium.disks.qcow2.mapping import COPIED, Kind, Mapping
from restorium.vocabulary.errors import DiskDamaged, InvalidInput

_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
_TABLE_ENTRIES = _CLUSTER // 8
_BLOCK_ENTRIES = _CLUSTER // 2


class Qcow2Writer(OpenImage):
    """An image whose clusters are all allocated; writes go where they are."""

    def __init__(self, file: ImageFile) -> None:
        header = read_header(file)
        super().__init__(file, header.size)
        self._mapping = Mapping(file, header)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Raises InvalidInput for a place that has no cluster of its own."""
        view = memoryview(data)
        self.check_inside(offset, len(view))
        end = offset + len(view)
        position = offset
        while position < end:
            run = self._mapping.run_at(position, end)
            if run.kind is not Kind.DATA or not run.own:
                raise InvalidInput(
                    f"bytes {run.offset} to {run.end} of {self.file.path} have no cluster of their own",
                    hint="Declare them as data when the image is made.",
                )
            self.file.write(run.place, view[position - offset : run.end - offset])
            position = run.end

    def flush(self) -> None:
        self.file.flush()


def create_qcow2(path: Path, size: int, extents: Iterable[Extent]) -> Qcow2Writer:
    """A new image with a cluster for every part that an extent with data touches, in the disk's order."""
    check_sectors(size, f"qcow2 image {path}", least=0)
    file = ImageFile.new(path)
    try:
        _lay_out(file, size, extents)
        return Qcow2Writer(file)
    except BaseException:
        file.close()
        raise


def reopen_qcow2(path: Path, size: int) -> Qcow2Writer:
    """An image made before. Raises DiskDamaged unless it is whole and its disk has ``size`` bytes."""
    file = ImageFile.to_write(path)
    try:
        writer = Qcow2Writer(file)
    except BaseException:
        file.close()
        raise
    if writer.size != size:
        writer.close()
        raise DiskDamaged(f"{path} holds a disk of {writer.size} bytes, not {size}")
    return writer


def _lay_out(file: ImageFile, size: int, extents: Iterable[Extent]) -> None:
    """Header, L1, then each L2 table before its data, then refcounts. One L2 table is in memory at a time."""
    l1 = array("Q", bytes(8 * max(divide(size, _CLUSTER * _TABLE_ENTRIES), 1)))
    l1_offset = _CLUSTER
    next_free = l1_offset + divide(len(l1) * 8, _CLUSTER) * _CLUSTER
    for number, runs in data_runs(extents, size, _CLUSTER, _TABLE_ENTRIES):
        table, place = array("Q", bytes(_CLUSTER)), next_free
        l1[number] = place | COPIED
        next_free += _CLUSTER
        for run in runs:
            first, length = run.start % _TABLE_ENTRIES, len(run) * _CLUSTER
            entries = range(next_free | COPIED, (next_free | COPIED) + length, _CLUSTER)
            table[first : first + len(run)] = array("Q", entries)
            next_free += length
        file.write(place, _big_endian(table))
    file.write(l1_offset, _big_endian(l1))
    refcounts_at, refcount_clusters, end = _write_refcounts(file, next_free)
    file.set_length(end)
    file.flush()
    file.write(
        0,
        pack_header(
            size=size,
            cluster_bits=_CLUSTER_BITS,
            l1_offset=l1_offset,
            l1_entries=len(l1),
            refcounts_at=refcounts_at,
            refcount_clusters=refcount_clusters,
        ),
    )
    file.flush()


def _write_refcounts(file: ImageFile, used: int) -> tuple[int, int, int]:
    """Every cluster of the file is used once, those of the refcounts among them.

    used: bytes up to here. Returns the offset of the refcount table, its clusters, and the file's end.
    """
    clusters = used // _CLUSTER
    blocks = tables = 0
    while (wanted := divide(clusters + blocks + tables, _BLOCK_ENTRIES)) > blocks:
        blocks, tables = wanted, divide(wanted, _TABLE_ENTRIES)
    total = clusters + blocks + tables
    ones = array("H", [1]) * _BLOCK_ENTRIES
    full = _big_endian(ones)
    for number in range(blocks):
        covered = min(total - number * _BLOCK_ENTRIES, _BLOCK_ENTRIES)
        file.write((clusters + number) * _CLUSTER, full[: covered * 2])
    places = array("Q", range(used, used + blocks * _CLUSTER, _CLUSTER))
    table_at = used + blocks * _CLUSTER
    file.write(table_at, _big_endian(places))
    return table_at, tables, total * _CLUSTER


def _big_endian(values: array[int]) -> bytes:
    if sys.byteorder == "little":
        values = values[:]
        values.byteswap()
    return values.tobytes()
