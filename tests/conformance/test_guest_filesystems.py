"""Every kind of file system gives back what the guest's own tools have put into it."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from restorium.disks.formats import open_disk
from restorium.guest import Guest, Kind, open_guest, tar
from restorium.vocabulary.errors import InvalidInput, NotFound, Unsupported
from tests.support import guests

KINDS = [
    "ext2",
    "ext3",
    "ext4",
    "xfs",
    "btrfs",
    "fat12",
    "fat16",
    "fat32",
    "ntfs",
    pytest.param("ntfs-3g", marks=pytest.mark.slow),
]
FLAT = {"ntfs"}
"""Its tool makes no folders; the driver does, where it may mount."""
TOP = "Volume$0:"

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("tree")
    return folder, guests.tree(folder)


@pytest.fixture(scope="module", params=KINDS)
def kept(
    request: pytest.FixtureRequest,
    content: tuple[Path, dict[str, bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Guest, dict[str, bytes]]:
    kind: str = request.param
    if kind == "ntfs-3g" and not guests.drivers_work():
        pytest.skip("there is no ntfs-3g, or no /dev/fuse")
    folder, files = content
    image = guests.make(kind, folder, tmp_path_factory.mktemp("image") / f"{kind}.raw")
    if kind in FLAT:
        files = {path: data for path, data in files.items() if "/" not in path}
    if kind == "xfs":
        files = {path: data for path, data in files.items() if " " not in path}
    return kind, opened(image), files


def opened(*images: Path) -> Guest:
    return open_guest([open_disk(image) for image in images])


def read(guest: Guest, *path: str) -> bytes:
    content = guest.open(path)
    data = b"".join(content.chunks())
    assert len(data) == content.size
    return data


def unpacked(guest: Guest, *path: str) -> dict[str, bytes]:
    """The files of an archive of a folder, by name below it."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(tar(guest, path)))) as archive:
        found = {}
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                found[member.name.partition("/")[2]] = file.read()
        return found


def test_every_file_reads_as_it_was_written(kept: tuple[str, Guest, dict[str, bytes]]) -> None:
    _, guest, files = kept
    assert {path: read(guest, TOP, *path.split("/")) for path in files} == files


def test_an_archive_of_the_volume_has_every_file(kept: tuple[str, Guest, dict[str, bytes]]) -> None:
    _, guest, files = kept
    found = unpacked(guest, TOP)
    found.pop("lost+found", None)
    assert found == files


def test_a_folder_is_listed_by_pages_that_join_without_gap(kept: tuple[str, Guest, dict[str, bytes]]) -> None:
    kind, guest, files = kept
    if kind in FLAT:
        pytest.skip("no folders")
    names, offset, total = [], 0, 1
    while offset < total:
        page, total = guest.page((TOP, "many"), offset=offset, limit=60)
        names += [entry.name for entry in page]
        offset += 60
    assert total == 250
    assert names == sorted(path.partition("/")[2] for path in files if path.startswith("many/"))


def test_folders_and_files_are_told_apart_with_their_sizes(kept: tuple[str, Guest, dict[str, bytes]]) -> None:
    _, guest, files = kept
    page, _ = guest.page((TOP,), wanted=lambda kind: kind is Kind.FILE)
    assert {entry.name: entry.facts.size for entry in page} == {
        path: len(data) for path, data in files.items() if "/" not in path
    }
    folders, _ = guest.page((TOP,), wanted=lambda kind: kind is Kind.FOLDER)
    expected = {path.partition("/")[0] for path in files if "/" in path}
    assert {entry.name for entry in folders} - {"lost+found"} == expected


def test_times_are_those_of_the_files(
    kept: tuple[str, Guest, dict[str, bytes]], content: tuple[Path, dict[str, bytes]]
) -> None:
    _, guest, _ = kept
    modified = guest.entry((TOP, "readme.txt")).facts.modified
    assert modified is not None
    assert abs(modified.timestamp() - (content[0] / "readme.txt").stat().st_mtime) < 120


def test_names_of_windows_file_systems_are_found_in_any_case(
    kept: tuple[str, Guest, dict[str, bytes]],
) -> None:
    kind, guest, files = kept
    if kind.startswith(("fat", "ntfs")):
        assert read(guest, TOP, "LARGE FILE.BIN") == files["Large file.bin"]
    else:
        with pytest.raises(NotFound, match=r"README\.TXT"):
            guest.entry((TOP, "README.TXT"))


@pytest.mark.parametrize(
    "path", [("nowhere",), ("readme.txt", "below"), ("..",), ("docs", "..", "readme.txt")]
)
def test_what_is_not_there_is_not_found(
    kept: tuple[str, Guest, dict[str, bytes]], path: tuple[str, ...]
) -> None:
    with pytest.raises(NotFound, match=path[0].replace(".", r"\.")):
        kept[1].entry((TOP, *path))


@pytest.mark.parametrize("table", ["dos", "gpt"])
def test_partitions_are_volumes(table: str, content: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    folder, files = content
    parts = [guests.make(kind, folder, tmp_path / kind) for kind in ("fat16", "ext4", "btrfs")]
    guest = opened(guests.partitioned(tmp_path / "disk.raw", table, parts))
    assert guest.volumes == ("Volume$0:", "Volume$1:", "Volume$2:")
    for volume in guest.volumes:
        assert unpacked(guest, volume) == files


def test_disks_of_one_vm_are_looked_through_in_order(
    content: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    (small / "only.txt").write_bytes(b"here")
    first = guests.make("ext4", small, tmp_path / "1.raw", 8)
    second = guests.make("fat16", content[0], tmp_path / "2.raw", 32)
    guest = opened(first, second)
    assert read(guest, "Volume$0:", "only.txt") == b"here"
    assert read(guest, "Volume$1:", "readme.txt") == b"hello\n"


@pytest.mark.parametrize("kind", ["ext2", "ext4", "btrfs"])
def test_holes_read_as_zeros(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    folder.mkdir()
    with (folder / "sparse").open("wb") as file:
        for place in (5_000_000, 21_000_000):
            file.seek(place)
            file.write(b"data" * 1000)
        file.truncate(30_000_001)
    guest = opened(guests.make(kind, folder, tmp_path / "disk.raw", 64))
    assert read(guest, TOP, "sparse") == (folder / "sparse").read_bytes()


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_links_are_shown_and_never_followed(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    (folder / "inside").mkdir(parents=True)
    (folder / "inside" / "file").write_bytes(b"x")
    long = "/".join(["a-long-way"] * 20)
    for name, target in {"out": "/etc", "up": "../../..", "loop": ".", "long": long}.items():
        (folder / name).symlink_to(target)
    guest = opened(guests.make(kind, folder, tmp_path / "disk.raw"))
    page, _ = guest.page((TOP,), wanted=lambda kind: kind is Kind.LINK)
    assert {entry.name: entry.target for entry in page} == {
        "long": long,
        "loop": ".",
        "out": "/etc",
        "up": "../../..",
    }
    with pytest.raises(NotFound):
        guest.entry((TOP, "loop", "inside", "file"))
    with pytest.raises(InvalidInput, match="is a link"):
        guest.open((TOP, "out"))
    assert unpacked(guest, TOP) == {"inside/file": b"x"}
    with tarfile.open(fileobj=io.BytesIO(b"".join(tar(guest, (TOP,))))) as archive:
        assert archive.getmember("Volume0/out").linkname == "/etc"


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_what_has_no_content_is_shown_and_left_out_of_archives(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    guest = opened(guests.make(kind, folder, tmp_path / "disk.raw"))
    assert guest.entry((TOP, "pipe")).kind is Kind.OTHER
    with pytest.raises(InvalidInput, match="no content"):
        guest.open((TOP, "pipe"))
    assert unpacked(guest, TOP) == {}


def test_names_of_any_bytes_have_a_name_to_ask_for(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    folder.mkdir()
    for name in (b"caf\xe9", b"new\nline", b"..\\..\\up", b"plain %0A"):
        (folder / os.fsdecode(name)).write_bytes(name)
    guest = opened(guests.make("ext4", folder, tmp_path / "disk.raw", 8))
    page, _ = guest.page((TOP,), wanted=lambda kind: kind is Kind.FILE)
    assert {entry.name: read(guest, *entry.path) for entry in page} == {
        "caf%E9": b"caf\xe9",
        "new%0Aline": b"new\nline",
        "..%5C..%5Cup": b"..\\..\\up",
        "plain %0A": b"plain %0A",
    }


def test_disks_without_a_file_system_say_so(tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(bytes(4 * guests.MIB))
    with pytest.raises(Unsupported, match="no file system"):
        opened(tmp_path / "disk.raw")
