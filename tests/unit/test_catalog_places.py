"""Totals and places that are kept for the next page: never those of another moment, whatever changes meanwhile."""

from __future__ import annotations

import random
from contextlib import ExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import accounts, generations, hosts, places, points, restore_sessions
from restorium.catalog.accounts import Scope
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Compare, Visibility
from restorium.catalog.tables import restore_sessions as sessions
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.clock import START, ManualClock
from tests.support.estate import add_host, add_job, record_point

EVERYTHING = Visibility.everything()
FAILED = Compare("result", "==", SessionResult.FAILED)
NEWEST = [("created_at", True)]
PAGE = 7


@pytest.fixture(autouse=True)
def close_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places are kept every few rows, so that small lists have some."""
    monkeypatch.setattr(places, "_SPACING", 3)


@pytest.fixture
def point(database: Database) -> Any:
    with database.write() as connection:
        host = add_host(connection)
        vm = JobVm(host.id, "vm-1", "web")
        job = add_job(connection, [vm])
        return record_point(connection, job, [vm], UUID(int=1), START)[0]


def _start(connection: Connection, point: Any, count: int = 1) -> list[UUID]:
    asked, caller = RestoreSpec(point.id), Caller("op")
    return [
        restore_sessions.create(connection, point=point, spec=asked, caller=caller).id for _ in range(count)
    ]


def _fail(connection: Connection, key: UUID) -> None:
    restore_sessions.advance(connection, key, SessionState.STOPPED, result=SessionResult.FAILED)


def _shown(connection: Connection, where: Any = None, visible: Visibility = EVERYTHING) -> list[UUID]:
    """The list page by page, each found from the places before; its total must be the number of rows."""
    listing = restore_sessions.listing
    total = listing.count(connection, where=where, visible=visible)
    found: list[UUID] = []
    for offset in range(0, total + PAGE, PAGE):
        rows = listing.page(connection, where=where, order=NEWEST, limit=PAGE, offset=offset, visible=visible)
        found += [row.id for row in rows]
    assert len(found) == total
    return found


def _whole(connection: Connection, where: Any = None) -> list[UUID]:
    rows = restore_sessions.listing.stream(connection, where=where, order=NEWEST, visible=EVERYTHING)
    return [row.id for row in rows]


def test_pages_follow_every_change(database: Database, point: Any, clock: ManualClock) -> None:
    chance = random.Random(5)
    with database.write() as connection:
        running = _start(connection, point, 40)
    for _ in range(25):
        clock.advance(1)
        with database.write() as connection:
            match chance.randrange(4):
                case 0:
                    running += _start(connection, point, 3)
                case 1:
                    _fail(connection, running.pop(chance.randrange(len(running))))
                case 2:
                    gone = running.pop(chance.randrange(len(running)))
                    connection.execute(sa.delete(sessions).where(sessions.c.id == gone))
                case 3:
                    moved = chance.choice(running)
                    earlier = START - timedelta(seconds=chance.randrange(100))
                    connection.execute(
                        sa.update(sessions).where(sessions.c.id == moved).values(created_at=earlier)
                    )
        with database.read() as connection:
            for where in (None, FAILED):
                assert _shown(connection, where) == _whole(connection, where)
                assert _shown(connection, where) == _whole(connection, where)


def test_each_snapshot_keeps_to_its_own_moment(database: Database, point: Any) -> None:
    with database.write() as connection:
        _start(connection, point, 20)
    with ExitStack() as stack:
        earlier = stack.enter_context(database.read())
        before = _shown(earlier)
        with database.write() as connection:
            _start(connection, point, 5)
        later = stack.enter_context(database.read())
        assert len(_shown(later)) == 25
        assert _shown(earlier) == before
        assert _shown(later) == _whole(later)


def test_what_is_taken_back_is_in_no_list(database: Database, point: Any) -> None:
    with database.write() as connection:
        _start(connection, point, 20)
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        _start(connection, point, 5)
        assert len(_shown(connection)) == 25
        raise ZeroDivisionError
    with database.write() as connection:
        _start(connection, point, 1)
    with database.read() as connection:
        assert len(_shown(connection)) == 21


def test_progress_costs_no_new_count(database: Database, point: Any) -> None:
    with database.write() as connection:
        key = _start(connection, point, 20)[0]
    with database.read() as connection:
        _shown(connection)
    with database.write() as connection:
        connection.execute(sa.update(sessions).where(sessions.c.id == key).values(progress=7, done_bytes=9))
    with database.read() as connection, _counted(connection) as statements:
        _shown(connection)
    assert not [text for text in statements if "count(" in text.lower()]


def test_what_changes_without_notice_is_filtered_and_sorted_as_it_is(database: Database, point: Any) -> None:
    with database.write() as connection:
        keys = _start(connection, point, 20)
    half = Compare("progress", ">=", 50)
    for number, key in enumerate(keys):
        with database.write() as connection:
            connection.execute(sa.update(sessions).where(sessions.c.id == key).values(progress=60 + number))
        with database.read() as connection:
            assert restore_sessions.listing.count(connection, where=half, visible=EVERYTHING) == number + 1
            first = restore_sessions.listing.page(
                connection, order=[("progress", True)], limit=1, visible=EVERYTHING
            )
            assert [row.id for row in first] == [key]


def test_a_scope_given_or_taken_is_in_the_next_list(database: Database, point: Any) -> None:
    with database.write() as connection:
        _start(connection, point, 20)
        account = accounts.add(connection, "op", "secret", roles=())
    seen = Visibility(account.id)
    for scopes in ([], [Scope(point.host_id)], [], [Scope(point.host_id, point.vm_ref)], []):
        with database.write() as connection:
            accounts.set_scopes(connection, account.id, scopes)
        with database.read() as connection:
            assert len(_shown(connection, visible=seen)) == (20 if scopes else 0)


def test_what_belongs_to_parents_is_in_the_next_list(database: Database, point: Any) -> None:
    where = Compare("platform", "==", "VMware")
    with database.write() as connection:
        _start(connection, point, 4)
    with database.read() as connection:
        assert len(_shown(connection, where)) == 4
    with database.write() as connection:
        connection.execute(sa.text("UPDATE hosts SET platform = 1"))
    with database.read() as connection:
        assert _shown(connection, where) == []


def test_every_column_that_a_list_may_ask_for_is_noted(database: Database, point: Any) -> None:
    with database.write() as connection:
        _start(connection, point)
        account = accounts.add(connection, "op", "secret", roles=[Role.PORTAL_USER])
        accounts.allow(connection, account.id, [Scope(point.host_id)])
    for table in generations.TRACKED:
        for column in table.columns:
            before = _number(database, table.name)
            with database.write() as connection:
                connection.execute(sa.text(f"UPDATE {table.name} SET {column.name} = {column.name}"))
            noted = _number(database, table.name) > before
            empty = (
                table.name in ("job_sessions", "task_sessions", "vapp_restore_points")
                and database.reads_wait_for_nobody
            )
            assert noted == (not column.info.get("volatile") and not empty), column


def test_rows_that_go_with_others_are_noted(database: Database, point: Any) -> None:
    visible = EVERYTHING
    with database.read() as connection:
        assert points.vm_listing.count(connection, visible=visible) == 1
        assert points.file_listing.count(connection, visible=visible) == 1
    with database.write() as connection:
        connection.execute(sa.text("DELETE FROM restore_points"))
    with database.read() as connection:
        assert points.vm_listing.count(connection, visible=visible) == 0
        assert points.file_listing.count(connection, visible=visible) == 0


def test_writers_do_not_wait_for_each_other(postgres: Any, clock: ManualClock) -> None:
    """Two open transactions change one table; whoever reads between their ends sees the first alone."""
    with postgres.database() as url:
        database = Database.open(url, clock)
        with ExitStack() as last, ExitStack() as first, ExitStack() as second:
            last.callback(database.close)
            for stack, name in ((first, "a"), (second, "b")):
                connection = stack.enter_context(database.write())
                connection.execute(sa.text("SET LOCAL lock_timeout = '5s'"))
                add_host(connection, name)
            assert _hosts(database) == 0
            second.close()
            assert _hosts(database) == 1
            first.close()
            assert _hosts(database) == 2


def _hosts(database: Database) -> int:
    with database.read() as connection:
        return hosts.listing.count(connection, visible=EVERYTHING)


def _number(database: Database, name: str) -> int:
    with database.read() as connection:
        return int(
            connection.execute(
                sa.text("SELECT coalesce(sum(number), 0) FROM generations WHERE name = :name"), {"name": name}
            ).scalar_one()
        )


class _counted:  # noqa: N801  used as a function
    """The statements that SQLAlchemy executes on a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._statements: list[str] = []

    def __enter__(self) -> list[str]:
        sa.event.listen(self._connection, "before_cursor_execute", self._note)
        return self._statements

    def __exit__(self, *_: object) -> None:
        sa.event.remove(self._connection, "before_cursor_execute", self._note)

    def _note(self, _c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self._statements.append(statement)
