"""Changes of sessions in their order: a reader that goes on from a place misses none and gets none twice."""

from __future__ import annotations

import random
from contextlib import ExitStack
from uuid import UUID

import pytest

from restorium.catalog import (
    changes,
    drill_plans,
    drill_runs,
    drill_vms,
    job_sessions,
    jobs,
    restore_sessions,
)
from restorium.catalog.changes import Place
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Row, Visibility
from restorium.catalog.restore_sessions import NewDisk
from restorium.vocabulary.drills import DrillPlan, DrillVm, Selection
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.sessions import RestorePhase, SessionResult, SessionState
from tests.support.clock import START, ManualClock
from tests.support.estate import add_host, add_job, record_point

EVERYTHING = Visibility.everything()


@pytest.fixture
def point(database: Database) -> Row:
    with database.write() as connection:
        vm = JobVm(add_host(connection).id, "vm-1", "db7")
        return record_point(connection, add_job(connection, [vm]), [vm], UUID(int=9), START)[0]


def _start(database: Database, point: Row) -> UUID:
    with database.write() as connection:
        spec, caller = RestoreSpec(point.id), Caller("jo")
        session_id: UUID = restore_sessions.create(connection, point=point, spec=spec, caller=caller).id
        return session_id


def _since(database: Database, place: Place) -> tuple[Place, list[UUID]]:
    with database.read() as connection:
        rows = restore_sessions.listing.stream(
            connection, where=changes.after(place), order=[("change", False)], visible=EVERYTHING
        )
        return changes.present(connection), [row.id for row in rows]


def _now(database: Database) -> Place:
    with database.read() as connection:
        return changes.present(connection)


def test_whatever_changes_a_session_is_seen_once(database: Database, point: Row) -> None:
    first, second = _start(database, point), _start(database, point)
    place = _now(database)
    assert _since(database, place)[1] == []
    for change in (
        lambda connection: restore_sessions.plan(connection, first, [NewDisk("a", 10, 10)]),
        lambda connection: restore_sessions.advance(connection, first, SessionState.WORKING),
        lambda connection: restore_sessions.enter_phase(connection, first, RestorePhase.COPYING),
        lambda connection: restore_sessions.record_disk(connection, first, "a", copied_bytes=5),
        lambda connection: restore_sessions.restart_disk(connection, first, "a"),
        lambda connection: restore_sessions.take(connection, first, "w1"),
        lambda connection: restore_sessions.add_event(connection, first, "info", "said"),
        lambda connection: restore_sessions.request_cancel(connection, first),
        lambda connection: restore_sessions.advance(
            connection, first, SessionState.STOPPED, result=SessionResult.FAILED
        ),
    ):
        with database.write() as connection:
            change(connection)
        place, found = _since(database, place)
        assert found == [first]
        assert _since(database, place)[1] == []
    _, found = _since(database, Place(0, 0))
    assert found == [second, first]


def test_runs_of_jobs_and_drills_are_numbered_too(database: Database, point: Row) -> None:
    with database.write() as connection:
        job_id = jobs.list_all(connection)[0].id
        sandbox = add_host(connection, "sandbox").id
        vm = DrillVm(point.host_id, point.vm_ref)
        plan = drill_plans.add(connection, DrillPlan("weekly", Selection((vm,)), sandbox, 60))
        run = job_sessions.create(connection, job_id, Caller("jo"))
        drill = drill_runs.create(connection, plan.id, Caller("jo"))
        [task], [drilled] = job_sessions.tasks(connection, run.id), drill_vms.of_run(connection, drill.id)
    for listing, session_id, all_changes in (
        (
            job_sessions.listing,
            run.id,
            (
                lambda connection: job_sessions.advance(connection, run.id, SessionState.WORKING),
                lambda connection: job_sessions.record_progress(connection, run.id, 7),
                lambda connection: job_sessions.start_task(connection, task.id, total_bytes=9),
                lambda connection: job_sessions.record_task(
                    connection, task.id, read_bytes=1, stored_bytes=1
                ),
                lambda connection: job_sessions.add_event(connection, run.id, "info", "said"),
            ),
        ),
        (
            drill_runs.listing,
            drill.id,
            (
                lambda connection: drill_runs.advance(connection, drill.id, SessionState.WORKING),
                lambda connection: drill_vms.begin(connection, drilled.id),
                lambda connection: drill_vms.record_restore(connection, drilled.id, 12),
                lambda connection: drill_runs.add_event(connection, drill.id, "info", "said"),
            ),
        ),
    ):
        for change in all_changes:
            place = _now(database)
            with database.write() as connection:
                change(connection)
            with database.read() as connection:
                found = {
                    each: [
                        row.id
                        for row in each.stream(connection, where=changes.after(place), visible=EVERYTHING)
                    ]
                    for each in (restore_sessions.listing, job_sessions.listing, drill_runs.listing)
                }
            assert [ids for each, ids in found.items() if each is listing] == [[session_id]]
            assert [ids for each, ids in found.items() if each is not listing] == [[], []]


def test_a_change_that_is_taken_back_is_none(database: Database, point: Row) -> None:
    session_id = _start(database, point)
    place = _now(database)
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        restore_sessions.add_event(connection, session_id, "info", "said")
        raise ZeroDivisionError
    assert _since(database, place)[1] == []


@pytest.mark.parametrize("kind", ["postgresql"])
def test_what_is_committed_in_another_order_than_begun_is_seen_once(database: Database, point: Row) -> None:
    chance = random.Random(3)
    sessions = [_start(database, point) for _ in range(12)]
    place = _now(database)
    for _ in range(20):
        pending: list[UUID] = []
        with ExitStack() as stack:
            under_way = []
            for session_id in chance.sample(sessions, 4):
                transaction = stack.enter_context(ExitStack())
                connection = transaction.enter_context(database.write())
                restore_sessions.add_event(connection, session_id, "info", "said")
                under_way.append((session_id, transaction))
            chance.shuffle(under_way)
            for session_id, transaction in under_way:
                transaction.close()
                pending.append(session_id)
                if chance.random() < 0.6:
                    place, found = _since(database, Place.parse(str(place)))
                    assert sorted(found) == sorted(pending)
                    pending.clear()
        place, found = _since(database, place)
        assert sorted(found) == sorted(pending)


@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_database_that_was_moved_to_a_server_that_has_counted_less_starts_anew(
    database: Database, point: Row, clock: ManualClock, request: pytest.FixtureRequest
) -> None:
    session_id = _start(database, point)
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE restore_sessions DISABLE TRIGGER number_change")
        connection.exec_driver_sql("UPDATE restore_sessions SET change = 4000000000")
        connection.exec_driver_sql("ALTER TABLE restore_sessions ENABLE TRIGGER number_change")
    place = _now(database)
    with database.write() as connection:
        changes.settle(connection)
    place, found = _since(database, place)
    assert found == [session_id]
    assert _since(database, place)[1] == []


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "7",
        "7:8",
        "7:6:",
        "a:8:",
        "-1:8:",
        "7:8:9",
        "7:8:6",
        "7:8:7,",
        "9" * 30 + ":8:",
        "\u0667:8:",
        "7:" * 9000,
    ],
)
def test_what_is_no_place_is_named(text: str) -> None:
    with pytest.raises(InvalidInput, match=text[:10]):
        Place.parse(text)


def test_places_are_written_and_read() -> None:
    for place in (Place(0, 0), Place(7, 9, frozenset({7, 8})), Place(5, 5)):
        assert Place.parse(str(place)) == place
    place = Place(7, 9, frozenset({7}))
    assert [number for number in range(12) if place.covers(number)] == [0, 1, 2, 3, 4, 5, 6, 8]
    assert Place(9, 9).includes(place)
    assert not place.includes(Place(8, 8))
