"""Followers of restore sessions: told everything that changes, once, whoever changes it and however slow they are."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from uuid import UUID

import pytest

from restorium.catalog import accounts, changes, restore_sessions
from restorium.catalog.accounts import Scope
from restorium.catalog.changes import Place
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Row, Visibility
from restorium.flows import feed as feeds
from restorium.flows.feed import Batch, Feed
from restorium.vocabulary.clock import SystemClock
from restorium.vocabulary.errors import InvalidInput
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support.clock import START
from tests.support.estate import add_host, add_job, record_point
from tests.support.following import following
from tests.support.waiting import wait_until

_MANY = 50


@pytest.fixture
def feed(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feed]:
    """Looks often, so that tests are quick."""
    monkeypatch.setattr(feeds, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(feeds, "TICK_SECONDS", 0.05)
    made = Feed(database)
    yield made
    made.close()


@pytest.fixture
def points(database: Database) -> list[Row]:
    """One of each of two VMs."""
    with database.write() as connection:
        host = add_host(connection)
        vms = [JobVm(host.id, f"vm-{number}", f"db{number}") for number in range(2)]
        return record_point(connection, add_job(connection, vms), vms, UUID(int=9), START)


Start = Callable[..., UUID]


@pytest.fixture
def start(database: Database, points: list[Row]) -> Start:
    def start_one(vm: int = 0) -> UUID:
        with database.write() as connection:
            spec, caller = RestoreSpec(points[vm].id), Caller("jo")
            made = restore_sessions.create(connection, point=points[vm], spec=spec, caller=caller)
            session_id: UUID = made.id
            return session_id

    return start_one


def _say(database: Database, session_id: UUID) -> None:
    with database.write() as connection:
        restore_sessions.add_event(connection, session_id, "info", "said")


def _stop(database: Database, session_id: UUID) -> None:
    with database.write() as connection:
        restore_sessions.advance(connection, session_id, SessionState.STOPPED, result=SessionResult.FAILED)


def test_followers_that_take_nothing_leave_the_database_to_others(
    database: Database, feed: Feed, start: Start
) -> None:
    """More of them than the database has connections."""
    session_id = start()

    async def begin(number: int) -> AsyncGenerator[Batch, None]:
        follower = feed.follow(Visibility.everything(), session_id=session_id if number % 2 else None)
        await anext(follower)
        return follower

    async def follow() -> bool:
        followers = await asyncio.gather(*map(begin, range(_MANY)))
        read = await asyncio.to_thread(_read, database, session_id)
        for follower in followers:
            await follower.aclose()
        return read

    assert asyncio.run(asyncio.wait_for(follow(), 20))


def _read(database: Database, session_id: UUID) -> bool:
    with database.read() as connection:
        return bool(restore_sessions.get(connection, session_id).id == session_id)


def test_present_state_comes_first_then_each_change(database: Database, feed: Feed, start: Start) -> None:
    ended, open_one = start(), start()
    _stop(database, ended)
    with following(feed) as follower:
        assert follower.ids == [open_one]
        _stop(database, open_one)
        wait_until(lambda: len(follower.seen) == 2)
        assert follower.seen[1].state is SessionState.STOPPED
        new = start()
        wait_until(lambda: len(follower.seen) == 3)
        assert follower.ids[2] == new


def test_changes_of_another_process_are_told(
    database: Database, database_url: str, feed: Feed, start: Start
) -> None:
    url = database._engines.reader.url.render_as_string(hide_password=False)
    other = Database.open(url, SystemClock())
    try:
        session_id = start()
        with following(feed) as follower:
            _say(other, session_id)
            wait_until(lambda: follower.ids == [session_id] * 2)
    finally:
        other.close()


def test_who_comes_back_is_told_what_changed_meanwhile_and_nothing_else(
    database: Database, feed: Feed, start: Start
) -> None:
    same, changed = start(), start()
    with following(feed) as follower:
        pass
    follower.join()
    _stop(database, changed)
    new = start()
    after = feed.place(str(follower.place))
    renewed = Feed(database)  # as after a restart
    with following(renewed, after=after) as again:
        assert again.ids == [changed, new]
        _say(database, same)
        wait_until(lambda: again.ids == [changed, new, same])
    renewed.close()


def test_long_lists_are_told_whole_whatever_changes_meanwhile(
    database: Database, feed: Feed, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_PAGE", 3)
    chance = random.Random(7)
    sessions = [start() for _ in range(20)]
    with database.read() as connection:
        nothing = changes.present(connection)
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            _say(database, chance.choice(sessions))

    writer = threading.Thread(target=disturb)
    writer.start()
    try:
        with following(feed) as one, following(feed, after=Place(0, 0)) as other:
            for follower in (one, other):
                assert set(follower.ids) == set(sessions)
            wait_until(lambda: one.batches > 12 and other.batches > 12)
            stop.set()
            writer.join()
            for follower in (one, other):
                wait_until(lambda follower=follower: _last(follower.seen) == _shown(database))  # type: ignore[misc]
                told = [(row.id, row.change) for row in follower.seen]
                assert len(told) == len(set(told))
    finally:
        stop.set()
        writer.join()
    assert not nothing.covers(max(row.change for row in one.seen))


def _last(seen: list[Row]) -> dict[UUID, int]:
    return {row.id: row.change for row in seen}


def _shown(database: Database) -> dict[UUID, int]:
    with database.read() as connection:
        return _last(list(restore_sessions.listing.stream(connection, visible=Visibility.everything())))


def test_slow_follower_gets_the_last_state_only(database: Database, feed: Feed, start: Start) -> None:
    session_id = start()
    with following(feed) as slow, following(feed) as quick:
        slow.held = True
        for number in range(1, 6):
            _say(database, session_id)
            wait_until(lambda number=number: len(quick.seen) > number)  # type: ignore[misc]
        slow.held = False
        wait_until(lambda: slow.seen[-1] == quick.seen[-1])
        assert len(slow.seen) <= 3


def test_of_one_session_only_that_is_told(database: Database, feed: Feed, start: Start) -> None:
    wanted, other = start(), start()
    with following(feed, session_id=wanted) as follower, following(feed) as everything:
        for session_id in (other, wanted):
            _say(database, session_id)
        wait_until(lambda: len(everything.seen) == 4)
        wait_until(lambda: follower.ids == [wanted, wanted])


def test_nobody_is_told_what_is_out_of_scope_and_a_new_scope_counts_at_once(
    database: Database, feed: Feed, start: Start, points: list[Row]
) -> None:
    inside, outside = start(0), start(1)
    with database.write() as connection:
        account = accounts.add(connection, "op", "a password", roles=set(), restore_all=False)
        scopes = [Scope(point.host_id, point.vm_ref) for point in points]
        accounts.set_scopes(connection, account.id, scopes[:1])
    with following(feed, Visibility.of(account)) as follower, following(feed) as everything:
        assert follower.ids == [inside]
        for session_id in (outside, inside):
            _say(database, session_id)
        wait_until(lambda: follower.ids == [inside, inside])
        wait_until(lambda: len(everything.seen) == 4)
        with database.write() as connection:
            accounts.set_scopes(connection, account.id, scopes[1:])
        for session_id in (inside, outside):
            _say(database, session_id)
        wait_until(lambda: follower.ids == [inside, inside, outside])


def test_followers_end_with_the_process_and_nothing_runs_without_any(feed: Feed, start: Start) -> None:
    start()
    with following(feed) as first:
        pass
    first.join()
    wait_until(lambda: "feed" not in [thread.name for thread in threading.enumerate()])
    with following(feed) as second:
        feed.close()
        second.join()
        assert second.ended


@pytest.mark.parametrize("text", ["", "next", "9000000000000000000:9000000000000000001:"])
def test_place_that_this_database_has_not_come_to_is_refused(feed: Feed, text: str) -> None:
    with pytest.raises(InvalidInput, match="changes of sessions"):
        feed.place(text)
