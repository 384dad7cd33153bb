"""What the page of a restore says while its VM runs from the restore point."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from restorium.native.restores import Links, RestoreSession
from restorium.vocabulary.sessions import RestoreKind, RestorePhase, SessionResult, SessionState
from restorium.web import rendering


@pytest.mark.parametrize(
    ("phase", "state", "result", "marked", "told"),
    [
        ("preflight", "Working", "None", None, "does not run yet"),
        ("mounted", "Working", "None", "Serving", "starts in a moment"),
        ("started", "Working", "None", "Running", "runs and can be used"),
        ("moving", "Working", "None", "Moving", "needs this server and the repository"),
        ("finalising", "Working", "None", "Moving", "runs and can be used"),
        ("moving", "Stopping", "None", "Moving", "is powered off and removed"),
        ("moving", "Stopped", "Failed", "Moving", "nothing is left of it"),
        ("done", "Stopped", "Success", "Moved", "needs the repository no more"),
    ],
)
def test_each_stage_is_told(phase: str, state: str, result: str, marked: str | None, told: str) -> None:
    shown = _page(RestorePhase(phase), SessionState(state), SessionResult(result), instant=True)
    here = [line for line in shown.splitlines() if "aria-current" in line]
    assert [line.rpartition("</span> ")[2].removesuffix("</li>") for line in here] == [marked][: bool(marked)]
    assert told in shown
    assert "Verified" not in shown
    if state == "Working":
        assert "The VM is powered off and removed with all that it has written" in shown


def test_a_restore_that_writes_first_has_no_such_stages() -> None:
    shown = _page(RestorePhase.COPYING, SessionState.WORKING, SessionResult.NONE, instant=False)
    assert "Serving" not in shown
    assert "powered off" not in shown


def _page(phase: RestorePhase, state: SessionState, result: SessionResult, *, instant: bool) -> str:
    session = RestoreSession(
        id=uuid4(),
        name="web",
        kind=RestoreKind.VM,
        vm_name="web",
        state=state,
        phase=phase,
        result=result,
        progress=0,
        planned_bytes=0,
        done_bytes=0,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        ended_at=None,
        duration=1.0,
        speed=None,
        seconds_left=None,
        requested_by="me",
        requested_from=None,
        reason=None,
        links=Links("", "", "", None, None, None, ""),
        restore_point_id=None,
        target_host_id=None,
        instant=instant,
        restored_ref=None,
        cancel_requested=False,
        disks=[],
        events=[],
    )
    return rendering.render(
        "session_parts.html",
        session=session,
        evidence=None,
        doubt=None,
        taken=timedelta(seconds=1),
        chart=None,
        fastest=0,
        latest=0,
        may=lambda *_: True,
        base="",
    )
