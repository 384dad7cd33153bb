"""The session's state machine and its progress, as pure functions."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from restorium.vocabulary.errors import IllegalTransition, InvalidInput
from restorium.vocabulary.restore import RestoreSpec
from restorium.vocabulary.sessions import (
    SessionResult,
    SessionState,
    TaskSessionState,
    check_transition,
    predecessors,
    progress_percent,
)

STATES = st.sampled_from(list(SessionState))
RESULTS = st.sampled_from(list(SessionResult))
ORDER = [SessionState.STARTING, SessionState.WORKING, SessionState.STOPPING, SessionState.STOPPED]


class Session(RuleBasedStateMachine):
    """A session to which anything is asked, and which does what the machine allows."""

    def __init__(self) -> None:
        super().__init__()
        self.path = [SessionState.STARTING]
        self.result = SessionResult.NONE

    @rule(target_state=STATES, result=RESULTS)
    def move(self, target_state: SessionState, result: SessionResult) -> None:
        try:
            check_transition(self.path[-1], target_state, result)
        except IllegalTransition:
            return
        assert self.path[-1] in predecessors(target_state)
        self.path.append(target_state)
        self.result = result

    @invariant()
    def states_only_go_forward(self) -> None:
        places = [ORDER.index(state) for state in self.path]
        assert places == sorted(set(places))

    @invariant()
    def a_result_belongs_to_the_end(self) -> None:
        assert (self.result is not SessionResult.NONE) == (self.path[-1] is SessionState.STOPPED)


TestSession = Session.TestCase


@pytest.mark.parametrize("state", [SessionState.STARTING, SessionState.WORKING, SessionState.STOPPING])
def test_every_state_leads_to_the_end(state: SessionState) -> None:
    check_transition(state, SessionState.STOPPED, SessionResult.FAILED)


def test_a_normal_restore_is_possible() -> None:
    check_transition(SessionState.STARTING, SessionState.WORKING, SessionResult.NONE)
    check_transition(SessionState.WORKING, SessionState.STOPPED, SessionResult.SUCCESS)


def test_enumerations_are_in_the_order_of_the_api() -> None:
    assert [str(state) for state in SessionState] == ["Starting", "Stopping", "Working", "Stopped"]
    assert [str(result) for result in SessionResult] == ["None", "Success", "Warning", "Failed"]
    assert [str(state) for state in TaskSessionState] == ["InProgress", "Pending", "Completed"]


@given(done=st.integers(-10, 2**64), more=st.integers(0, 2**64), planned=st.integers(-10, 2**64))
def test_progress_rises_and_is_100_only_at_the_end(done: int, more: int, planned: int) -> None:
    before = progress_percent(done, planned, finished=False)
    assert 0 <= before <= progress_percent(done + more, planned, finished=False) <= 99
    assert progress_percent(done, planned, finished=True) == 100


@pytest.mark.parametrize(("done", "percent"), [(0, 0), (1, 0), (499, 49), (500, 50), (999, 99), (1000, 99)])
def test_progress_is_a_whole_percentage(done: int, percent: int) -> None:
    assert progress_percent(done, 1000, finished=False) == percent


def test_beside_the_original_excludes_a_rollback() -> None:
    with pytest.raises(InvalidInput, match="QuickRollback"):
        RestoreSpec(UUID(int=1), quick_rollback=True, keep_original=True)
