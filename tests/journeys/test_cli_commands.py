"""Every command against a real server: what people see, what scripts read, how mistakes are answered."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from restorium.cli.app import run
from restorium.cli.demo.server import DemoServer, start_server
from tests.support import evidence as independent

_MIB = 1 << 20
_NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    output: str
    errors: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.errors
        return json.loads(self.output)


Command = Callable[..., Done]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("commands")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[DemoServer]:
    images = folder / "images"
    images.mkdir()
    (images / "web.raw").write_bytes(os.urandom(3 * _MIB) + bytes(5 * _MIB))
    (images / "web.vm.toml").write_text('name = "web"\n[[disk]]\nkey = "disk0"\nfile = "web.raw"\n')
    running = start_server(folder / "data", folder / "log")
    yield running
    running.stop()


@pytest.fixture
def command(
    server: DemoServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs the program with these arguments, finding the server through its data folder."""
    monkeypatch.setenv("RESTORIUM_DATA", str(server.folder.path))

    def execute(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["restorium", *arguments])
        with pytest.raises(SystemExit) as ended:
            run()
        captured = capsys.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    return execute


@pytest.fixture
def backed_up(command: Command, folder: Path) -> str:
    """The id of a restore point of the VM web, made through the commands alone on the first use."""
    points = command("points", "--json").json
    if not points:
        passphrase = folder / "passphrase"
        passphrase.write_text("a repository's passphrase\n")
        assert command("host", "add", "image-folder", "lab", str(folder / "images")).code == 0
        added = command(
            "repository",
            "add",
            "local",
            str(folder / "vault"),
            "--passphrase-file",
            str(passphrase),
            "--capacity",
            "1GB",
        )
        assert added.code == 0, added.errors
        assert command("job", "add", "nightly", "--repository", "local", "--vm", "lab/web").code == 0
        ran = command("job", "start", "nightly", "--follow")
        assert (ran.code, "Success" in ran.output) == (0, True), ran.errors
        points = command("points", "--json").json
    return str(points[0]["id"])


def test_vms_of_qemu_are_added_as_a_folder(command: Command, folder: Path) -> None:
    added = command("host", "add", "qemu", "machines", str(folder / "images"), "--json").json
    assert (added["kind"], added["address"]) == ("qemu", str(folder / "images"))
    assert "web" in command("host", "vms", "machines").output
    assert command("host", "remove", "machines").code == 0


def test_a_restore_point_is_removed_by_its_id(command: Command, backed_up: str) -> None:
    assert command("job", "start", "nightly", "--follow").code == 0
    [newest, *_] = [point["id"] for point in command("points", "--json").json]
    removed = command("remove-point", newest)
    assert (removed.code, "removed the restore point of web" in removed.output) == (0, True), removed.errors
    left = [point["id"] for point in command("points", "--json").json]
    assert newest not in left
    assert backed_up in left
    again = command("remove-point", newest)
    assert again.code != 0
    assert "no restore point" in again.errors


def test_lists_show_names_to_people_and_members_to_scripts(
    command: Command, backed_up: str, folder: Path
) -> None:
    [host] = command("host", "list", "--json").json
    assert (host["name"], host["kind"], host["address"]) == ("lab", "image-folder", str(folder / "images"))
    [repository] = command("repository", "list", "--json").json
    assert (repository["name"], repository["quota_bytes"]) == ("local", 10**9)
    [job] = command("job", "list", "--json").json
    assert (job["name"], [vm["vm_name"] for vm in job["vms"]]) == ("nightly", ["web"])
    for listed, shown in [
        (command("host", "list"), "lab"),
        (command("host", "vms", "lab"), "disk0 8.0 MiB"),
        (command("repository", "list"), "local"),
        (command("job", "list"), "nightly"),
        (command("points", "--vm", "web"), backed_up),
    ]:
        assert listed.code == 0
        assert shown in listed.output


def test_schedule_and_retention_are_set_shown_and_cleared(command: Command, backed_up: str) -> None:
    made = command(
        "job", "schedule", "nightly", "--daily", "02:30", "--days", "mon-fri", "--zone", "Europe/Berlin",
        "--window", "daily 22-6", "--retry", "3/10",
    )  # fmt: skip
    said = "Mon-Fri at 02:30, Europe/Berlin, within Mon-Sun 0-6 22-24, retried 3 times after 10 minutes"
    assert (made.code, said in made.output) == (0, True), made
    shown = command("job", "schedule", "nightly", "--json").json
    assert (shown["schedule"]["zone"], shown["schedule"]["daily"]["at"]) == ("Europe/Berlin", "02:30")
    assert " 02:30 Europe/Berlin, in " in command("job", "list").output
    assert "disabled" in command("job", "schedule", "nightly", "--disable").output
    kept = command("job", "retention", "nightly", "--points", "7", "--weekly", "4", "--yearly", "3")
    assert "keeps 7 restore points, weekly points for 4 weeks (Sunday), yearly" in kept.output
    details = command("job", "show", "nightly").output
    assert said in details and "keeps 7 restore points" in details and "disabled" in details
    assert command("job", "show", "nightly", "--json").json["retention"]["weekly"]["weeks"] == 4
    assert "keeps all restore points" in command("job", "retention", "nightly", "--keep-all").output
    assert "runs only when it is started" in command("job", "schedule", "nightly", "--clear").output


def test_jobs_are_edited_and_removed_and_what_is_needed_stays(
    command: Command, backed_up: str, folder: Path
) -> None:
    def done(*arguments: str) -> Done:
        ended = command(*arguments)
        assert ended.code == 0, ended.errors
        return ended

    (folder / "images" / "db.raw").write_bytes(bytes(_MIB))
    (folder / "images" / "db.vm.toml").write_text('name = "db"\n[[disk]]\nkey = "disk0"\nfile = "db.raw"\n')
    done("job", "add", "second", "--repository", "local", "--vm", "lab/web")
    done("job", "schedule", "second", "--after", "nightly")
    assert "after nightly" in done("job", "list").output
    assert "nightly" in command("job", "remove", "nightly").errors
    edited = done(
        "job", "edit", "second", "--name", "third", "--add-vm", "lab/db", "--remove-vm", "web", "--json"
    ).json
    assert (edited["name"], [vm["vm_name"] for vm in edited["vms"]]) == ("third", ["db"])
    done("job", "remove", "third")
    for left in ("db.raw", "db.vm.toml"):
        (folder / "images" / left).unlink()
    for refused, named in (("host", "lab"), ("repository", "local")):
        ended = command(refused, "remove", named)
        assert (ended.code, named in ended.errors) == (6, True)
    vault = folder / "spare"
    done("repository", "add", "spare", str(vault))
    assert "still there" in done("repository", "remove", "spare").output
    assert any(vault.iterdir())
    assert [each["name"] for each in command("repository", "list", "--json").json] == ["local"]
    done("host", "add", "image-folder", "spare", str(folder / "images"))
    done("host", "remove", "spare")


def test_points_are_filtered_by_vm_and_limited(command: Command, backed_up: str) -> None:
    assert [
        point["vm_name"] for point in command("points", "--vm", "web", "--limit", "1", "--json").json
    ] == ["web"]
    assert command("points", "--vm", "nobody", "--json").json == []


def test_restored_vm_holds_the_bytes_that_were_backed_up(
    command: Command, backed_up: str, folder: Path
) -> None:
    before = hashlib.sha256((folder / "images" / "web.raw").read_bytes()).digest()
    session = command("restore", backed_up, "--keep-original", "--name", "web2", "--follow", "--json").json
    assert (session["state"], session["result"], session["progress"]) == ("Stopped", "Success", 100)
    names = {vm["name"] for vm in command("host", "vms", "lab", "--json").json}
    assert names == {"web", "web2"}
    [restored] = [
        path for path in (folder / "images").iterdir() if "web2" in path.name and path.suffix == ".raw"
    ]
    assert hashlib.sha256(restored.read_bytes()).digest() == before

    listed = command("sessions", "--json").json
    assert session["id"] in [item["id"] for item in listed]
    shown = command("sessions", session["id"])
    assert "result Success" in shown.output
    assert "administrator" in shown.output
    assert command("sessions", session["id"], "--follow").code == 0
    chosen = ("sessions", "--state", "stopped", "--vm", "EB", "--since", "1h", "--result", "Success")
    assert session["id"] in [item["id"] for item in command(*chosen, "--json").json]
    assert command(*chosen[:-1], "Failed,Warning", "--json").json == []
    lines = command("sessions", "--csv", "--vm", "web").output.splitlines()
    assert lines[0].startswith("id,name,kind,vm_name,")
    assert any(line.startswith(session["id"]) for line in lines)
    for wrong in (
        ("--since", "soon"),
        ("--state", "odd"),
        ("--follow", "--csv"),
        (session["id"], "--vm", "a"),
    ):
        assert command("sessions", *wrong).code == 2


def test_evidence_is_fetched_and_checked_with_the_restored_image(
    command: Command, backed_up: str, folder: Path, tmp_path: Path
) -> None:
    session = command("restore", backed_up, "--name", "proof", "--follow", "--json").json
    record, key, old = tmp_path / "record.json", tmp_path / "key.pem", tmp_path / "old.pem"
    assert command("evidence", "get", session["id"], str(record)).code == 0
    assert command("evidence", "get", session["id"], str(record)).code == 1, "a file is never overwritten"
    assert command("evidence", "key", str(key)).code == 0
    read = independent.read(record.read_text(), key.read_text())
    assert read["session"]["requested_by"] == "administrator"
    assert read["disks"][0]["digest"] == session["disks"][0]["digest"]
    [image] = (folder / "images").glob("*proof*.raw")
    offline = ("evidence", "verify", str(record), "--key", str(key), "--image", f"disk0={image}")
    checked = command(*offline)
    assert checked.code == 0, checked.errors
    assert "is identical" in checked.output

    assert command("evidence", "rotate").code == 0
    assert command("evidence", "key", str(old), "--all").code == 0
    assert old.read_text().endswith(key.read_text())
    assert len(command("evidence", "keys", "--json").json) == 2
    record.write_text(record.read_text().replace("administrator", "nobody"))
    assert command(*offline).code == 1
    assert command("evidence", "get", _NOBODY).code == 5
    assert command("evidence", "verify", str(tmp_path / "none"), "--key", str(key)).code == 2


def test_restore_onto_a_name_that_is_taken_fails_with_reason_and_remedy(
    command: Command, backed_up: str
) -> None:
    failed = command("restore", backed_up, "--name", "web", "--follow")
    assert failed.code in (1, 6)
    assert "error: " in failed.errors
    assert len(failed.errors.strip().splitlines()) >= 2


def test_dry_run_tells_what_would_happen_and_does_nothing(
    command: Command, backed_up: str, folder: Path
) -> None:
    before = sorted(path.name for path in (folder / "images").iterdir())
    sessions = command("sessions", "--json").json
    plan = command("restore", backed_up, "--name", "planned", "--dry-run", "--json").json
    assert (plan["ok"], plan["expected"], plan["target_name"]) == (True, "Success", "planned")
    assert plan["disks"][0]["data_bytes"] == plan["needed_bytes"] > 0
    assert plan["free_bytes"] > plan["needed_bytes"]
    assert "as planned on" in command("restore", backed_up, "--name", "planned", "--dry-run").output
    taken = command("restore", backed_up, "--name", "web", "--dry-run")
    assert taken.code == 1
    assert "expected result Failed" in taken.output
    assert "exists already (target-exists)" in taken.output
    assert sorted(path.name for path in (folder / "images").iterdir()) == before
    assert command("sessions", "--json").json == sessions


def test_a_restore_that_chooses_where_the_host_has_no_choice_is_refused(
    command: Command, backed_up: str
) -> None:
    for choice in (("--storage", "gold"), ("--network", "office=lab"), ("--container", "tenants")):
        refused = command("restore", backed_up, "--name", "elsewhere", *choice, "--dry-run")
        assert "offers no choice of storage, networks or folder" in refused.errors
        assert refused.code != 0
    for mapping in (("office",), ("office=",), ("office=lab", "office=wan")):
        networks = [word for each in mapping for word in ("--network", each)]
        refused = command("restore", backed_up, "--name", "elsewhere", *networks)
        assert (refused.code, mapping[-1] in refused.errors) == (2, True)


def test_an_instant_restore_where_the_host_runs_no_vms_is_refused(command: Command, backed_up: str) -> None:
    for more in ((), ("--dry-run",)):
        refused = command("restore", backed_up, "--instant", *more)
        assert "cannot run a VM from its restore point" in refused.errors
        assert refused.code != 0


def test_cancel_of_a_finished_restore_is_a_conflict(command: Command, backed_up: str) -> None:
    session = command("restore", backed_up, "--name", "web3", "--follow", "--json").json
    assert command("cancel", session["id"]).code == 6


def test_account_is_added_used_and_removed(command: Command, folder: Path) -> None:
    password = folder / "operator-password"
    password.write_text("operator's own password\n")
    added = command(
        "account", "add", "operator", "--role", "VM Restore Operator", "--new-password-file", str(password)
    )
    assert added.code == 0, added.errors
    as_operator = ("--username", "operator", "--password-file", str(password))
    assert command("points", *as_operator).code == 0
    refused = command("account", "list", *as_operator)
    assert (refused.code, "operator may not" in refused.errors) == (4, True)
    assert "VM Restore Operator" in command("account", "list").output
    assert command("account", "remove", "operator").code == 0
    assert command("points", *as_operator).code == 3
    assert "operator" not in command("account", "list").output


def test_random_password_is_shown_and_works(command: Command, folder: Path) -> None:
    added = command("account", "add", "second", "--json").json
    file = folder / "second"
    file.write_text(added["password"])
    as_second = ("host", "list", "--username", "second", "--password-file", str(file))
    assert command(*as_second).code == 0
    changed = command("account", "set-password", "second", "--json").json
    assert command(*as_second).code == 3
    file.write_text(changed["password"])
    assert command(*as_second).code == 0
    assert command("account", "remove", "second").code == 0


def test_last_administrator_stays(command: Command) -> None:
    assert command("account", "remove", "administrator").code == 6


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("restore", _NOBODY), 5, _NOBODY),
        (("restore", "not-a-guid"), 2, "not-a-guid"),
        (("sessions", _NOBODY), 5, _NOBODY),
        (("cancel", _NOBODY), 5, _NOBODY),
        (("job", "start", "nothing"), 5, "nothing"),
        (("job", "add", "x", "--repository", "nothing", "--vm", "a/b"), 5, "nothing"),
        (("account", "remove", "nobody"), 5, "nobody"),
        (("job", "show", "nothing"), 5, "nothing"),
        (("job", "schedule", "nightly", "--daily", "25:00"), 2, "25:00"),
        (("job", "schedule", "nightly", "--days", "mon"), 2, "--days says nothing without --daily"),
        (("job", "schedule", "nightly", "--zone", "Europe/Berlin"), 2, "--zone says nothing without"),
        (("job", "schedule", "nightly", "--daily", "22:00", "--zone", "Mars/Base"), 2, "Mars/Base"),
        (("job", "schedule", "nightly", "--daily", "22:00", "--every", "4h"), 2, "exactly one way"),
        (("job", "schedule", "nightly", "--every", "4 parsecs"), 2, "parsecs"),
        (("job", "schedule", "nightly", "--after", "nothing"), 5, "nothing"),
        (("job", "retention", "nightly", "--weekly", "4"), 2, "either so many points"),
        (("job", "retention", "nightly", "--points", "0"), 2, "cannot be kept"),
        (("job", "edit", "nightly", "--remove-vm", "nobody"), 5, "nobody"),
        (("host", "remove", "nothing"), 5, "nothing"),
        (("repository", "remove", "local"), 6, "nightly"),
        (("account", "add", "x", "--role", "King"), 2, "King"),
        (("host", "add", "image-folder", "y", "/nonexistent/folder"), 1, "/nonexistent/folder"),
        (("host", "add", "libvirt", "y", "--address", "qemu+ssh://x/system"), 2, "qemu+ssh://x/system"),
        (("host", "add", "libvirt", "y", "--address", "qemu+unix:///system?socket=/none"), 1, "/none"),
        (("repository", "add", "z", "ftp://example"), 2, "ftp"),
        (("repository", "add", "z", "/tmp/z", "--capacity", "much"), 2, "much"),
        (("points", "--server", "https://127.0.0.1:1"), 3, "127.0.0.1:1"),
        (("points", "--data", "/nonexistent"), 3, "/nonexistent"),
        (("points", "--ca", "/nonexistent.pem"), 2, "/nonexistent.pem"),
        (("points", "--password-file", "/nonexistent"), 3, "/nonexistent"),
        (("points", "--limit", "0"), 2, "limit"),
        (("nonsense",), 2, "nonsense"),
    ],
)
def test_mistake_is_answered_with_message_remedy_and_code(
    command: Command, backed_up: str, arguments: tuple[str, ...], code: int, told: str
) -> None:
    done = command(*arguments)
    assert (done.code, told in done.errors) == (code, True), done.errors
    assert done.output == ""
    assert "Traceback" not in done.errors
    assert len(done.errors.strip().splitlines()) >= 2


def test_server_of_another_certificate_is_not_trusted(command: Command, server: DemoServer) -> None:
    done = command("points", "--server", server.url, "--password-file", str(server.folder.initial_password))
    assert done.code == 3
    assert "certificate" in done.errors


def test_wrong_passphrase_is_refused_and_opens_nothing(
    command: Command, backed_up: str, folder: Path
) -> None:
    wrong = folder / "wrong"
    wrong.write_text("guess\n")
    done = command("repository", "add", "again", str(folder / "vault"), "--passphrase-file", str(wrong))
    assert done.code == 1
    assert "passphrase" in done.errors
    assert len(command("repository", "list", "--json").json) == 1


def test_audit_log_is_shown_taken_away_and_checked(
    command: Command, server: DemoServer, folder: Path
) -> None:
    noted = command("audit", "head", "--json").json["hash"]
    command("account", "add", "auditor", "--role", "Portal User")
    [ended, begun] = command("audit", "list", "--operation", "native POST /accounts", "--json").json[:2]
    assert (ended["begun"], ended["outcome"], begun["actor"]) == (begun["number"], "ok", "administrator")
    file = folder / "audit.ndjson"
    assert command("audit", "export", str(file)).code == 0
    assert command("audit", "export", str(file)).code == 1  # is there already
    assert command("audit", "verify", str(file), "--head", noted).code == 0
    told = command("audit", "verify", "--data", str(server.folder.path), "--head", noted)  # beside the server
    assert (told.code, "the log is whole" in told.output) == (0, True)
    guide = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
    code = guide.partition("```python\n")[2].partition("```")[0]
    checked = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True)
    lines = file.read_text().splitlines(keepends=True)
    assert checked.stdout.split() == [str(len(lines)), json.loads(lines[-1])["hash"]]
    file.write_text("".join(lines[:3] + lines[4:]))
    broken = command("audit", "verify", str(file))
    assert (broken.code, "entry 4 is missing" in broken.errors) == (1, True)
    file.write_text("".join(lines[:2]))
    assert command("audit", "verify", str(file)).code == 0
    assert command("audit", "verify", str(file), "--head", noted).code == 1
    assert command("audit", "verify", "--head", "beef").code == 2
    assert command("audit", "verify", "--data", str(folder / "nothing")).code == 2
