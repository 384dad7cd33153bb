"""Image files that are there already become restore points, and restore to the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from restorium.flows import hosts, importing, repositories
from restorium.vocabulary.errors import Conflict, DiskMissing, InvalidInput, NotFound
from restorium.vocabulary.sessions import SessionResult
from tests.support.disks import MIB, needs_qemu, pieces, qemu_img, read_all, write_sparse
from tests.support.flows import CALLER, KEY, Site, make_vm

SIZE = 8 * MIB


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    opened = Site(tmp_path, database_url)
    yield opened
    opened.close()


@pytest.fixture
def images(tmp_path: Path) -> tuple[list[str], list[bytes]]:
    """Paths and contents of a raw image and of a qcow2 image."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    contents = [write_sparse(folder / f"{number}.raw", SIZE, pieces(number, SIZE, 9)) for number in (0, 1)]
    qemu_img("convert", "-f", "raw", "-O", "qcow2", folder / "1.raw", folder / "1.qcow2")
    return [str(folder / "0.raw"), str(folder / "1.qcow2")], contents


@needs_qemu
@pytest.mark.slow
def test_imported_images_are_restored_as_a_vm_of_the_host(
    site: Site, images: tuple[list[str], list[bytes]]
) -> None:
    files, contents = images
    host_id, repository_id = _places(site)
    site.engine.start()
    session = site.job_ended(importing.start(site.engine, repository_id, host_id, "found", files, CALLER))
    assert (session.result, session.progress) == (SessionResult.SUCCESS, 100), session.reason
    assert session.name.startswith("Import found@")
    [point] = site.points("found")
    restored = site.restore(point.id, keep_original=True, new_name="again")
    assert restored.result is SessionResult.SUCCESS, restored.reason
    found = sorted(path for path in site.images.iterdir() if path.name.startswith("again-disk"))
    assert [path.suffix for path in found] == [".raw", ".qcow2"]
    assert [read_all(path) for path in found] == contents


@needs_qemu
def test_what_cannot_be_imported_is_told_at_once(site: Site, images: tuple[list[str], list[bytes]]) -> None:
    files, _ = images
    host_id, repository_id = _places(site)

    def start(name: str = "found", paths: list[str] = files) -> None:
        importing.start(site.engine, repository_id, host_id, name, paths, CALLER)

    with pytest.raises(Conflict, match="'web'"):
        start(name="web")
    with pytest.raises(InvalidInput, match="no name"):
        start(name=" ")
    with pytest.raises(InvalidInput, match="no image file"):
        start(paths=[])
    with pytest.raises(InvalidInput, match=r"'0\.raw' is no absolute path"):
        start(paths=["0.raw"])
    with pytest.raises(DiskMissing, match="nowhere"):
        start(paths=["/nowhere/disk.raw"])
    with pytest.raises(NotFound):
        importing.start(site.engine, host_id, host_id, "found", files, CALLER)
    assert site.points() == []


def _places(site: Site) -> tuple[UUID, UUID]:
    """A host with the VM web, and a repository."""
    make_vm(site.images, "web", size_mib=4, data_mib=1)
    host_id = hosts.add(site.engine, "image-folder", "lab", str(site.images))
    repository_id = repositories.add(site.engine, "main", (site.folder / "vault").as_uri(), KEY, None)
    return host_id, repository_id
