"""Files in restore points through the native API."""

from __future__ import annotations

import io
import tarfile

from restorium.native import app as native
from restorium.vocabulary.sessions import RestoreKind, SessionResult, SessionState
from tests.support.em import PASSWORD
from tests.support.lab import Lab
from tests.support.native import NativeClient


def _client(lab: Lab) -> NativeClient:
    return NativeClient(native.create(lab.site.engine)).log_on("administrator", PASSWORD)


def test_files_are_listed_and_downloaded_while_open(lab: Lab) -> None:
    client, files = _client(lab), f"/restore-points/{lab.point.id}/files"
    assert client.get(files).status_code == 404
    opened = client.post(files).json()
    assert client.post(files).json() == opened
    volume = opened["volumes"][-1]
    assert [each["name"] for each in client.get(files).json()["items"]] == opened["volumes"]
    page = client.get(f"{files}?path={volume}&limit=1").json()
    assert len(page["items"]) == 1 < page["total"]
    second = client.get(f"{files}?path={volume}&limit=1&offset=1").json()["items"]
    assert second != page["items"]
    name, content = next((name, content) for name, content in lab.files.items() if content)
    got = client.get(f"{files}/content?path={volume}/{name}")
    assert got.content == content
    assert got.headers["Content-Disposition"].startswith("attachment;")
    packed = client.get(f"{files}/content?path={volume}").content
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert any(member.name.endswith(name) for member in archive)
    [session] = lab.sessions()
    assert (str(session.id), session.job_type) == (opened["session_id"], RestoreKind.FILE_LEVEL)
    assert client.delete(files).status_code == 204
    assert client.delete(files).status_code == 204
    [session] = lab.sessions()
    assert (session.state, session.result) == (SessionState.STOPPED, SessionResult.SUCCESS)


def test_files_are_ones_own_and_close_with_the_token(lab: Lab) -> None:
    client, files = _client(lab), f"/restore-points/{lab.point.id}/files"
    assert client.post(files).status_code == 201
    assert _client(lab).get(files).status_code == 404
    assert client.delete("/tokens/current").status_code == 204
    assert [session.state for session in lab.sessions()] == [SessionState.STOPPED]
