"""Looking after a repository by commands: verifying, pruning, what takes the room, and its keys."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from restorium.cli.app import run
from restorium.cli.client import Client, Connection, connect
from restorium.cli.demo.server import DemoServer, start_server
from restorium.vault import Key, Vault
from restorium.vocabulary.errors import Conflict, RestoriumError, WrongKey
from tests.support.disks import MIB
from tests.support.live import back_up, set_up

pytestmark = pytest.mark.slow


class Lab:
    """A server with a repository, ``vault``, in which are two restore points of the VM web."""

    def __init__(self, folder: Path, server: DemoServer, client: Client) -> None:
        self.folder = folder
        self.vault = folder / "vault"
        self.server = server
        self.client = client
        images = folder / "images"
        images.mkdir()
        disk = images / "web.raw"
        disk.write_bytes(random.Random(1).randbytes(3 * MIB))
        (images / "web.vm.toml").write_text('name = "web"\n[[disk]]\nkey = "disk0"\nfile = "web.raw"\n')
        self.job = set_up(client, images, self.vault)
        self.path = f"/repositories/{self.job['repository_id']}"
        self.back_up()
        disk.write_bytes(random.Random(2).randbytes(MIB) + disk.read_bytes()[MIB:])
        self.back_up()

    def back_up(self) -> None:
        back_up(self.client, self.job)

    def followed(self, method: str, what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of what is followed line by line."""
        *before, last = self.client.lines(method, f"{self.path}/{what}", body)
        assert all(line.keys() == {"phase", "done", "total"} for line in before)
        result: dict[str, Any] = last["result"]
        return result

    def points(self) -> list[dict[str, Any]]:
        return self.client.items("/restore-points")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    server = start_server(tmp_path / "data", tmp_path / "log")
    try:
        with connect(Connection(None, "administrator", None, None, tmp_path / "data")) as client:
            yield Lab(tmp_path, server, client)
    finally:
        server.stop()


def test_verification_is_kept_with_each_point_and_damage_is_mended_by_the_next_backup(lab: Lab) -> None:
    assert [point["verified_at"] for point in lab.points()] == [None, None]
    found = lab.followed("POST", "verify", {"read_data": True})
    assert (found["points"], found["findings"]) == (2, [])
    assert found["read_bytes"] == sum(pack.stat().st_size for pack in lab.vault.glob("packs/*/*"))
    assert all(point["verified_at"] and point["verified_data"] for point in lab.points())
    assert all(point["verify_problem"] is None for point in lab.points())

    newest = max(lab.vault.glob("packs/*/*"), key=lambda pack: pack.stat().st_mtime_ns)
    content = bytearray(newest.read_bytes())
    content[100] ^= 1
    newest.chmod(0o600)
    newest.write_bytes(content)
    found = lab.followed("POST", "verify", {"read_data": True, "quarantine": True})
    assert found["findings"] and found["quarantined"] == 1
    assert any("disk0" in str(point["verify_problem"]) for point in lab.points())
    lab.back_up()
    again = lab.followed("POST", "verify", {"read_data": True})
    assert len([check for check in again["checks"] if check["problems"]]) == 0
    assert [point["verify_problem"] for point in lab.points()] == [None, None, None]


def test_prune_and_stats_tell_what_takes_the_room(lab: Lab) -> None:
    counted = lab.followed("GET", "stats")
    assert counted["data"] == 6 * MIB
    assert 4 * MIB < counted["distinct"] < 4 * MIB + 4096  # tables too
    assert [point["added"] > 0 for point in counted["points"]] == [True, True]
    pruned = lab.followed("POST", "prune")
    assert (pruned["points"], pruned["removed_packs"], pruned["unreadable"]) == (2, 0, [])
    [repository] = lab.client.items("/repositories")
    assert repository["prune_outcome"].startswith("removed 0 bytes")


def test_who_leaves_stops_what_he_followed(lab: Lab) -> None:
    lines = lab.client.lines("POST", f"{lab.path}/verify", {"read_data": True})
    next(lines)
    lines.close()
    assert lab.followed("POST", "verify", {"read_data": True})["findings"] == []


def test_keys_are_added_rotated_and_removed_and_the_servers_own_stays(lab: Lab, tmp_path: Path) -> None:
    keys = f"{lab.path}/keys"
    [first] = lab.client.items(keys)
    assert first["servers_own"]
    given = {"kind": "passphrase", "passphrase": "eight words would be better"}
    added = lab.client.post(keys, given)
    assert not added["servers_own"]
    Vault.open(lab.vault.as_uri(), Key.passphrase(given["passphrase"]), cache=tmp_path / "other").close()
    with pytest.raises(Conflict):
        lab.client.post(keys, given)
    with pytest.raises(Conflict, match="the server opens"):
        lab.client.delete(f"{keys}/{first['name']}")
    rotated = lab.client.request("PUT", f"{lab.path}/key", json={**given, "passphrase": "another one"})
    names = {key["name"]: key["servers_own"] for key in lab.client.items(keys)}
    assert names == {added["name"]: False, rotated["name"]: True}
    lab.client.delete(f"{keys}/{added['name']}")
    with pytest.raises(WrongKey):
        Vault.open(lab.vault.as_uri(), Key.passphrase(given["passphrase"]), cache=tmp_path / "other")
    lab.back_up()


def test_protected_points_cannot_be_deleted(lab: Lab) -> None:
    lab.client.request("PUT", f"{lab.path}/protection", json={"days": 3})
    assert json.loads((lab.vault / "config").read_text())["protected_days"] == 3
    with pytest.raises(RestoriumError, match="-1"):
        lab.client.request("PUT", f"{lab.path}/protection", json={"days": -1})


def test_commands_say_it_in_words(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("eight words would be better\n")
    monkeypatch.setenv("RESTORIUM_DATA", str(lab.server.folder.path))
    for arguments, told in [
        (["verify", "local", "--read-data"], "2 restore points in"),
        (["verify", "local"], "nothing is wrong"),
        (["prune", "local"], "removed 0 B"),
        (["stats", "local"], "deduplicated 1.5 times"),
        (["key", "list", "local"], "the server"),
        (["key", "add", "local", "--passphrase-file", str(passphrase)], "added key"),
        (["key", "protect", "local", "--days", "2"], "for 2 days"),
    ]:
        monkeypatch.setattr("sys.argv", ["restorium", *arguments])
        with pytest.raises(SystemExit) as ended:
            run()
        shown = capsys.readouterr()
        assert not ended.value.code, shown.err
        assert told in shown.out
