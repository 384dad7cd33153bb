"""Which restore points retention takes out of the catalog, and which it never does."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from restorium.catalog import backups, manifests, points, restore_sessions, retention
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Row, Visibility
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.retention import RetainBy, Retention
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.clock import START, ManualClock
from tests.support.estate import add_host, add_job, record_point

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
"""Manifests of the estate are named by the time of day."""
EVERYTHING = Visibility.everything()


def by_points(number: int) -> Retention:
    return Retention(RetainBy.CYCLES, number, 1)


def by_days(number: int) -> Retention:
    return Retention(RetainBy.DAYS, 1, number)


class Kept:
    """A job of two VMs, with a restore point a day up to the clock's present."""

    def __init__(self, database: Database, clock: ManualClock, days: int = 5) -> None:
        self.database = database
        with database.write() as connection:
            host = add_host(connection)
            self.vms = [JobVm(host.id, f"vm-{number}", f"vm {number}") for number in (1, 2)]
            self.job = add_job(connection, self.vms)
        for number in range(days):
            self.add(number + 1, START + number * (DAY + SECOND), self.vms)
        clock.advance((days - 1) * DAY.total_seconds() + 60)
        with database.write() as connection:
            self.backup = backups.ensure(connection, self.job.id)

    def add(self, number: int, at: datetime, vms: list[JobVm]) -> list[Row]:
        with self.database.write() as connection:
            return record_point(connection, self.job, vms, UUID(int=number), at)

    def apply(self, policy: Retention) -> list[int]:
        """Numbers of the points that are left, oldest first."""
        with self.database.write() as connection:
            retention.expire(connection, self.backup.id, policy)
        return self.left()

    def left(self) -> list[int]:
        with self.database.read() as connection:
            found = points.restore_listing.page(connection, order=[("created_at", False)], visible=EVERYTHING)
        return [point.id.int for point in found]

    def vm_points(self) -> list[Row]:
        with self.database.read() as connection:
            return list(points.vm_listing.page(connection, order=[("created_at", False)], visible=EVERYTHING))

    def manifests(self) -> list[str]:
        with self.database.read() as connection:
            return list(manifests.expired(connection, self.job.repository_id))


@pytest.fixture
def kept(database: Database, clock: ManualClock) -> Kept:
    return Kept(database, clock)


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        (by_points(5), [1, 2, 3, 4, 5]),
        (by_points(3), [3, 4, 5]),
        (by_points(1), [5]),
        (by_days(9), [1, 2, 3, 4, 5]),
        (by_days(2), [4, 5]),
        (by_days(1), [5]),
    ],
)
def test_policy_keeps_so_many_points_or_days(kept: Kept, policy: Retention, left: list[int]) -> None:
    gone = [vm.vault_point for vm in kept.vm_points() if vm.restore_point_id.int not in left]
    assert kept.apply(policy) == left
    assert kept.manifests() == sorted(gone)
    assert {vm.restore_point_id.int for vm in kept.vm_points()} == set(left)
    with kept.database.read() as connection:
        files = points.file_listing.page(connection, visible=EVERYTHING)
    assert {each.restore_point_id.int for each in files} == set(left)
    assert kept.apply(policy) == left
    assert kept.manifests() == sorted(gone)


def test_last_point_stays_however_old_it_is(kept: Kept, clock: ManualClock) -> None:
    clock.advance(1000 * DAY.total_seconds())
    assert kept.apply(by_days(1)) == [5]


def test_last_point_of_each_vm_stays(kept: Kept) -> None:
    """The second VM has failed ever since: what there is of it must not go because the first has newer points."""
    for number in range(6, 10):
        kept.add(number, START + number * (DAY + SECOND), kept.vms[:1])
    assert kept.apply(by_points(2)) == [4, 5, 8, 9]
    assert kept.apply(by_points(1)) == [5, 9]


def test_point_that_a_restore_reads_stays_until_that_has_ended(kept: Kept) -> None:
    second = next(vm for vm in kept.vm_points() if vm.restore_point_id.int == 2)
    with kept.database.write() as connection:
        session = restore_sessions.create(
            connection,
            point=second,
            spec=RestoreSpec(second.id, keep_original=True),
            caller=Caller("operator"),
        )
    assert kept.apply(by_points(1)) == [2, 5]
    assert second.vault_point not in kept.manifests()
    with kept.database.write() as connection:
        restore_sessions.advance(connection, session.id, SessionState.STOPPED, result=SessionResult.FAILED)
    assert kept.apply(by_points(1)) == [5]
    assert second.vault_point in kept.manifests()
    with kept.database.read() as connection:
        assert restore_sessions.get(connection, session.id).vm_restore_point_name == second.name


def test_backups_of_other_jobs_are_left_alone(kept: Kept, database: Database) -> None:
    with database.write() as connection:
        other = add_job(connection, kept.vms, "other")
        record_point(connection, other, kept.vms, UUID(int=100), START + 7 * SECOND)
        record_point(connection, other, kept.vms, UUID(int=101), START + 8 * SECOND)
    assert set(kept.apply(by_points(1))) == {5, 100, 101}


def test_manifests_are_noted_until_they_are_removed(kept: Kept) -> None:
    kept.apply(by_points(4))
    first, second = kept.manifests()
    for _ in range(2):
        with kept.database.write() as connection:
            manifests.removed(connection, kept.job.repository_id, first)
        assert kept.manifests() == [second]
