"""The QMP client against servers that are not QEMU, or one that misbehaves. Real ones are in tests/conformance."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from restorium.hosts.qemu.qmp import NotRunning, Qmp, Refused, short_name
from restorium.vocabulary.errors import HostError, Unsupported

_READY = {"return": {}}
Serve = Callable[..., Path]


def _greeting(major: Any = 7, minor: int = 2) -> dict[str, Any]:
    return {"QMP": {"version": {"qemu": {"micro": 0, "minor": minor, "major": major}}, "capabilities": []}}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """A server that sends these messages to a client, one after each line that it gets, the first at once."""
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    path = folder / "vm.qmp"
    listener = socket.socket(socket.AF_UNIX)
    threads = []

    def start(*messages: bytes | dict[str, Any], stays: bool = False, ends: bool = False) -> Path:
        with short_name(path) as short:
            listener.bind(short)
        listener.listen()

        def answer() -> None:
            with suppress(OSError):
                client, _ = listener.accept()
                with client, client.makefile("rb") as lines:
                    for number, message in enumerate(messages):
                        if number:
                            lines.readline()
                        client.sendall(
                            message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
                        )
                    if stays:
                        lines.read()
                    if not ends:
                        lines.readline()

        threads.append(threading.Thread(target=answer))
        threads[0].start()
        return path

    yield start
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in threads:
        thread.join()


def test_events_between_a_command_and_its_answer_are_passed_by(serve: Serve) -> None:
    event = json.dumps({"event": "STOP"}).encode() + b"\r\n"
    path = serve(_greeting(), _READY, event + json.dumps({"return": {"running": True}}).encode() + b"\r\n")
    with Qmp.connect(path, "web") as qmp:
        assert qmp.execute("query-status") == {"running": True}


def test_a_refusal_has_the_reason_of_qemu(serve: Serve) -> None:
    error = {"error": {"class": "GenericError", "desc": "no such thing"}}
    with (
        Qmp.connect(serve(_greeting(), _READY, error), "web") as qmp,
        pytest.raises(Refused, match="web: no such thing"),
    ):
        qmp.execute("query-status")


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0\r\n",
        b"[]\n",
        b"{}\n",
        {"QMP": None},
        {"QMP": {"version": {}}},
        _greeting("seven"),
        b"\xff\n",
    ],
    ids=["text", "list", "object", "null", "no-version", "odd-version", "bytes"],
)
def test_what_is_not_qemu_is_told(serve: Serve, said: bytes | dict[str, Any]) -> None:
    with pytest.raises(HostError, match="web is not QEMU"):
        Qmp.connect(serve(said), "web")


def test_a_qemu_that_is_too_old_is_told(serve: Serve) -> None:
    with pytest.raises(Unsupported, match=r"QEMU 6\.2"):
        Qmp.connect(serve(_greeting(6, 2)), "web")


def test_one_that_is_silent_is_not_waited_for_without_an_end(serve: Serve) -> None:
    with pytest.raises(HostError, match="does not answer") as silent:
        Qmp.connect(serve(b"", stays=True), "web", seconds=0.1)
    assert "one program at a time" in silent.value.hint


def test_one_that_ends_in_the_middle_is_off(serve: Serve) -> None:
    with (
        Qmp.connect(serve(_greeting(), _READY, b"", ends=True), "web") as qmp,
        pytest.raises(NotRunning, match="web has ended"),
    ):
        qmp.execute("query-status")


@pytest.mark.parametrize("file", ["absent", "folder/absent", "file/absent"])
def test_no_socket_is_a_vm_that_is_off(tmp_path: Path, file: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotRunning, match="does not run"):
        Qmp.connect(tmp_path / file, "web")


def test_a_socket_that_nobody_listens_on_is_a_vm_that_is_off(tmp_path: Path) -> None:
    path = tmp_path / "vm.qmp"
    with socket.socket(socket.AF_UNIX) as left, short_name(path) as short:
        left.bind(short)
    with pytest.raises(NotRunning, match="does not run"):
        Qmp.connect(path, "web")
