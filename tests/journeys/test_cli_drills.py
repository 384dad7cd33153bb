"""Drills by commands against a real server: a plan, a run that is followed, what it found, and the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from restorium.cli.app import run
from restorium.cli.client import connect
from restorium.emulator import find_qemu
from restorium.evidence import check, read_public_keys
from tests.support.boots import MARKER, boot_sector
from tests.support.disks import MIB
from tests.support.live import Starter, back_up, set_up

pytestmark = pytest.mark.slow


@pytest.mark.skipif(find_qemu() is None, reason="QEMU for x86 is not installed")
def test_a_plan_is_run_shown_reported_and_changed(
    start: Starter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images, sandbox = tmp_path / "images", tmp_path / "sandbox"
    images.mkdir()
    sandbox.mkdir()
    (images / "web.raw").write_bytes(boot_sector() + bytes(MIB))
    (images / "web.vm.toml").write_text('name = "web"\n[[disk]]\nkey = "disk0"\nfile = "web.raw"\n')
    server = start()
    with connect(server.connection) as client:
        back_up(client, set_up(client, images, tmp_path / "vault"))

    def command(*arguments: str, code: int = 0) -> str:
        monkeypatch.setattr("sys.argv", ["restorium", *arguments])
        with pytest.raises(SystemExit) as ended:
            run()
        told = capsys.readouterr()
        assert ended.value.code == code, told
        return told.out

    monkeypatch.setenv("RESTORIUM_DATA", str(server.folder.path))
    command("host", "add", "image-folder", "sandbox", str(sandbox))
    assert "web" in command("drill", "at-risk", code=1)
    plan = ("drill", "plan")
    command(*plan, "add", "weekly", "--sandbox", "sandbox", "--objective", "15m", "--vm", "lab/web", code=0)
    command(*plan, "add", "weekly", "--sandbox", "sandbox", "--objective", "15m", "--percent", "5", code=6)
    command(*plan, "add", "x", "--sandbox", "sandbox", "--objective", "soon", "--percent", "5", code=2)
    command(*plan, "add", "x", "--sandbox", "lab", "--objective", "1h", "--percent", "5", code=6)
    command(*plan, "edit", "weekly", "--boot", MARKER, "--boot-memory", "64", "--every", "12h")
    shown = command(*plan, "show", "weekly")
    for told in ("900 s", f"boot to {MARKER}", "every 12 hours", "sandbox", "web"):
        assert told in shown
    assert "weekly" in command(*plan, "list")

    assert "Success" in command("drill", "run", "weekly", "--follow")
    assert list(sandbox.iterdir()) == []
    [ran] = json.loads(command("drill", "runs", "--plan", "weekly", "--json"))
    shown = command("drill", "show", ran["id"])
    for told in ("1 of 1 passed", "Passed      digest", "Passed      boot", "recovered in"):
        assert told in shown
    assert "Success" in command("drill", "results", "--vm", "web")
    command("drill", "at-risk")
    command("drill", "cancel", ran["id"], code=6)

    page, table = tmp_path / "drills.html", tmp_path / "drills.csv"
    command("drill", "report", "--out", str(page))
    command("drill", "report", "--run", ran["id"], "--out", str(table))
    command("drill", "report", "--out", str(page), code=1)
    assert "web" in page.read_text()
    assert "web" in table.read_text()
    [result] = json.loads(command("drill", "results", "--json"))
    record, key = tmp_path / "record.json", tmp_path / "key.pem"
    command("evidence", "get", result["session_id"], str(record))
    command("evidence", "key", str(key))
    genuine = check(record.read_bytes(), read_public_keys(key.read_bytes(), "key"))
    assert genuine.merkle_root == result["merkle_root"]
    assert str(genuine.merkle_root) in page.read_text()

    command(*plan, "edit", "weekly", "--file", "/etc/fstab", "--no-boot", "--disable")
    assert "disabled" in command(*plan, "show", "weekly")
    failed = command("drill", "run", "weekly", "--follow", "--json", code=1)
    assert "drill-failed" in command("drill", "show", json.loads(failed)["id"], code=1)
    command(*plan, "remove", "weekly")
    assert len(json.loads(command("drill", "runs", "--json"))) == 2
