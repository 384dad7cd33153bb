"""Files in a restore point: opened for whoever is logged on, looked through, downloaded, closed."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import Response

from restorium.native.exchange import whole
from restorium.vocabulary.errors import NotFound
from restorium.web.visit import Page, Visit

_PAGE = 200
_FILES = "/restore-points/{id}/files"


def _open(visit: Visit) -> Response:
    visit.api.post(_FILES, id=visit.place("id"))
    return visit.go(f"/points/{visit.place('id')}/files/")


def _list(visit: Visit) -> Response:
    point_id, path = visit.place("id"), visit.place("path")
    number = whole(visit.query.get("page", "1"), 1, 10_000) or 1
    point = visit.api.get("/restore-points/{id}", id=point_id)
    asked = {"path": path, "offset": str((number - 1) * _PAGE), "limit": str(_PAGE)}
    try:
        folder = visit.api.get(_FILES, asked, id=point_id)
    except NotFound as error:
        # It may have been closed in another tab, or have ended while nobody looked.
        return visit.again(error, "files_closed.html", point=point, wanted=path)
    parts = [part for part in path.split("/") if part]
    above = [(part, "/".join(parts[: place + 1])) for place, part in enumerate(parts)]
    return visit.show(
        "files.html",
        point=point,
        folder=folder,
        above=above,
        page=number,
        pages=max(1, -(-folder.total // _PAGE)),
        address=_address,
    )


def _download(visit: Visit) -> Response:
    found: Response = visit.api.get(
        f"{_FILES}/content", {"path": visit.query.get("path", "")}, id=visit.place("id")
    )
    return found


def _close(visit: Visit) -> Response:
    visit.api.delete(_FILES, id=visit.place("id"))
    return visit.go(f"/points/{visit.place('id')}")


def _address(path: str) -> str:
    return quote(path, safe="/")


PAGES = (
    Page("POST", "/points/{id}/files", _open),
    Page("GET", "/points/{id}/files/{path:path}", _list),
    Page("GET", "/points/{id}/download", _download),
    Page("POST", "/points/{id}/files/close", _close),
)
