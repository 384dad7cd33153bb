"""LVM labels and metadata that are damaged or made to harm: nothing is shown of them, and it does not take long."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from restorium.guest import Guest, open_guest
from restorium.vocabulary.errors import RestoriumError, Unsupported
from tests.support import guests, lvm
from tests.support.lvm import Segment
from tests.support.vaults import MemoryDisk

TOP = "Volume$0:"
_GROUP = 'vg {{ id = "a" seqno = 1 extent_size = {extent} physical_volumes {{ pv0 {{ id = "{pv}" pe_start = 2048 }} }}'
_VOLUME = (
    'root {{ status = ["VISIBLE"] s {{ type = "striped" start_extent = {start} extent_count = {count}'
    " stripe_size = {stripe} stripes = [ {stripes} ] }} }}"
)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("lvm")
    (folder / "tree").mkdir()
    (folder / "tree" / "file").write_bytes(b"content")
    image = guests.make("ext4", folder / "tree", folder / "ext4.raw", 2)
    [made] = lvm.physical_volumes(folder, {"root": (image, [Segment(2, [(0, 0)])])}, [2])
    return made.read_bytes()


def told(disk: bytes, text: str) -> bytes:
    """The disk with other metadata, whose checksums are right."""
    changed = bytearray(disk)
    for place, content in lvm.metadata_area(text.encode()).items():
        changed[place : place + len(content)] = content
    return bytes(changed[: len(disk)])


def described(disk: bytes, *, extent: int = 2048, **volume: object) -> bytes:
    pv = disk[544:576].decode()
    asked = {"start": 0, "count": 2, "stripe": 1, "stripes": '"pv0", 0'} | volume
    text = _GROUP.format(extent=extent, pv=pv) + " logical_volumes { " + _VOLUME.format(**asked) + " } }"
    return told(disk, text)


def opened(disk: bytes) -> Guest:
    return open_guest([MemoryDisk(disk)])


def test_what_the_hostile_ones_are_made_of_is_read(disk: bytes) -> None:
    for each in (disk, described(disk)):
        assert b"".join(opened(each).open((TOP, "file")).chunks()) == b"content"


def test_a_changed_bit_in_label_or_metadata_shows_nothing_wrong(disk: bytes) -> None:
    source, hidden = random.Random(3), 0
    text_end = 4096 + 512 + disk[4608 : 4608 + 8192].index(b"\0\0")
    for _ in range(60):
        place = source.choice([*range(512, 608), *range(4096, 4160), *range(4608, text_end)])
        changed = bytearray(disk)
        changed[place] ^= 1 << source.randrange(8)
        try:
            assert b"".join(opened(bytes(changed)).open((TOP, "file")).chunks()) == b"content"
        except Unsupported:
            hidden += 1
    assert hidden > 50


@pytest.mark.parametrize(
    "volume",
    [
        {"count": 0},
        {"count": 10**14},
        {"start": 5},
        {"start": -1},
        {"stripes": ""},
        {"stripes": '"pv0"'},
        {"stripes": '"pv9", 0'},
        {"stripes": '"pv0", 99999999999999'},
        {"stripes": '"pv0", -7'},
        {"stripes": ", ".join(['"pv0", 0'] * 20_000)},
        {"stripe": 0, "stripes": '"pv0", 0, "pv0", 1'},
        {"extent": 0},
        {"extent": 999_999_999_999_999},
    ],
    ids=str,
)
def test_extents_that_make_no_sense_are_an_error_or_nothing(disk: bytes, volume: dict[str, object]) -> None:
    begun = time.process_time()
    try:
        guest = opened(described(disk, **volume))  # type: ignore[arg-type]
        b"".join(guest.open((TOP, "file")).chunks())
    except RestoriumError as error:
        assert error.message
    assert time.process_time() - begun < 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "#" * 1_000_000,
        'a = "' + "#" * 900_000,
        "a { " * 250_000,
        "a = " + "[" * 900_000,
        "}",
        "a = 1" + "0" * 900_000,
        'vg { id = "a" seqno = 1 logical_volumes = 3 }',
        'vg { id = "a" seqno = "x" }',
        "vg = 1 vg { } other { }",
        "vg { id = 1 seqno = 1 logical_volumes { " + "a { status = 1 } " * 50_000 + "} }",
        "\\" * 900_000,
    ],
    ids=lambda text: text[:24],
)
def test_metadata_of_any_form_is_read_in_time(disk: bytes, text: str) -> None:
    begun = time.process_time()
    with pytest.raises(Unsupported, match="no file system"):
        opened(told(disk, text))
    assert time.process_time() - begun < 5


def test_a_label_full_of_areas_ends(disk: bytes, tmp_path: Path) -> None:
    changed = bytearray(disk)
    changed[512 + 72 : 1024] = b"\x01" * 440
    changed[528:532] = lvm.checksum(bytes(changed[532:1024])).to_bytes(4, "little")
    with pytest.raises(Unsupported, match="no file system"):
        opened(bytes(changed))
