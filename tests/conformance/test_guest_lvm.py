"""Logical volumes: what is on them reads as it was written, wherever LVM has put their extents."""

from __future__ import annotations

from pathlib import Path

import pytest

from restorium.disks.formats import open_disk
from restorium.guest import Guest, open_guest
from restorium.vocabulary.errors import Unsupported
from tests.support import guests, lvm
from tests.support.lvm import Segment

EXTENTS = 10
SPLIT = (Segment(4, [(1, 2)]), Segment(6, [(0, 0)]))
"""Two segments on two disks, the first on the second."""
STRIPED = (Segment(10, [(0, 6), (1, 6)], chunk=65536),)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """An ext4 file system of ten extents, and the files in it."""
    folder = tmp_path_factory.mktemp("content")
    files = guests.tree(folder / "tree")
    return guests.make("ext4", folder / "tree", folder / "ext4.raw", EXTENTS), files


def opened(*images: Path) -> Guest:
    return open_guest([open_disk(image) for image in images])


def same(guest: Guest, volume: str, files: dict[str, bytes]) -> bool:
    return all(
        b"".join(guest.open((volume, *path.split("/"))).chunks()) == data for path, data in files.items()
    )


def test_a_whole_disk_in_lvm_has_its_volume(content: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    [disk] = lvm.physical_volumes(tmp_path, {"root": (content[0], [Segment(10, [(0, 3)])])}, [16])
    guest = opened(disk)
    assert guest.volumes == ("Volume$0:",)
    assert same(guest, "Volume$0:", content[1])


def test_volumes_are_put_together_from_segments_and_stripes(
    content: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    volumes = {"root": (content[0], SPLIT), "data": (content[0], STRIPED)}
    disks = lvm.physical_volumes(tmp_path, volumes, [16, 16], telling=[1])
    for guest in (opened(*disks), opened(*reversed(disks))):
        assert guest.volumes == ("Volume$0:", "Volume$1:")
        assert all(same(guest, volume, content[1]) for volume in guest.volumes)


@pytest.mark.slow
def test_a_partition_in_lvm_comes_after_the_others(
    content: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    (small / "only.txt").write_bytes(b"here")
    boot = guests.make("ext2", small, tmp_path / "boot", 8)
    [part] = lvm.physical_volumes(tmp_path, {"root": (content[0], [Segment(10, [(0, 0)])])}, [11])
    guest = opened(guests.partitioned(tmp_path / "disk.raw", "gpt", [part, boot]))
    assert b"".join(guest.open(("Volume$0:", "only.txt")).chunks()) == b"here"
    assert same(guest, "Volume$1:", content[1])


@pytest.mark.slow
def test_metadata_that_wraps_around_its_ring_is_read(
    content: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    [disk] = lvm.physical_volumes(
        tmp_path, {"root": (content[0], [Segment(10, [(0, 0)])])}, [10], at=1044480 - 512
    )
    assert same(opened(disk), "Volume$0:", content[1])


@pytest.mark.slow
def test_the_latest_metadata_of_a_group_counts(
    content: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    new.mkdir()
    stale = lvm.physical_volumes(old, {"root": (content[0], [Segment(10, [(1, 0)])])}, [10, 10], seqno=4)
    disks = lvm.physical_volumes(new, {"root": (content[0], SPLIT)}, [10, 10], telling=[1])
    with disks[0].open("r+b") as file:
        file.seek(4096)
        file.write(stale[0].read_bytes()[4096:1048576])
    guest = opened(*disks)
    assert guest.volumes == ("Volume$0:",)
    assert same(guest, "Volume$0:", content[1])


@pytest.mark.slow
def test_volumes_that_are_not_read_hide_no_others(
    content: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    volumes = {
        "mirrored": (content[0], [Segment(10, [(0, 0)], kind="raid1")]),
        "elsewhere": (content[0], [Segment(10, [(1, 0)])]),
        "root": (content[0], [Segment(10, [(0, 10)])]),
    }
    disks = lvm.physical_volumes(tmp_path, volumes, [20, 10])
    guest = opened(disks[0])
    assert guest.volumes == ("Volume$0:",)
    assert same(guest, "Volume$0:", content[1])
    disks[1].write_bytes(bytes(disks[1].stat().st_size))
    assert opened(*disks).volumes == ("Volume$0:",)


def test_a_group_without_volumes_holds_no_file_system(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no file system"):
        opened(*lvm.physical_volumes(tmp_path, {}, [2]))
