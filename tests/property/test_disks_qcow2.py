"""qcow2 images of any layout, written in any order, and headers and maps of any content."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from restorium.disks import create_disk, open_disk, reopen_disk
from restorium.disks.interface import Extent
from restorium.vocabulary.errors import RestoriumError
from tests.support.disks import CLUSTER, check_cover, read_all, write_image

SECTORS = 40 * CLUSTER // 512


@st.composite
def layouts(draw: st.DrawFn) -> tuple[int, list[Extent]]:
    """A disk's size and extents that cover it."""
    size = draw(st.integers(0, SECTORS)) * 512
    cuts = sorted(draw(st.sets(st.integers(1, max(size - 1, 1)), max_size=8)))
    edges = [0, *(cut for cut in cuts if cut < size), size]
    holes = draw(st.lists(st.booleans(), min_size=len(edges), max_size=len(edges)))
    spans = zip(edges, edges[1:], holes, strict=False)
    return size, [Extent(start, end - start, hole) for start, end, hole in spans if end > start]


@st.composite
def writes(draw: st.DrawFn, extents: list[Extent]) -> list[tuple[int, bytes]]:
    """Writes inside extents of data, some over others."""
    data = [extent for extent in extents if not extent.hole]
    found = []
    for extent in draw(st.lists(st.sampled_from(data), max_size=6)) if data else []:
        start = draw(st.integers(0, extent.length - 1))
        length = draw(st.integers(1, extent.length - start))
        found.append((extent.offset + start, draw(st.binary(min_size=1, max_size=4)) * length))
        found[-1] = (found[-1][0], found[-1][1][:length])
    return found


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_what_was_written_is_what_is_read(data: st.DataObject) -> None:
    size, extents = data.draw(layouts())
    model = bytearray(size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "disk"
        create_disk(path, size, "qcow2", extents).close()
        for _ in range(2):
            with reopen_disk(path, size, "qcow2") as writer:
                for offset, content in data.draw(writes(extents)):
                    model[offset : offset + len(content)] = content
                    writer.write(offset, content)
        with open_disk(path) as reader:
            assert read_all(reader) == model
            check_cover(reader, bytes(model))


PLACES = st.one_of(
    st.integers(0, 112),
    st.integers(0, 511).map(lambda at: CLUSTER + at),
    st.integers(2 * CLUSTER, 2 * CLUSTER + 511),
)


@given(st.lists(st.tuples(PLACES, st.binary(min_size=1, max_size=8)), min_size=1, max_size=6))
@settings(max_examples=300, deadline=None)
def test_damaged_metadata_gives_an_error_of_ours_or_a_disk(damage: list[tuple[int, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "disk"
        write_image(path, b"d" * 6 * CLUSTER, "qcow2")
        with path.open("r+b") as file:
            for place, content in damage:
                file.seek(place)
                file.write(content)
        try:
            with open_disk(path, "qcow2") as reader:
                extents = reader.extents()
                buffer = memoryview(bytearray(min(reader.size, CLUSTER + 1)))
                reader.read_into(0, buffer)
                reader.read_into(reader.size - len(buffer), buffer)
                assert sum(extent.length for extent in extents) == reader.size
        except RestoriumError as error:
            assert str(path) in error.message
