"""Retention after runs, as an operator sees it: in the list of points, in the repository, and in a run's events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from restorium.catalog import jobs, manifests, points, tables
from restorium.flows import retention as flows
from restorium.vault import Vault
from restorium.vocabulary.errors import Conflict, NotFound, PointLocked, RestoriumError, StorageUnavailable
from restorium.vocabulary.retention import RetainBy, Retention
from restorium.vocabulary.sessions import SessionResult
from tests.support.flows import MIB, Site, digest, make_vm, overwrite


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, database_url)
    make_vm(made.images, "web", size_mib=4, data_mib=1)
    yield made
    made.close()


def _keep(site: Site, job_id: UUID, points: int) -> None:
    with site.database.write() as connection:
        jobs.retain(connection, job_id, Retention(RetainBy.CYCLES, points, 14))


def _repository(site: Site) -> Vault:
    with site.database.read() as connection:
        [job] = jobs.list_all(connection)
    return site.engine.vault(job.repository_id)


@pytest.mark.slow
def test_what_a_run_wrote_and_could_not_record_goes_with_the_next(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = site.set_up(["web"])
    site.engine.start()
    with monkeypatch.context() as broken:
        broken.setattr(points, "record", lambda *_, **__: 1 // 0)
        run = site.back_up(job_id)
    assert (run.result, site.points()) == (SessionResult.FAILED, [])
    assert len(_repository(site).points()) == 1
    site.back_up(job_id)
    assert _repository(site).points() == [point.vault_point for point in site.points()]


def test_run_removes_what_is_kept_no_longer_and_what_is_left_restores(site: Site) -> None:
    job_id = site.set_up(["web"])
    site.engine.start()
    site.back_up(job_id)
    site.back_up(job_id)
    assert len(site.points()) == 2  # without a policy, all is kept
    _keep(site, job_id, 2)
    overwrite(site.images / "web.raw", "raw", MIB, b"changed" * 1000)
    run = site.back_up(job_id)
    assert run.result is SessionResult.SUCCESS
    left = site.points()
    assert len(left) == 2
    assert _repository(site).points() == sorted(point.vault_point for point in left)
    assert any("Retention removed 1 restore points: nightly@" in event for event in site.events(run.id))
    for number, point in enumerate(left):
        session = site.restore(point.id, keep_original=True, new_name=f"again-{number}")
        assert session.result is SessionResult.SUCCESS, session.reason
    assert digest(site.images / "again-1.raw") == digest(site.images / "web.raw")
    _fails_then_catches_up(site, job_id)


def _fails_then_catches_up(site: Site, job_id: UUID) -> None:
    """A repository that refuses to delete fails no run; what it kept goes after the next one."""
    with pytest.MonkeyPatch.context() as broken:

        def refuse(*_: object) -> None:
            raise StorageUnavailable("read-only")

        broken.setattr(Vault, "delete_point", refuse)
        run = site.back_up(job_id)
    assert run.result is SessionResult.SUCCESS
    assert any("read-only" in event for event in site.events(run.id))
    assert (len(site.points()), len(_repository(site).points())) == (2, 3)
    site.back_up(job_id)
    assert _repository(site).points() == sorted(point.vault_point for point in site.points())


@pytest.mark.slow
def test_crash_between_catalog_and_repository_leaves_nothing_behind(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = site.set_up(["web"])
    site.engine.start()
    run = [site.back_up(job_id) for _ in range(3)][-1]
    _keep(site, job_id, 1)
    vault = _repository(site)
    *older, newest = [point.vault_point for point in site.points()]
    first, second = sorted(older)
    with monkeypatch.context() as dying:

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        dying.setattr(manifests, "removed", die)  # the first manifest is gone, and that not yet noted
        with pytest.raises(KeyboardInterrupt):
            flows.apply(site.engine, run.id)
    assert [point.vault_point for point in site.points()] == [newest]
    assert set(vault.points()) == {second, newest}
    for _ in range(2):
        flows.apply(site.engine, run.id)
        assert vault.points() == [newest]
    with site.database.read() as connection:
        job = jobs.get(connection, job_id)
        assert list(manifests.expired(connection, job.repository_id)) == []
    assert first not in vault.points()


@pytest.mark.slow
def test_one_point_is_removed_by_hand_and_the_others_restore_as_before(site: Site) -> None:
    make_vm(site.images, "mail", size_mib=4, data_mib=1)
    job_id = site.set_up(["web", "mail"])
    site.engine.start()
    site.back_up(job_id)
    overwrite(site.images / "web.raw", "raw", MIB, b"changed" * 1000)
    site.back_up(job_id)
    points = site.points()
    first_web, second_web = [point for point in points if point.vm_name == "web"]
    assert len(points) == 4
    flows.remove_point(site.engine, first_web.id)
    assert {point.id for point in site.points()} == {point.id for point in points} - {first_web.id}
    assert _repository(site).points() == sorted(point.vault_point for point in site.points())
    session = site.restore(second_web.id, keep_original=True, new_name="again")
    assert session.result is SessionResult.SUCCESS, session.reason
    assert digest(site.images / "again.raw") == digest(site.images / "web.raw")
    with pytest.raises(NotFound):
        flows.remove_point(site.engine, first_web.id)
    flows.remove_point(site.engine, second_web.id)
    assert site.back_up(job_id).result is SessionResult.SUCCESS, "the newest may go too"
    assert len(site.points()) == 4


def test_the_run_a_point_was_the_last_of_goes_with_it(site: Site) -> None:
    job_id = site.set_up(["web"])
    site.engine.start()
    site.back_up(job_id)
    flows.remove_point(site.engine, site.points()[0].id)
    with site.database.read() as connection:
        assert connection.execute(sa.select(tables.restore_points)).all() == []


@pytest.mark.slow
def test_a_point_that_is_read_or_kept_from_deletion_stays_and_says_why(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = site.set_up(["web"])
    site.engine.start()
    site.back_up(job_id)
    [point] = site.points()
    refused: list[RestoriumError] = []
    verify = Vault.verify_disk

    def reading(vault: Vault, *arguments: Any, **more: Any) -> Any:
        with pytest.raises(Conflict, match="being read by the restore session") as error:
            flows.remove_point(site.engine, point.id)
        refused.append(error.value)
        return verify(vault, *arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Vault, "verify_disk", reading)
        session = site.restore(point.id, keep_original=True, new_name="again")
    assert session.result is SessionResult.SUCCESS
    assert refused

    def locked(*_: object) -> None:
        raise PointLocked("not before tomorrow")

    with monkeypatch.context() as patched:
        patched.setattr(Vault, "check_deletable", locked)
        with pytest.raises(PointLocked):
            flows.remove_point(site.engine, point.id)
    assert [each.id for each in site.points()] == [point.id]
    assert _repository(site).points() == [point.vault_point]
