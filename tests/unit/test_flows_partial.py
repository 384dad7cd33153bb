"""A VM of several disks of which one is lost: the others are restored, and everything says so."""

from __future__ import annotations

import json
import random
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from restorium.catalog import repositories
from restorium.catalog.tables import evidence, restore_rates
from restorium.disks.raw import RawReader
from restorium.flows import jobs, maintenance, restore_plan
from restorium.hosts.image_folder.target import ImageFolderTarget
from restorium.vault import Vault
from restorium.vocabulary.errors import NotFound
from restorium.vocabulary.restore import RestoreSpec
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.flows import MIB, Site, digest, files, make_vm

_SHARED = random.Random("shared").randbytes(2 * MIB)


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    opened = Site(tmp_path, database_url)
    yield opened
    opened.close()


@pytest.fixture
def point(site: Site) -> UUID:
    """A restore point of a VM web whose disk ``data`` needs the first pack, and whose ``disk0`` does not."""
    site.images.mkdir(exist_ok=True)
    (site.images / "old.raw").write_bytes(_SHARED)
    (site.images / "old.vm.toml").write_text('name = "old"\n[[disk]]\nkey = "only"\nfile = "old.raw"\n')
    first = site.set_up(["old"])
    site.engine.start()
    assert site.back_up(first).result is SessionResult.SUCCESS
    make_vm(site.images, "web")
    (site.images / "web-data.raw").write_bytes(_SHARED + random.Random("own").randbytes(MIB))
    with (site.images / "web.vm.toml").open("a") as description:
        description.write('\n[[disk]]\nkey = "data"\nfile = "web-data.raw"\nformat = "raw"\n')
    with site.database.read() as connection:
        [repository] = repositories.list_all(connection)
    host_id = site.points("old")[0].host_id
    second = jobs.add(site.engine, "all", repository.id, [(host_id, "web")])
    assert site.back_up(second).result is SessionResult.SUCCESS
    point_id: UUID = site.points("web")[0].id
    return point_id


def _first_pack(site: Site) -> Path:
    return min((site.folder / "vault" / "packs").glob("*/*"), key=lambda path: path.stat().st_mtime_ns)


def _lose(site: Site) -> None:
    _first_pack(site).unlink()


def _damage(site: Site) -> None:
    pack = _first_pack(site)
    content = bytearray(pack.read_bytes())
    content[MIB] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)


_LOSSES = {"chunk-missing": _lose, "data-corrupt": _damage}
_CODES = ["chunk-missing", pytest.param("data-corrupt", marks=pytest.mark.slow)]


@pytest.mark.parametrize("code", _CODES)
def test_the_disks_that_can_be_are_restored_beside_the_original(site: Site, point: UUID, code: str) -> None:
    names = files(site.images)
    _LOSSES[code](site)
    session = site.restore(point, keep_original=True, new_name="copy")
    assert (session.state, session.result, session.progress, session.reason_code) == (
        SessionState.STOPPED,
        SessionResult.WARNING,
        100,
        code,
    )
    assert session.reason.startswith("1 of 2 disks are restored, as copy: ")
    kept, lost = site.disks(session.id)
    assert (kept.disk_key, kept.result, kept.reason) == ("disk0", SessionResult.SUCCESS, None)
    assert (lost.disk_key, lost.result, lost.digest) == ("data", SessionResult.FAILED, None)
    assert "bytes" in lost.reason
    assert session.planned_bytes == session.done_bytes
    assert digest(site.images / "copy-disk0.raw") == digest(site.images / "web.raw")
    assert files(site.images) == names | {"copy-disk0.raw", "copy.vm.toml"}
    description = tomllib.loads((site.images / "copy.vm.toml").read_text())
    assert description["left_out"] == ["data"]
    assert [disk["key"] for disk in description["disk"]] == ["disk0"]
    with site.database.read() as connection:
        document = connection.execute(sa.select(evidence.c.document)).scalar_one()
    record = json.loads(document)["record"]
    assert record["result"] == "Warning"
    assert {disk["key"]: disk["result"] for disk in record["disks"]} == {"disk0": "Success", "data": "Failed"}


@pytest.mark.slow
@pytest.mark.parametrize("code", _CODES)
def test_a_part_never_takes_the_place_of_the_original(site: Site, point: UUID, code: str) -> None:
    names = files(site.images)
    before = {name: (site.images / name).read_bytes() for name in names}
    _LOSSES[code](site)
    session = site.restore(point)
    assert (session.result, session.reason_code) == (SessionResult.WARNING, code)
    made = session.restored_ref
    assert made.startswith("web-2")
    assert f"as {made}" in session.reason
    assert files(site.images) == names | {f"{made}-disk0.raw", f"{made}.vm.toml"}
    assert {name: (site.images / name).read_bytes() for name in names} == before
    assert any("original stays as it is" in event for event in site.events(session.id))


@pytest.mark.slow
def test_a_vm_without_one_good_disk_fails_and_leaves_nothing(site: Site, point: UUID) -> None:
    names = files(site.images)
    for pack in (site.folder / "vault" / "packs").glob("*/*"):
        if pack.stat().st_size > MIB:
            pack.unlink()
    session = site.restore(point, keep_original=True)
    assert (session.result, session.reason_code) == (SessionResult.FAILED, "chunk-missing")
    assert [disk.result for disk in site.disks(session.id)] == [SessionResult.FAILED] * 2
    assert files(site.images) == names


@pytest.mark.slow
def test_a_disk_that_reads_back_otherwise_is_left_out(
    site: Site, point: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify: Callable[..., str] = Vault.verify_disk

    def spoilt(vault: Vault, disk: Any, reader: RawReader, **options: Any) -> str:
        if disk.key == "data":
            [image] = site.images.glob(".restorium-*.1.raw")
            with image.open("r+b") as file:
                file.write(b"bad sector")
        return verify(vault, disk, reader, **options)

    monkeypatch.setattr(Vault, "verify_disk", spoilt)
    session = site.restore(point, keep_original=True, new_name="copy")
    assert (session.result, session.reason_code) == (SessionResult.WARNING, "verification-failed")
    assert "disk 'data', bytes 0 to" in session.reason
    assert [disk.result for disk in site.disks(session.id)] == [SessionResult.SUCCESS, SessionResult.FAILED]


def _planned(site: Site, point: UUID, **spec: Any) -> restore_plan.RestorePlan:
    return restore_plan.plan(
        site.engine, RestoreSpec(point, **spec), lambda phase, done, total: None, lambda: False
    )


def test_a_plan_tells_the_disks_that_would_be_left_out_and_where(site: Site, point: UUID) -> None:
    names = files(site.images)
    whole = _planned(site, point)
    assert (whole.ok, whole.expected, whole.target_name) == (True, SessionResult.SUCCESS, None)
    assert [(disk.disk_key, disk.missing_chunks) for disk in whole.disks] == [("disk0", 0), ("data", 0)]
    _lose(site)
    plan = _planned(site, point)
    assert (plan.ok, plan.expected) == (False, SessionResult.WARNING)
    assert plan.target_name is not None, "a part is made beside the original"
    kept, lost = plan.disks
    assert (kept.problem, kept.data_bytes) == (None, plan.needed_bytes)
    assert [(span.start, span.end) for span in lost.missing] == [(0, 2 * MIB)]
    assert lost.missing_chunks == 8
    assert [problem.code for problem in plan.problems] == ["chunk-missing"]
    assert files(site.images) == names
    session = site.restore(point)
    assert (session.result, session.restored_ref) == (SessionResult.WARNING, plan.target_name)
    assert plan.estimated_seconds is None, "nothing was measured yet"
    with site.database.write() as connection:
        connection.execute(sa.update(restore_rates).values(copy_rate=MIB, verify_rate=2 * MIB))
    estimated = _planned(site, point).estimated_seconds
    assert estimated == pytest.approx(1.5 * plan.needed_bytes / MIB)


@pytest.mark.slow
def test_a_plan_tells_each_thing_in_the_way(site: Site, point: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFolderTarget, "free_bytes", lambda target: MIB)
    plan = _planned(site, point)
    assert (plan.expected, [problem.code for problem in plan.problems]) == (
        SessionResult.FAILED,
        ["target-full"],
    )
    plan = _planned(site, point, keep_original=True, new_name="old")
    assert [problem.code for problem in plan.problems] == ["target-exists"]
    assert [disk.disk_key for disk in plan.disks] == ["disk0", "data"], "the disks are looked at all the same"
    site.images.rename(site.folder / "away")
    plan = _planned(site, point)
    assert [problem.code for problem in plan.problems] == ["host"]
    assert all(problem.hint for problem in plan.problems)
    with pytest.raises(NotFound):
        _planned(site, UUID(int=5))


@pytest.mark.slow
def test_a_plan_of_a_point_that_was_found_damaged_says_so(site: Site, point: UUID) -> None:
    _damage(site)
    repository_id = site.points("web")[0].repository_id
    maintenance.verify(
        site.engine,
        repository_id,
        lambda phase, done, total: None,
        lambda: False,
        read_data=True,
        quarantine=False,
    )
    plan = _planned(site, point)
    assert not plan.ok
    assert [problem.code for problem in plan.problems] == ["data-corrupt"]
    assert plan.data_verified
