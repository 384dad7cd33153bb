"""Disks of restore points taken out of the repository as image files, or as bytes, and nothing half written."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from restorium.cli.app import run
from restorium.cli.client import Client, Connection, connect
from restorium.cli.demo.server import DemoServer, start_server
from restorium.vocabulary.errors import InvalidInput, NotFound
from tests.support.disks import MIB, needs_qemu, qemu_img
from tests.support.live import back_up, set_up

pytestmark = pytest.mark.slow

SIZE = 40 * MIB
CONTENT = {0: b"boot", 5 * MIB: random.Random(1).randbytes(12 * MIB), SIZE - 5: b"tail."}


@dataclass(frozen=True)
class Lab:
    """A server with one restore point of the VM web, whose disk is ``image``."""

    server: DemoServer
    image: Path
    point: str

    def restorium(self, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self.command(*arguments), capture_output=True, check=False, timeout=60)

    def command(self, *arguments: str | Path) -> list[str]:
        program = [sys.executable, "-m", "restorium", *map(str, arguments)]
        return [*program, "--data", str(self.server.folder.path)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("export")
    images = folder / "images"
    images.mkdir()
    image = images / "web.raw"
    with image.open("wb") as file:
        file.truncate(SIZE)
        for offset, content in CONTENT.items():
            os.pwrite(file.fileno(), content, offset)
    (images / "web.vm.toml").write_text('name = "web"\n[[disk]]\nkey = "disk0"\nfile = "web.raw"\n')
    server = start_server(folder / "data", folder / "log")
    try:
        with connect(Connection(None, "administrator", None, None, folder / "data")) as client:
            back_up(client, set_up(client, images, folder / "vault"))
            [point] = client.items("/restore-points")
            yield Lab(server, image, point["id"])
    finally:
        server.stop()


@pytest.mark.slow
def test_imported_image_is_a_point_that_can_be_taken_out_again(lab: Lab, tmp_path: Path) -> None:
    image = tmp_path / "found.img"
    image.write_bytes(random.Random(7).randbytes(MIB))
    places = ("--host", "lab", "--repository", "local")
    done = lab.restorium("import", "found", image, *places, "--follow")
    assert done.returncode == 0, done.stderr.decode()
    listed = lab.restorium("points", "--vm", "found", "--json")
    [point] = json.loads(listed.stdout)
    assert lab.restorium("export", point["id"], "-").stdout == image.read_bytes()
    refused = lab.restorium("import", "web", image, *places)
    assert (refused.returncode, b"'web' already" in refused.stderr) == (6, True)


@needs_qemu
@pytest.mark.slow
@pytest.mark.parametrize("image_format", ["raw", "qcow2", "vmdk", "vhdx"])
def test_image_file_holds_the_disk(lab: Lab, tmp_path: Path, image_format: str) -> None:
    target = tmp_path / f"disk.{image_format}"
    done = lab.restorium("export", lab.point, target)
    assert done.returncode == 0, done.stderr.decode()
    assert "identical" in qemu_img("compare", "-f", image_format, "-F", "raw", target, lab.image)
    assert target.stat().st_blocks * 512 < 20 * MIB
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.slow
def test_standard_output_is_the_raw_disk(lab: Lab) -> None:
    done = lab.restorium("export", lab.point, "-")
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == lab.image.read_bytes()


@pytest.mark.slow
def test_what_is_there_stays_and_what_is_wrong_is_named(lab: Lab, tmp_path: Path) -> None:
    target = tmp_path / "kept.raw"
    target.write_bytes(b"mine")
    for arguments, told in [
        ((lab.point, target), "kept.raw exists already"),
        ((lab.point, tmp_path / "new", "--disk", "disk9"), "no disk 'disk9'"),
        ((lab.point, tmp_path / "new", "--format", "vdi"), "'vdi' images are not written"),
        ((lab.point, "-", "--format", "qcow2"), "cannot be written to standard output"),
    ]:
        refused = lab.restorium("export", *arguments)
        assert refused.returncode != 0
        assert told in refused.stderr.decode()
    assert target.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [target]


def test_any_bytes_are_had_by_a_range(lab: Lab) -> None:
    whole = lab.image.read_bytes()
    with connect(Connection(None, "administrator", None, None, lab.server.folder.path)) as client:
        [disk] = client.items(f"/restore-points/{lab.point}/disks")
        assert (disk["key"], disk["size"], disk["format"]) == ("disk0", SIZE, "raw")
        path = f"/restore-points/{lab.point}/disks/0"
        for first, last in [(0, 0), (5 * MIB - 3, 9 * MIB), (SIZE - 5, SIZE - 1), (SIZE - 2, SIZE + 99)]:
            found = client.content(f"{path}/data", {"Range": f"bytes={first}-{last}"})
            assert found == whole[first : last + 1]
        for wrong in ("bytes=9-3", f"bytes={SIZE}-", "bytes=-5", "bytes=0-1,4-5", "lines=0-1"):
            with pytest.raises(InvalidInput, match="Range"):
                client.content(f"{path}/data", {"Range": wrong})
        with pytest.raises(NotFound, match="disk number 1"):
            client.content(f"/restore-points/{lab.point}/disks/1/data", {})
        covered = bytearray(SIZE)
        for extent in client.items(f"{path}/extents"):
            span = slice(extent["offset"], extent["offset"] + extent["length"])
            covered[span] = whole[span]
        assert covered == whole
        [first] = client.items(f"{path}/extents", limit=1)
        following = client.items(f"{path}/extents", offset=first["offset"] + 1, limit=1)
        assert following[0]["offset"] == first["offset"] + 1


def test_interrupted_export_leaves_nothing(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def interrupted(client: Client, path: str, headers: dict[str, str]) -> bytes:
        asked.append(path)
        if len(asked) == 2:
            assert list(tmp_path.iterdir()) != []
            raise KeyboardInterrupt
        return real(client, path, headers)

    real = Client.content
    monkeypatch.setattr(Client, "content", interrupted)
    monkeypatch.setenv("RESTORIUM_DATA", str(lab.server.folder.path))
    monkeypatch.setattr(sys, "argv", ["restorium", "export", lab.point, str(tmp_path / "disk.qcow2")])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 130
    assert list(tmp_path.iterdir()) == []


def test_server_streams_the_whole_disk_to_any_client(lab: Lab) -> None:
    running = lab.server.folder.running_server()
    assert running is not None
    with httpx.Client(base_url=running.url, verify=False) as http:
        password = lab.server.folder.initial_password.read_text().strip()
        token = http.post("/v1/tokens", json={"name": "administrator", "password": password}).json()["token"]
        headers = {"Authorization": f"Bearer {token}"}
        answer = http.get(f"/v1/restore-points/{lab.point}/disks/0/data", headers=headers)
    assert (answer.status_code, answer.headers["Accept-Ranges"]) == (200, "bytes")
    assert answer.content == lab.image.read_bytes()
