"""Disk images with file systems in them, made by the tools that guests use, without root and without mounts."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from restorium.catalog import backups, jobs, points
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Row, Visibility
from restorium.disks.formats import open_disk
from restorium.flows import repositories
from restorium.flows.engine import Engine
from restorium.vault import Key, PointDescription
from restorium.vocabulary.hierarchy import Platform
from tests.support.estate import add_host, vm_point
from tests.support.waiting import wait_until

MIB = 1 << 20
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def run(program: str, *arguments: object, stdin: str | None = None) -> None:
    subprocess.run(
        [program, *map(str, arguments)],
        check=True,
        capture_output=True,
        env={**os.environ, "PATH": _PATH, "MTOOLS_SKIP_CHECK": "1"},
        input=None if stdin is None else stdin.encode(),
    )


def tree(folder: Path) -> dict[str, bytes]:
    """A tree of files in ``folder``; gives their content by path. All its names can be on any file system."""
    source = random.Random(7)
    content = {
        "readme.txt": b"hello\n",
        "Empty": b"",
        "Large file.bin": source.randbytes(2 * MIB + 17),
        "docs/grüße ☃.txt": b"snow",
        "docs/deep/deeper/deepest/end.dat": source.randbytes(70_000),
    }
    content |= {f"many/file-{number:03}": str(number).encode() for number in range(250)}
    for path, data in content.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return content


def make(kind: str, folder: Path, image: Path, size_mib: int = 64) -> Path:
    """A file system ``kind`` with all that is in ``folder``, as a whole disk."""
    with image.open("wb") as file:
        file.truncate(max(size_mib, {"xfs": 300, "btrfs": 128}.get(kind, 0)) * MIB)
    match kind:
        case "ext2" | "ext3" | "ext4":
            options = ["-b", 1024] if kind == "ext2" else []
            run(f"mkfs.{kind}", "-q", "-F", *options, "-d", folder, image)
        case "xfs":
            run("mkfs.xfs", "-q", "-p", _prototype(folder, image.with_suffix(".proto")), image)
        case "btrfs":
            run("mkfs.btrfs", "-q", "--rootdir", folder, image)
        case "fat12" | "fat16" | "fat32":
            sectors = {"fat12": 64, "fat16": 4, "fat32": 1}[kind]
            run("mkfs.fat", "-F", kind.removeprefix("fat"), "-s", sectors, image)
            run("mcopy", "-s", "-i", image, *sorted(folder.iterdir()), "::")
        case "ntfs":
            _ntfs(folder, image)
        case "ntfs-3g":
            _ntfs_by_driver(folder, image)
    return image


def partitioned(image: Path, table: str, parts: list[Path]) -> Path:
    """A disk with these file systems in partitions. table: ``dos`` or ``gpt``."""
    start, script = MIB, [f"label: {table}"]
    for part in parts:
        script.append(f"start={start // 512}, size={part.stat().st_size // 512}")
        start += part.stat().st_size
    with image.open("wb") as file:
        file.truncate(start + MIB)
    run("sfdisk", image, stdin="\n".join(script) + "\n")
    start = MIB
    for part in parts:
        run("dd", f"if={part}", f"of={image}", "bs=1M", f"seek={start // MIB}", "conv=notrunc,sparse")
        start += part.stat().st_size
    return image


def _prototype(folder: Path, proto: Path) -> Path:
    """The tree in mkfs.xfs's own language, which knows no names with spaces: they are left out."""
    lines = ["-", "0 0", "d--755 0 0"]

    def add(below: Path) -> None:
        for path in sorted(below.iterdir()):
            if path.is_symlink():
                lines.append(f"{path.name} l--777 0 0 {path.readlink()}")
            elif path.is_dir():
                lines.append(f"{path.name} d--755 0 0")
                add(path)
                lines.append("$")
            elif path.is_fifo():
                lines.append(f"{path.name} p--644 0 0")
            elif " " not in path.name:
                lines.append(f"{path.name} ---644 0 0 {path}")

    add(folder)
    lines.append("$")
    proto.write_text("\n".join(lines) + "\n")
    return proto


def _ntfs(folder: Path, image: Path) -> None:
    run("mkntfs", "-q", "-F", "-f", image)
    for path in sorted(folder.iterdir()):
        if path.is_file():
            run("ntfscp", "-q", image, path, path.name)


def drivers_work() -> bool:
    """Whether a file system can be mounted without the kernel's own."""
    return os.access("/dev/fuse", os.R_OK | os.W_OK) and shutil.which("ntfs-3g", path=_PATH) is not None


def _ntfs_by_driver(folder: Path, image: Path) -> None:
    run("mkntfs", "-q", "-F", "-f", image)
    place = image.with_suffix(".mounted")
    place.mkdir()
    driver = subprocess.Popen(
        ["ntfs-3g", "-o", "no_detach", image, place],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PATH": _PATH},
    )
    try:
        wait_until(lambda: driver.poll() is not None or place.is_mount(), timeout=20)
        if not place.is_mount():
            pytest.skip("ntfs-3g may not mount here")
        shutil.copytree(folder, place, dirs_exist_ok=True)
    finally:
        if place.is_mount():
            run("fusermount", "-u", place)
        driver.wait(60)


def copy(source: Path, target: Path) -> Path:
    return Path(shutil.copyfile(source, target))


def keep(engine: Engine, folder: Path, vms: Mapping[str, Sequence[Path]]) -> dict[str, Row]:
    """Back the disks of these VMs up, without a flow; gives their VM restore points by name."""
    url = (folder / "vault").as_uri()
    repository_id = repositories.add(engine, "main", url, Key.raw(b"not a secret, but as long as one"))
    vault = engine.vault(repository_id)
    with engine.database.write() as connection:
        host = add_host(connection)
        wanted = [JobVm(host.id, f"vm-{number}", name) for number, name in enumerate(vms)]
        job = jobs.add(
            connection, name="nightly", repository_id=repository_id, platform=Platform.VMWARE, vms=wanted
        )
    made = []
    for vm in wanted:
        with vault.backup() as writer:
            records = []
            for number, path in enumerate(vms[vm.vm_name]):
                with open_disk(path) as reader:
                    records.append(
                        writer.write_disk(f"disk{number}", reader, None, lambda _: None, lambda: False)
                    )
            described = {"name": vm.vm_name, "settings": {}, "disks": []}
            name = writer.commit(PointDescription(described, engine.clock.now(), tuple(records)))
        made.append(vm_point(vm, name))
    with engine.database.write() as connection:
        points.record(
            connection,
            restore_point_id=engine.clock.new_id(),
            backup_id=backups.ensure(connection, job.id).id,
            name="nightly",
            created_at=engine.clock.now(),
            vms=made,
        )
        found = points.vm_listing.page(connection, visible=Visibility.everything())
    return {point.vm_name: point for point in found}
