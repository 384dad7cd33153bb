"""Logon sessions and the tasks that live in them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from restorium.catalog import accounts, logons, tables, tasks
from restorium.catalog.database import Database
from restorium.catalog.logons import Logon
from restorium.vocabulary.clock import SystemClock
from restorium.vocabulary.errors import NotAuthenticated, NotFound
from restorium.vocabulary.roles import Role
from restorium.vocabulary.tasks import TaskState
from tests.support.clock import START, ManualClock

IDLE = timedelta(minutes=15)


@pytest.fixture
def token(database: Database) -> UUID:
    """The token of an open session of an account with two roles."""
    with database.write() as connection:
        roles = {Role.PORTAL_USER, Role.VM_RESTORE_OPERATOR}
        account = accounts.add(connection, "jo", "secret", roles=roles)
        return logons.open(connection, account.id)


def _find(database: Database, token: UUID) -> Logon | None:
    with database.read() as connection:
        return logons.find(connection, token, IDLE)


def _use(database: Database, token: UUID) -> Logon | None:
    logon = _find(database, token)
    if logon is not None and logon.due:
        with database.write() as connection:
            logons.touch(connection, logon)
    return logon


def test_a_token_finds_its_account_with_its_roles(database: Database, token: UUID) -> None:
    logon = _find(database, token)
    assert logon is not None
    with database.read() as connection:
        assert logon.account == accounts.list_all(connection)[0]
    assert logon.created_at == START


def test_an_account_without_roles_is_found_too(database: Database) -> None:
    with database.write() as connection:
        account = accounts.add(connection, "nobody", "secret", roles=())
        logon = logons.find(connection, logons.open(connection, account.id), IDLE)
    assert logon is not None
    assert logon.account.roles == frozenset()


def test_what_becomes_of_an_account_or_a_session_counts_at_once(database: Database, token: UUID) -> None:
    """Also for a connection that found it before and is kept."""

    def found() -> Logon | None:
        with database.read_briefly() as connection:
            return logons.find(connection, token, IDLE)

    logon = found()
    assert logon is not None and len(logon.account.roles) == 2
    with database.write() as connection:
        left = tables.account_roles.c.role == Role.PORTAL_USER
        connection.execute(sa.delete(tables.account_roles).where(left))
    logon = found()
    assert logon is not None and logon.account.roles == {Role.VM_RESTORE_OPERATOR}
    with database.write() as connection:
        assert logons.find(connection, token, IDLE) is not None
        logons.close(connection, token)
        assert logons.find(connection, token, IDLE) is None
    assert found() is None


def test_no_other_token_does(database: Database, token: UUID) -> None:
    assert _find(database, UUID(int=token.int ^ 1)) is None


def test_the_token_itself_is_nowhere_in_the_database(database: Database, token: UUID) -> None:
    with database.read() as connection:
        stored = connection.execute(sa.select(tables.logon_sessions)).one()
    assert token.bytes not in stored.token_hash
    assert str(token) not in str(stored)
    assert token.hex not in str(stored)


def test_tokens_come_from_the_clock_that_is_unguessable_in_service() -> None:
    drawn = {SystemClock().new_id() for _ in range(1000)}
    assert len(drawn) == 1000
    assert {token.version for token in drawn} == {4}


def test_use_keeps_a_session_alive_and_idling_ends_it(
    database: Database, token: UUID, clock: ManualClock
) -> None:
    for _ in range(10):
        clock.advance(IDLE.total_seconds() - 1)
        assert _use(database, token) is not None
    clock.advance(IDLE.total_seconds() * 1.04)
    assert _use(database, token) is None
    with database.read() as connection:
        assert logons.find(connection, token, IDLE * 2) is not None


def test_frequent_use_writes_only_every_thirtieth_of_the_idle_time(
    database: Database, token: UUID, clock: ManualClock
) -> None:
    due = []
    for _ in range(120):
        clock.advance(1)
        logon = _use(database, token)
        assert logon is not None
        due.append(logon.due)
    assert sum(due) == 3
    clock.advance(IDLE.total_seconds())
    assert _find(database, token) is not None, "it ends after the idle time, never before"


def test_a_closed_session_is_gone_with_its_tasks(database: Database, token: UUID) -> None:
    logon = _find(database, token)
    assert logon is not None
    with database.write() as connection:
        tasks.start(connection, logon, "StartJob")
        assert logons.close(connection, token)
        assert not logons.close(connection, token)
        assert connection.execute(sa.select(tables.tasks)).all() == []
    assert _find(database, token) is None
    with pytest.raises(NotAuthenticated), database.write() as connection:
        tasks.start(connection, logon, "StartJob")


def test_the_sweep_removes_what_has_idled(database: Database, token: UUID, clock: ManualClock) -> None:
    clock.advance(IDLE.total_seconds())
    with database.write() as connection:
        fresh = logons.open(connection, accounts.list_all(connection)[0].id)
    clock.advance(IDLE.total_seconds() / 10)
    with database.write() as connection:
        assert logons.sweep(connection, IDLE) == 1
        assert logons.sweep(connection, IDLE) == 0
    assert _find(database, token) is None
    assert _find(database, fresh) is not None


def test_tasks_count_from_one_in_each_session(database: Database, token: UUID) -> None:
    with database.write() as connection:
        account = accounts.list_all(connection)[0]
        second = logons.find(connection, logons.open(connection, account.id), IDLE)
        first = logons.find(connection, token, IDLE)
        assert first is not None
        assert second is not None
        numbers = [tasks.start(connection, first, "StartJob").number for _ in range(3)]
        tasks.delete(connection, first, 3)
        numbers.append(tasks.start(connection, first, "StartJob").number)
        assert numbers == [1, 2, 3, 4]
        assert tasks.start(connection, second, "StartVMRestore").number == 1
        assert [task.number for task in tasks.list_all(connection, first)] == [1, 2, 4]


def test_a_task_tells_its_outcome(database: Database, token: UUID) -> None:
    made = UUID(int=7)
    with database.write() as connection:
        logon = logons.find(connection, token, IDLE)
        assert logon is not None
        task = tasks.start(connection, logon, "StartVMRestore")
        assert (task.state, task.success, task.created_at) == (TaskState.RUNNING, None, START)
        tasks.finish(
            connection,
            logon,
            task.number,
            success=True,
            related_kind="RestoreSession",
            related_id=made,
            related_name="db7",
        )
        done = tasks.get(connection, logon, 1)
    assert (done.state, done.success, done.operation) == (TaskState.FINISHED, True, "StartVMRestore")
    assert (done.related_kind, done.related_id, done.related_name) == ("RestoreSession", made, "db7")


@pytest.mark.parametrize("number", [0, 2, -1, 2**31, 2**63, 10**30])
def test_a_task_of_nobody_is_not_found(database: Database, token: UUID, number: int) -> None:
    with database.write() as connection:
        logon = logons.find(connection, token, IDLE)
        assert logon is not None
        tasks.start(connection, logon, "StartJob")
        for attempt in (
            lambda: tasks.get(connection, logon, number),
            lambda: tasks.delete(connection, logon, number),
            lambda: tasks.finish(connection, logon, number, success=False, message="no"),
        ):
            with pytest.raises(NotFound, match=str(number)):
                attempt()
