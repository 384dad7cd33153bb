"""The demo, run as a user runs it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from lxml import etree

from restorium.hosts.qemu import NotRunning, Qmp

_SPACE = "{http://www.veeam.com/ent/v1.0}"


def _demo(*arguments: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "restorium", "demo", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.slow
def test_demo_restores_the_first_point_and_proves_it(tmp_path: Path) -> None:
    data, report = tmp_path / "data", tmp_path / "report.json"
    done = _demo("--data", str(data), "--report", str(report))
    assert done.returncode == 0, done.stderr

    told = json.loads(report.read_text())
    assert set(told) == {
        "server_url",
        "username",
        "restore_session_href",
        "restore_session_xml",
        "restore_session_json",
        "source_sha256",
        "restored_sha256",
        "seconds",
        "bytes_read",
        "bytes_stored",
    }
    images = data / "images"
    digests = {_digest(path): path for path in images.glob("*.raw")}
    assert told["source_sha256"] == told["restored_sha256"]
    assert told["restored_sha256"] in digests
    assert digests[told["restored_sha256"]] != images / "web.raw"
    assert 0 < told["bytes_stored"] < told["bytes_read"]
    assert sum(told["seconds"].values()) < 60

    session = etree.fromstring(told["restore_session_xml"].encode())
    assert (session.tag, session.findtext(f"{_SPACE}Result")) == (f"{_SPACE}RestoreSession", "Success")
    assert json.loads(told["restore_session_json"])["Result"] == "Success"
    assert told["restore_session_href"].startswith(f"{told['server_url']}/api/restoreSessions/")
    assert told["restored_sha256"] in done.stdout
    assert "<RestoreSession" in done.stdout
    with pytest.raises(httpx.ConnectError):
        httpx.get(told["server_url"], verify=False)


@pytest.mark.slow
def test_demo_with_qemu_restores_what_a_running_vm_held_before_it_was_written_to(tmp_path: Path) -> None:
    data, report = tmp_path / "data", tmp_path / "report.json"
    done = _demo("--host", "qemu", "--data", str(data), "--report", str(report))
    assert done.returncode == 0, done.stderr
    assert "of web overwritten while it was read" in done.stdout
    told = json.loads(report.read_text())
    assert told["source_sha256"] == told["restored_sha256"] != _digest(data / "images" / "web.raw")
    assert not [path for path in (data / "images").iterdir() if path.name.startswith(".")]
    with pytest.raises(NotRunning):
        Qmp.connect(data / "images" / "web.qmp", "web")


@pytest.mark.slow
def test_demo_without_qemu_says_what_to_install(tmp_path: Path) -> None:
    done = _demo("--host", "qemu", "--data", str(tmp_path / "data"), path=str(tmp_path))
    assert done.returncode != 0
    assert "qemu-system-x86" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_kept_server_answers_until_it_is_stopped(tmp_path: Path) -> None:
    data, report = tmp_path / "data", tmp_path / "report.json"
    done = _demo("--data", str(data), "--report", str(report), "--keep")
    assert done.returncode == 0, done.stderr
    announced = json.loads((data / "server" / "server.json").read_text())
    try:
        told = json.loads(report.read_text())
        trusted = ssl.create_default_context(cafile=announced["certificate"])
        assert httpx.get(f"{told['server_url']}/api/", verify=trusted).status_code == 200
    finally:
        os.kill(announced["pid"], signal.SIGTERM)


def test_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    done = _demo("--data", str(tmp_path))
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
