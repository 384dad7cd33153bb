"""Packs, manifests, tables and plans, over whatever can be put into them."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from restorium.disks.interface import Extent
from restorium.vault import manifests, packs
from restorium.vault.chunks import ChunkCodec
from restorium.vault.chunkstore import plan_fetches
from restorium.vault.keys import Keyring
from restorium.vault.manifests import PointDescription
from restorium.vault.packs import Entry, Kind, Location, PackBuilder
from restorium.vault.plan import SEGMENT_CHUNKS, runs, segment_masks
from restorium.vault.storage import Storage
from restorium.vault.tables import DiskRecord, DiskTable
from restorium.vocabulary.errors import DataCorrupt

KEYRING = Keyring(b"m" * 32)
VAULT = UUID(int=7)
PACK = b"p" * 16

chunks = st.one_of(
    st.binary(min_size=1, max_size=300),
    st.integers(1, 4000).map(lambda length: b"text " * length),
    st.integers(1, 5000).map(lambda length: random.Random(length).randbytes(length)),
)


def build(contents: list[bytes]) -> tuple[bytes, list[Location]]:
    """A pack of these chunks, each its own data chunk."""
    codec = ChunkCodec()
    builder = PackBuilder(PACK, KEYRING, bytearray(packs.CAPACITY))
    locations = []
    for content in contents:
        encoding, payload = codec.encode(content)
        stored = len(payload) + packs.TAG_BYTES
        entry = Entry(KEYRING.data_id(content), Kind.DATA, encoding, stored, len(content))
        locations.append(builder.reserve(entry))
        builder.fill(locations[-1], payload)
    return bytes(builder.finish()), locations


def stored(content: bytes) -> Storage:
    storage = Storage(MemoryStore(), "memory")
    storage.put(packs.pack_name(PACK), content)
    return storage


@given(st.lists(chunks, max_size=12))
def test_a_pack_gives_back_its_chunks_and_its_footer_tells_where_they_lie(contents: list[bytes]) -> None:
    content, written = build(contents)
    found = packs.read_footer(stored(content), KEYRING, PACK, len(content))
    assert found == written
    codec = ChunkCodec()
    for location, plain in zip(found, contents, strict=True):
        payload = packs.open_record(
            KEYRING.pack_cipher(PACK), location, content[location.offset : location.end]
        )
        assert payload is not None
        assert codec.decode(location, payload) == plain


@given(st.data())
def test_a_footer_with_any_bit_changed_is_refused(data: st.DataObject) -> None:
    content, written = build([b"one", b"two" * 50])
    position = data.draw(st.integers(written[-1].end, len(content) - 1))
    changed = bytearray(content)
    changed[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DataCorrupt):
        packs.read_footer(stored(bytes(changed)), KEYRING, PACK, len(changed))


@given(st.data())
def test_a_pack_cut_short_anywhere_is_refused(data: st.DataObject) -> None:
    content, _ = build([b"one", b"two" * 50])
    cut = content[: data.draw(st.integers(0, len(content) - 1))]
    with pytest.raises(DataCorrupt):
        packs.read_footer(stored(cut), KEYRING, PACK, len(cut))


def test_a_pack_under_another_name_is_refused() -> None:
    content, _ = build([b"one"])
    storage = Storage(MemoryStore(), "memory")
    storage.put(packs.pack_name(b"q" * 16), content)
    with pytest.raises(DataCorrupt):
        packs.read_footer(storage, KEYRING, b"q" * 16, len(content))


def test_a_footer_longer_than_the_first_read_is_read_whole() -> None:
    content, written = build([number.to_bytes(4, "big") for number in range(2000)])
    assert packs.read_footer(stored(content), KEYRING, PACK, len(content)) == written


@given(st.data())
def test_a_record_opens_only_as_itself(data: st.DataObject) -> None:
    content, (one, two) = build([b"first chunk", b"other chunk"])
    cipher = KEYRING.pack_cipher(PACK)
    sealed = bytearray(content[one.offset : one.end])
    assert packs.open_record(cipher, two, bytes(sealed)) is None
    assert packs.open_record(KEYRING.pack_cipher(b"q" * 16), one, bytes(sealed)) is None
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert packs.open_record(cipher, one, bytes(sealed)) is None


names = st.text(max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
disks = st.builds(DiskRecord, names, st.integers(0, 2**62), st.binary(min_size=32, max_size=32))
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])
descriptions = st.builds(
    PointDescription,
    st.dictionaries(names, json_values, max_size=4),
    st.datetimes(min_value=datetime(2001, 1, 1), timezones=zones),  # noqa: DTZ001 - the strategy adds the zone
    st.lists(disks, max_size=4).map(tuple),
)


@given(descriptions)
def test_a_manifest_gives_back_its_description(description: PointDescription) -> None:
    name = manifests.new_name(description.created, random.Random(1).randbytes)
    sealed = manifests.seal(KEYRING, VAULT, name, description, random.Random(2).randbytes)
    assert manifests.open_sealed(KEYRING, VAULT, name, sealed) == description
    storage = Storage(MemoryStore(), "memory")
    storage.put(manifests.object_name(name), sealed)
    assert [point for point, _ in manifests.listed(storage)] == [name]
    assert json.loads(json.dumps(description.to_json())) == description.to_json()


@given(descriptions, st.data())
def test_a_manifest_changed_renamed_or_moved_is_refused(
    description: PointDescription, data: st.DataObject
) -> None:
    name = manifests.new_name(description.created, random.Random(1).randbytes)
    other = manifests.new_name(description.created, random.Random(3).randbytes)
    sealed = manifests.seal(KEYRING, VAULT, name, description, random.Random(2).randbytes)
    changed = bytearray(sealed)
    changed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
    for keyring, vault, point, content in (
        (KEYRING, VAULT, name, bytes(changed)),
        (KEYRING, VAULT, name, cut),
        (KEYRING, VAULT, other, sealed),
        (KEYRING, UUID(int=8), name, sealed),
        (Keyring(b"n" * 32), VAULT, name, sealed),
    ):
        with pytest.raises(DataCorrupt):
            manifests.open_sealed(keyring, vault, point, content)


@given(st.integers(0, 3 * SEGMENT_CHUNKS * 10 + 9), st.data())
def test_a_table_is_read_by_segments(size: int, data: st.DataObject) -> None:
    chunk_size = 10
    total = -(-size // chunk_size)
    ids = b"".join(number.to_bytes(32, "big") for number in range(1, total + 1))
    segments = [ids[at : at + SEGMENT_CHUNKS * 32] for at in range(0, len(ids), SEGMENT_CHUNKS * 32)]
    blank = {number for number in range(len(segments)) if data.draw(st.booleans())}
    stored_chunks = {bytes([number + 1]) * 32: segment for number, segment in enumerate(segments)}
    root = b"".join(bytes([0 if number in blank else number + 1]) * 32 for number in range(len(segments)))
    stored_chunks[b"r" * 32] = root
    disk = DiskRecord("d", size, b"r" * 32 if any(root) else bytes(32))

    def chunk(name: bytes, length: int) -> bytes:
        assert len(stored_chunks[name]) == length
        return stored_chunks[name]

    table = DiskTable(disk, chunk_size, chunk)
    assert table.segments == len(segments)
    for number, segment in enumerate(segments):
        assert table.segment(number) == (bytes(len(segment)) if number in blank else segment)


def extents_of(lengths: list[tuple[int, bool]]) -> list[Extent]:
    found, position = [], 0
    for length, hole in lengths:
        found.append(Extent(position, length, hole))
        position += length
    return found


@given(st.lists(st.tuples(st.integers(1, 3000 * 7), st.booleans()), max_size=12))
def test_masks_mark_exactly_the_chunks_that_data_touches(lengths: list[tuple[int, bool]]) -> None:
    chunk_size = 7
    extents = extents_of(lengths)
    size = extents[-1].end if extents else 0
    expected = bytearray(-(-size // chunk_size))
    for extent in extents:
        if not extent.hole:
            for chunk in range(extent.offset // chunk_size, -(-extent.end // chunk_size)):
                expected[chunk] = 1
    masks = list(segment_masks(extents, size, chunk_size))
    assert b"".join(masks) == expected
    assert all(len(mask) == SEGMENT_CHUNKS for mask in masks[:-1])


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 9))
def test_runs_cover_the_marked_chunks_once_in_order(marks: list[bool], longest: int) -> None:
    found = list(runs(bytes(marks), longest))
    assert [chunk for first, end in found for chunk in range(first, end)] == [
        chunk for chunk, marked in enumerate(marks) if marked
    ]
    assert all(0 < end - first <= longest for first, end in found)


@given(st.lists(st.tuples(st.sampled_from([b"a" * 16, b"b" * 16]), st.integers(1, 900_000)), max_size=20))
def test_fetches_bring_every_chunk_once_and_join_neighbours(pieces: list[tuple[bytes, int]]) -> None:
    ends = {b"a" * 16: 0, b"b" * 16: 0}
    locations = []
    for number, (pack, length) in enumerate(pieces):
        entry = Entry(number.to_bytes(32, "big"), Kind.DATA, packs.Encoding.RAW, length, length)
        locations.append(Location(entry, pack, number, ends[pack]))
        ends[pack] += length
    fetches = plan_fetches(reversed(locations))
    fetched = [location for fetch in fetches for location in fetch.locations]
    assert sorted(fetched, key=lambda each: each.number) == locations
    for fetch in fetches:
        assert all(location.pack_id == fetch.pack_id for location in fetch.locations)
        assert fetch.end - fetch.start <= 2 * 1024 * 1024
    assert len(fetches) <= 2 + sum(ends.values()) // (1024 * 1024)
