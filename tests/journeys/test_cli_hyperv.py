"""An emulated Hyper-V host added, backed up and restored to by the commands alone."""

from __future__ import annotations

import json
import random
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from restorium.cli.app import run
from restorium.cli.demo.server import start_server
from tests.support.disks import MIB
from tests.support.labs.hyperv.lab import PASSWORD, USERNAME, HyperVLab

pytestmark = pytest.mark.slow


def test_the_main_job_on_a_hyper_v_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["restorium", *arguments])
        with pytest.raises(SystemExit) as ended:
            run()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    def told(*arguments: str) -> Any:
        code, output, errors = command(*arguments, "--json")
        assert code == 0, errors
        return json.loads(output)

    secrets = {"right": PASSWORD, "wrong": "guessed wrong", "vault": "a repository's passphrase"}
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret)
    content = random.Random(1).randbytes(2 * MIB)
    with closing(HyperVLab(tmp_path)) as lab:
        assert lab.login is not None
        ref = lab.add_vm("web", {"scsi-0-0": content})
        lab.start(ref)
        server = start_server(tmp_path / "data", tmp_path / "log")
        try:
            monkeypatch.setenv("RESTORIUM_DATA", str(server.folder.path))
            host = ["host", "add", "hyperv", "hv1", lab.address, "--logon-username", USERNAME]
            trusted = ["--thumbprint", str(lab.login.thumbprint)]
            code, _, errors = command(*host, "--logon-password-file", str(tmp_path / "right"))
            assert code != 0
            assert "certificate" in errors
            code, _, errors = command(*host, *trusted, "--logon-password-file", str(tmp_path / "wrong"))
            assert code != 0
            assert USERNAME in errors
            assert secrets["wrong"] not in errors
            added = told(*host, *trusted, "--logon-password-file", str(tmp_path / "right"))
            assert (added["kind"], added["address"]) == ("hyperv", lab.address)
            assert [vm["name"] for vm in told("host", "vms", "hv1")] == ["web"]
            told(
                "repository",
                "add",
                "main",
                str(tmp_path / "store"),
                "--passphrase-file",
                str(tmp_path / "vault"),
            )
            told("job", "add", "nightly", "--repository", "main", "--vm", f"hv1/{ref}")
            code, _, errors = command("job", "start", "nightly", "--follow")
            assert code == 0, errors
            [point] = told("points")
            session = told(
                "restore", point["id"], "--keep-original", "--name", "copy", "--power-on", "--follow"
            )
        finally:
            server.stop()
        assert session["result"] == "Success"
        copy = next(vm for vm in lab.windows.vms if vm.name == "copy")
        assert lab.contents(copy.id) == {"scsi-0-0": content}
        assert lab.runs(copy.id)
        assert lab.runs(ref)
        assert not lab.leftovers()
