"""The lock on a data folder, and how a server announces itself in it."""

import stat
from pathlib import Path

import pytest

from restorium.cli.data_folder import DataFolder, RunningServer, write_private
from restorium.vocabulary.errors import AlreadyRunning, InvalidInput


def test_second_holder_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    with folder.locked(), pytest.raises(AlreadyRunning) as refused, folder.locked():
        pass
    assert str(folder.path) in refused.value.message
    with folder.locked():
        pass


def test_new_folder_is_closed_to_others(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "a" / "data")
    with folder.locked():
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="file/data"), DataFolder(tmp_path / "file" / "data").locked():
        pass


def test_server_is_found_while_it_is_announced(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    server = RunningServer("https://127.0.0.1:1", 42, tmp_path / "certificate.pem")
    assert folder.running_server() is None
    with folder.announced(server):
        assert folder.running_server() == server
    assert folder.running_server() is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"url": 1}'])
def test_damaged_announcement_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"server\.json"):
        DataFolder(tmp_path).running_server()


def test_private_file_is_private_and_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    write_private(file, "old")
    write_private(file, "new")
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]
