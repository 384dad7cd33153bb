"""Restore sessions: all of them, and one with its disks, its events, its speed and its evidence."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from restorium.evidence import canonical, check, read_public_keys
from restorium.native.restores import RestoreSession
from restorium.vocabulary.errors import NotFound, RestoriumError
from restorium.vocabulary.sessions import RestoreKind, SessionResult, SessionState
from restorium.web.charts import chart
from restorium.web.visit import Page, Visit

_SESSION = "/restore-sessions/{id}"
_FILTERS = ("vm", "state", "result", "kind", "since")
_KINDS = {RestoreKind.VM: "Whole VMs", RestoreKind.FILE_LEVEL: "Files"}


def _list(visit: Visit) -> Response:
    """What the native API lists for the same query; a file if it asks for one."""
    asked = {name: text for name, text in visit.query.items() if text}
    found = visit.api.get("/restore-sessions", asked)
    if isinstance(found, Response):
        found.headers["Content-Disposition"] = f'attachment; filename="restores.{asked["format"]}"'
        return found
    chosen = {name: asked[name] for name in _FILTERS if name in asked}
    return visit.show(
        "sessions.html",
        sessions=found.items,
        chosen=chosen,
        query=urlencode(chosen),
        turn=visit.turn(found.next, chosen),
        states={state: state for state in SessionState},
        results={result: result for result in SessionResult if result is not SessionResult.NONE},
        kinds=_KINDS,
    )


def _show(visit: Visit) -> Response:
    return visit.show("session.html", **parts(visit, visit.api.get(_SESSION, id=visit.place("id"))))


def _cancel(visit: Visit) -> Response:
    visit.api.post(f"{_SESSION}/cancel", id=visit.place("id"))
    return visit.go(f"/sessions/{visit.place('id')}")


def _evidence(visit: Visit) -> Response:
    """The signed record as a file, in its canonical form."""
    session_id = visit.place("id")
    found = visit.api.get(f"{_SESSION}/evidence", id=session_id)
    name = f'attachment; filename="evidence-{session_id}.json"'
    content = canonical(msgspec.to_builtins(found))
    return Response(content, headers={"Content-Disposition": name}, media_type="application/json")


def parts(visit: Visit, session: RestoreSession) -> dict[str, Any]:
    """What the template of one session, and of its live parts, is given."""
    evidence, doubt = None, None
    if session.state is SessionState.STOPPED:
        try:
            found = visit.api.get(f"{_SESSION}/evidence", id=str(session.id))
            keys = [
                key
                for each in visit.api.get("/evidence/keys").items
                for key in read_public_keys(each.public_key.encode(), f"key {each.id}")
            ]
            evidence = check(canonical(msgspec.to_builtins(found)), keys)
        except NotFound:
            pass
        except RestoriumError as error:
            doubt = error
    samples = visit.api.get(f"{_SESSION}/speed", id=str(session.id)).samples
    speeds = [(sample.at.timestamp(), sample.speed) for sample in samples[1:]]
    return {
        "session": session,
        "evidence": evidence,
        "doubt": doubt,
        "taken": timedelta(seconds=session.duration),
        "chart": chart(speeds),
        "fastest": max((speed for _, speed in speeds), default=0),
        "latest": speeds[-1][1] if speeds else 0,
    }


PAGES = (
    Page("GET", "/sessions", _list),
    Page("GET", "/sessions/{id}", _show),
    Page("POST", "/sessions/{id}/cancel", _cancel),
    Page("GET", "/sessions/{id}/evidence", _evidence),
)
