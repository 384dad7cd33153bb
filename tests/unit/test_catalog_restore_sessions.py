"""Restore sessions beyond their state machine: asked for, followed, cancelled and found again."""

from __future__ import annotations

import threading
from uuid import UUID

import pytest
import sqlalchemy as sa

from restorium.catalog import jobs, points, restore_sessions, tables
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Row, Visibility
from restorium.catalog.restore_sessions import NewDisk
from restorium.vocabulary.errors import Conflict, IllegalTransition, NotFound
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.sessions import RestoreKind, RestorePhase, SessionResult, SessionState
from tests.support.clock import START, ManualClock
from tests.support.estate import add_host, add_job, record_point

EVERYTHING = Visibility.everything()
CALLER = Caller("jo", "192.0.2.7")
NOWHERE = UUID(int=404)


@pytest.fixture
def point(database: Database) -> Row:
    with database.write() as connection:
        vm = JobVm(add_host(connection).id, "vm-1", "db7")
        return record_point(connection, add_job(connection, [vm]), [vm], UUID(int=9), START)[0]


def _create(database: Database, point: Row, key: str | None = None, caller: Caller = CALLER) -> Row:
    with database.write() as connection:
        return restore_sessions.create(
            connection, point=point, spec=RestoreSpec(point.id), caller=caller, idempotency_key=key
        )


def test_a_new_session_says_who_asked_for_what(database: Database, point: Row) -> None:
    spec = RestoreSpec(point.id, power_on=True, keep_original=True, new_name="db7-copy")
    with database.write() as connection:
        created = restore_sessions.create(connection, point=point, spec=spec, caller=CALLER)
    with database.read() as connection:
        row = restore_sessions.listing.one(connection, created.id, EVERYTHING)
        assert restore_sessions.spec_of(restore_sessions.get(connection, created.id)) == spec
    assert row is not None
    assert (row.state, row.result, row.progress, row.phase) == (
        SessionState.STARTING,
        SessionResult.NONE,
        0,
        RestorePhase.QUEUED,
    )
    assert (row.created_at, row.ended_at, row.job_type) == (START, None, RestoreKind.VM)
    assert (row.requested_by, row.requested_from) == ("jo", "192.0.2.7")
    assert (row.vm_restore_point_id, row.vm_restore_point_name) == (point.id, point.name)
    assert (row.vm_name, row.vm_ref, row.host_id) == ("db7", "vm-1", point.host_id)


def test_one_key_starts_one_restore(database: Database, point: Row) -> None:
    first = _create(database, point, "k1")
    assert _create(database, point, "k1").id == first.id
    assert _create(database, point, "k2").id != first.id
    assert _create(database, point, "k1", Caller("someone else")).id != first.id
    assert _create(database, point).id != _create(database, point).id


def test_one_key_for_two_different_restores_is_refused(database: Database, point: Row) -> None:
    first = _create(database, point, "k1")
    other = RestoreSpec(point.id, power_on=True)
    with pytest.raises(Conflict, match=str(first.id)), database.write() as connection:
        restore_sessions.create(connection, point=point, spec=other, caller=CALLER, idempotency_key="k1")


def test_one_key_from_many_threads_starts_one_restore(database: Database, point: Row) -> None:
    made: list[UUID] = []
    threads = [
        threading.Thread(target=lambda: made.append(_create(database, point, "k1").id)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6
    assert len(set(made)) == 1


def test_a_failure_keeps_its_reason_and_its_progress(
    database: Database, point: Row, clock: ManualClock
) -> None:
    session_id = _create(database, point).id
    with database.write() as connection:
        restore_sessions.plan(connection, session_id, [NewDisk("disk-0", 4000, 1000)])
        restore_sessions.advance(connection, session_id, SessionState.WORKING)
        restore_sessions.enter_phase(connection, session_id, RestorePhase.COPYING)
        restore_sessions.take(connection, session_id, "w1")
        restore_sessions.record_disk(connection, session_id, "disk-0", checkpoint=64, copied_bytes=500)
        clock.advance(5)
        restore_sessions.advance(
            connection,
            session_id,
            SessionState.STOPPED,
            result=SessionResult.FAILED,
            reason_code="target-full",
            reason="no space in /srv",
            hint="Free space.",
        )
        row = restore_sessions.get(connection, session_id)
    assert (row.reason_code, row.reason, row.hint) == ("target-full", "no space in /srv", "Free space.")
    assert (row.phase, row.hold, row.done_bytes, row.planned_bytes) == (
        RestorePhase.COPYING,
        "w1",
        250,
        1000,
    )
    assert row.progress == 25
    assert (row.ended_at - row.created_at).total_seconds() == 5


def test_a_stopped_session_does_not_change_any_more(database: Database, point: Row) -> None:
    session_id = _create(database, point).id
    with database.write() as connection:
        restore_sessions.plan(connection, session_id, [NewDisk("disk-0", 4000, 1000)])
        restore_sessions.advance(
            connection, session_id, SessionState.STOPPED, result=SessionResult.FAILED, reason_code="cancelled"
        )
        stopped = restore_sessions.get(connection, session_id)
        restore_sessions.enter_phase(connection, session_id, RestorePhase.VERIFYING, restored_ref="vm-2")
        restore_sessions.record_disk(connection, session_id, "disk-0", copied_bytes=1000)
        with pytest.raises(IllegalTransition, match="Stopped"):
            restore_sessions.advance(connection, session_id, SessionState.WORKING)
        after = restore_sessions.get(connection, session_id)
        assert {**after._mapping, "change": stopped.change} == dict(stopped._mapping)


def test_disks_are_planned_once_and_known_by_their_keys(database: Database, point: Row) -> None:
    session_id = _create(database, point).id
    with database.write() as connection:
        for _ in range(2):
            restore_sessions.plan(connection, session_id, [NewDisk("b", 10, 5), NewDisk("a", 20, 15)])
        restore_sessions.record_disk(
            connection, session_id, "a", verified_bytes=15, result=SessionResult.SUCCESS
        )
        disks = restore_sessions.disks(connection, session_id)
        assert [(disk.disk_key, disk.size, disk.planned_bytes) for disk in disks] == [
            ("b", 10, 5),
            ("a", 20, 15),
        ]
        assert [disk.result for disk in disks] == [SessionResult.NONE, SessionResult.SUCCESS]
        assert restore_sessions.get(connection, session_id).planned_bytes == 20
        with pytest.raises(NotFound, match="'c'"):
            restore_sessions.record_disk(connection, session_id, "c", copied_bytes=1)


def test_a_cancel_is_a_wish_until_the_session_has_stopped(database: Database, point: Row) -> None:
    session_id = _create(database, point).id
    with database.write() as connection:
        assert not restore_sessions.get(connection, session_id).cancel_requested
        for _ in range(2):
            assert restore_sessions.request_cancel(connection, session_id).state is SessionState.STARTING
        assert restore_sessions.get(connection, session_id).cancel_requested
        restore_sessions.advance(connection, session_id, SessionState.STOPPED, result=SessionResult.FAILED)
        with pytest.raises(IllegalTransition, match=str(session_id)):
            restore_sessions.request_cancel(connection, session_id)


def test_unfinished_sessions_are_found_oldest_first(
    database: Database, point: Row, clock: ManualClock
) -> None:
    made = []
    for _ in range(4):
        made.append(_create(database, point).id)
        clock.advance(1)
    with database.write() as connection:
        restore_sessions.advance(connection, made[1], SessionState.WORKING)
        restore_sessions.advance(connection, made[2], SessionState.STOPPED, result=SessionResult.SUCCESS)
        found = restore_sessions.unfinished(connection)
    assert [row.id for row in found] == [made[0], made[1], made[3]]


def test_events_come_in_order_and_from_where_one_left_off(
    database: Database, point: Row, clock: ManualClock
) -> None:
    session_id, other = _create(database, point).id, _create(database, point).id
    with database.write() as connection:
        for level, message in [("info", "copying"), ("warning", "slow ümlaut"), ("error", "gone")]:
            restore_sessions.add_event(connection, session_id, level, message)
            restore_sessions.add_event(connection, other, "info", "something else")
            clock.advance(1)
        found = restore_sessions.events(connection, session_id)
        assert [(event.level, event.message) for event in found] == [
            ("info", "copying"),
            ("warning", "slow ümlaut"),
            ("error", "gone"),
        ]
        assert [(event.at - START).total_seconds() for event in found] == [0, 1, 2]
        assert restore_sessions.events(connection, session_id, after=found[1].id) == [found[2]]


def test_a_session_outlives_its_restore_point(database: Database, point: Row) -> None:
    session_id = _create(database, point).id
    with database.write() as connection:
        jobs.remove(connection, point.job_id)
        connection.exec_driver_sql("DELETE FROM backups")
        assert points.vm_listing.count(connection, visible=EVERYTHING) == 0
        row = restore_sessions.listing.one(connection, session_id, EVERYTHING)
    assert row is not None
    assert (row.vm_restore_point_id, row.vm_restore_point_name) == (None, point.name)


def test_a_session_of_nobody_is_not_found(database: Database) -> None:
    with database.write() as connection:
        for attempt in (
            lambda: restore_sessions.get(connection, NOWHERE),
            lambda: restore_sessions.advance(connection, NOWHERE, SessionState.WORKING),
            lambda: restore_sessions.request_cancel(connection, NOWHERE),
            lambda: restore_sessions.plan(connection, NOWHERE, []),
            lambda: restore_sessions.record_disk(connection, NOWHERE, "a"),
        ):
            with pytest.raises(NotFound, match=str(NOWHERE)):
                attempt()


@pytest.mark.parametrize("key", [None, "key-1"])
def test_point_that_has_just_been_removed_is_named(database: Database, point: Row, key: str | None) -> None:
    with database.write() as connection:
        connection.execute(sa.delete(tables.restore_points))
    with pytest.raises(NotFound, match=str(point.id)):
        _create(database, point, key)
