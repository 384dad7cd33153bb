"""Jobs and restores of VMs under QEMU: lists of changes that are wrong or of another disk, and VMs that run."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from restorium.catalog import job_sessions
from restorium.catalog.listing import Row
from restorium.flows import hosts, jobs, repositories
from restorium.vocabulary.sessions import SessionResult
from tests.support.disks import qemu_img
from tests.support.flows import KEY, MIB, Site
from tests.support.labs.qemu import QemuLab

pytestmark = pytest.mark.slow

_SIZE = 24 * MIB


class Estate:
    """A VM of two disks, and a job of it."""

    def __init__(self, folder: Path) -> None:
        self.lab = QemuLab(folder)
        self.site = Site(folder, f"sqlite:///{folder}/catalog.db")
        self.contents = {
            "disk0": random.Random(1).randbytes(_SIZE),
            "disk1": random.Random(2).randbytes(2 * MIB),
        }
        self.ref = self.lab.add_vm("web", self.contents)
        host_id = hosts.add(self.site.engine, "qemu", "lab", self.lab.address)
        repository_id = repositories.add(self.site.engine, "main", (folder / "vault").as_uri(), KEY)
        self.job_id = jobs.add(self.site.engine, "nightly", repository_id, [(host_id, self.ref)])
        self.site.engine.start()

    def back_up(self) -> tuple[UUID, int]:
        """One run, which must succeed: its session, and the bytes read."""
        session = self.site.back_up(self.job_id)
        [task] = self.site.tasks(session.id).values()
        assert session.result is SessionResult.SUCCESS, task.reason
        return session.id, task.read_bytes

    def told(self, session_id: UUID) -> str:
        with self.site.database.read() as connection:
            return "\n".join(event.message for event in job_sessions.events(connection, session_id))

    def restored(self) -> dict[str, bytes]:
        """What the newest point holds."""
        session = self.site.restore(self.newest().id, keep_original=True)
        assert session.result is SessionResult.SUCCESS, session.reason
        return self.lab.contents(session.restored_ref)

    def newest(self) -> Row:
        return self.site.points()[-1]

    def write(self, offset: int, data: bytes) -> None:
        self.lab.write(self.ref, "disk0", offset, data)
        disk = self.contents["disk0"]
        self.contents["disk0"] = disk[:offset] + data + disk[offset + len(data) :]

    def close(self) -> None:
        self.site.close()
        self.lab.close()


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    made = Estate(tmp_path)
    yield made
    made.close()


def test_a_change_that_no_bitmap_has_is_found_and_the_disk_read_whole(estate: Estate) -> None:
    """Bytes of the image are changed behind QEMU's back, as by a storage that was put back."""
    estate.back_up()
    image = estate.lab.file(estate.ref, "disk0")
    offset = 9 * MIB
    [place] = [
        each["offset"] + offset - each["start"]
        for each in json.loads(qemu_img("map", "--output=json", image))
        if each["start"] <= offset < each["start"] + each["length"]
    ]
    with image.open("r+b") as file:
        file.seek(place)
        file.write(b"liar" * 128)
    disk = estate.contents["disk0"]
    estate.contents["disk0"] = disk[:offset] + b"liar" * 128 + disk[offset + 512 :]
    for _ in range(10):  # each looks at two thirds of the disk
        session_id, read = estate.back_up()
        if "list of changes is wrong" in estate.told(session_id):
            break
    assert "list of changes is wrong" in estate.told(session_id)
    assert read >= _SIZE
    assert estate.restored() == estate.contents


def test_a_disk_that_is_added_is_read_whole_and_the_others_are_not(estate: Estate) -> None:
    estate.back_up()
    added = random.Random(3).randbytes(MIB)
    other = estate.lab.add_vm("other", {"added": added})
    estate.lab.file(other, "added").rename(estate.lab.folder / "added.qcow2")
    (estate.lab.folder / "other.vm.toml").unlink()
    with (estate.lab.folder / f"{estate.ref}.vm.toml").open("a") as file:
        file.write('\n[[disk]]\nkey = "added"\nfile = "added.qcow2"\nformat = "qcow2"\n')
    session_id, read = estate.back_up()
    assert "read whole" not in estate.told(session_id), "nothing was lost"
    assert MIB <= read < _SIZE, "the new disk, and samples of the others"
    assert estate.restored() == estate.contents | {"added": added}


@pytest.mark.parametrize("runs", [True, False], ids=["runs", "off"])
def test_a_disk_that_grew_is_read_whole_and_says_why(estate: Estate, runs: bool) -> None:
    if runs:
        estate.lab.start(estate.ref)
    estate.back_up()
    image = estate.lab.file(estate.ref, "disk0")
    if runs:
        with estate.lab.qmp(estate.ref) as qmp:
            size = {"device": estate.lab.device(qmp, image), "size": _SIZE + MIB}
            qmp.execute("block_resize", size)
    else:
        qemu_img("resize", "-f", "qcow2", image, str(_SIZE + MIB))
    estate.contents["disk0"] += bytes(MIB)
    estate.write(_SIZE, b"new")
    session_id, read = estate.back_up()
    assert "disk0 of web is read whole: it had 25,165,824 bytes" in estate.told(session_id)
    assert read >= _SIZE
    assert estate.restored() == estate.contents
    session_id, read = estate.back_up()
    assert "read whole" not in estate.told(session_id), "the next one is an increment again"


@pytest.mark.parametrize("quick", [False, True], ids=["whole", "quick-rollback"])
def test_a_running_vm_is_replaced_and_started_again(estate: Estate, quick: bool) -> None:
    estate.lab.start(estate.ref)
    estate.back_up()
    before = dict(estate.contents)
    estate.write(5 * MIB, b"changed" * 100)
    session = estate.site.restore(estate.newest().id, quick_rollback=quick, power_on=True)
    assert session.result is SessionResult.SUCCESS, session.reason
    assert session.restored_ref == estate.ref
    assert estate.lab.contents(estate.ref) == before
    assert estate.lab.runs(estate.ref)
    assert not estate.lab.leftovers()
    estate.contents = before
    session_id, _ = estate.back_up()
    assert "not the disk of the last backup" in estate.told(session_id)
    assert estate.restored() == before
