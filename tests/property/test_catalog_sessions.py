"""However many threads move a session, it takes one path through its state machine and one result."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from restorium.catalog import restore_sessions
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.restore_sessions import NewDisk
from restorium.vocabulary.errors import IllegalTransition
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.sessions import SessionResult, SessionState, check_transition
from tests.support.clock import START
from tests.support.estate import add_host, add_job, record_point

Move = tuple[SessionState, SessionResult]
MOVES = st.tuples(st.sampled_from(list(SessionState)), st.sampled_from(list(SessionResult)))


@dataclass(frozen=True)
class Estate:
    database: Database
    point: Any

    def session(self, connection: Connection) -> UUID:
        spec = RestoreSpec(self.point.id)
        created = restore_sessions.create(connection, point=self.point, spec=spec, caller=Caller("jo"))
        identifier: UUID = created.id
        return identifier


@pytest.fixture
def estate(database: Database) -> Estate:
    with database.write() as connection:
        vm = JobVm(add_host(connection).id, "vm-1", "db7")
        job = add_job(connection, [vm])
        return Estate(database, record_point(connection, job, [vm], UUID(int=9), START)[0])


def test_any_sequence_of_moves_follows_the_state_machine(estate: Estate) -> None:
    @settings(max_examples=60, deadline=None)
    @given(moves=st.lists(MOVES, max_size=6))
    def follows(moves: list[Move]) -> None:
        with estate.database.write() as connection:
            session_id = estate.session(connection)
            state, result = SessionState.STARTING, SessionResult.NONE
            for target, outcome in moves:
                try:
                    check_transition(state, target, outcome)
                except IllegalTransition:
                    with pytest.raises(IllegalTransition):
                        restore_sessions.advance(connection, session_id, target, result=outcome)
                else:
                    restore_sessions.advance(connection, session_id, target, result=outcome)
                    state, result = target, outcome
                row = restore_sessions.get(connection, session_id)
                assert (row.state, row.result) == (state, result)
                assert (row.ended_at is not None) == (state is SessionState.STOPPED)
                assert (row.progress == 100) == (result in (SessionResult.SUCCESS, SessionResult.WARNING))

    follows()


def test_of_threads_that_end_a_session_exactly_one_does(estate: Estate) -> None:
    @settings(max_examples=12, deadline=None)
    @given(moves=st.lists(MOVES, min_size=2, max_size=5))
    def one_wins(moves: list[Move]) -> None:
        with estate.database.write() as connection:
            session_id = estate.session(connection)
        ends = [(SessionState.STOPPED, SessionResult.FAILED), (SessionState.STOPPED, SessionResult.SUCCESS)]
        contenders = [*moves, *ends]
        made: list[Move] = []
        barrier = threading.Barrier(len(contenders))

        def contend(move: Move) -> None:
            barrier.wait()
            try:
                with estate.database.write() as connection:
                    restore_sessions.advance(connection, session_id, move[0], result=move[1])
            except IllegalTransition:
                return
            made.append(move)

        threads = [threading.Thread(target=contend, args=(move,)) for move in contenders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with estate.database.read() as connection:
            row = restore_sessions.get(connection, session_id)
        assert [move for move in made if move[0] is SessionState.STOPPED] == [(row.state, row.result)]
        assert len({move[0] for move in made}) == len(made), "no state is entered twice"

    one_wins()


def test_progress_never_goes_down_whatever_is_reported(estate: Estate) -> None:
    reports = st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 1000), st.integers(0, 1000)), max_size=12
    )

    @settings(max_examples=30, deadline=None)
    @given(reported=reports)
    def rises(reported: list[tuple[str, int, int]]) -> None:
        with estate.database.write() as connection:
            session_id = estate.session(connection)
            restore_sessions.plan(connection, session_id, [NewDisk("a", 5000, 1000), NewDisk("b", 500, 200)])
            before = restore_sessions.get(connection, session_id)
            for key, copied, verified in reported:
                restore_sessions.record_disk(
                    connection,
                    session_id,
                    key,
                    checkpoint=copied,
                    copied_bytes=copied,
                    verified_bytes=verified,
                )
                row = restore_sessions.get(connection, session_id)
                assert row.done_bytes >= before.done_bytes
                assert before.progress <= row.progress <= 99
                before = row
            for disk in restore_sessions.disks(connection, session_id):
                mine = [report for report in reported if report[0] == disk.disk_key]
                assert disk.copied_bytes == max((report[1] for report in mine), default=0)
                assert disk.checkpoint == disk.copied_bytes
                assert disk.verified_bytes == max((report[2] for report in mine), default=0)

    rises()
