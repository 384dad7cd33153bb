"""Who can open a vault, and that no secret is shown."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from restorium.vault import Key, Vault
from restorium.vocabulary.errors import (
    DataCorrupt,
    InvalidInput,
    NotAVault,
    StorageUnavailable,
    Unsupported,
    VaultExists,
    WrongKey,
)
from tests.support.vaults import KEY, MemoryDisk, back_up, new_vault, open_vault, restored

PASSPHRASE = "Über den Dächern, 8 Katzen"


def rewrite(folder: Path, **members: Any) -> None:
    """Change members of the configuration, and of its copy, as they lie there."""
    for name in ("config", "config.copy"):
        path = folder / "vault" / name
        path.write_text(json.dumps(json.loads(path.read_text()) | members))


def test_a_passphrase_opens_its_vault_however_it_is_composed(tmp_path: Path) -> None:
    vault = new_vault(tmp_path, key=Key.passphrase(unicodedata.normalize("NFC", PASSPHRASE)))
    _, record = back_up(vault, MemoryDisk(b"content"))
    again = open_vault(tmp_path, key=Key.passphrase(unicodedata.normalize("NFD", PASSPHRASE)))
    assert again.id == vault.id
    assert restored(again, record) == b"content"


def test_a_key_file_opens_its_vault(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\n" + bytes(range(40)) + b"\n")
    vault = new_vault(tmp_path, key=Key.file(file))
    assert open_vault(tmp_path, key=Key.raw(file.read_bytes())).id == vault.id
    assert open_vault(tmp_path, key=Key.from_bytes(Key.file(file).to_bytes())).id == vault.id


def test_every_other_key_is_refused(tmp_path: Path) -> None:
    new_vault(tmp_path, key=Key.passphrase("correct horse battery staple 1234"))
    for key in (
        Key.passphrase("correct horse battery staple 1235"),
        Key.raw(b"correct horse battery staple 1234"),
        KEY,
    ):
        with pytest.raises(WrongKey) as raised:
            open_vault(tmp_path, key=key)
        assert str(tmp_path) in raised.value.message


def test_keys_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        Key.passphrase("")
    with pytest.raises(InvalidInput, match="31 bytes"):
        Key.raw(bytes(31))
    with pytest.raises(InvalidInput, match="absent"):
        Key.file(tmp_path / "absent")
    with pytest.raises(WrongKey):
        Key.from_bytes(b"other\0secret")


def test_keys_show_no_secret(tmp_path: Path) -> None:
    key = Key.passphrase("canary-in-the-mine")
    vault = new_vault(tmp_path, key=key)
    with pytest.raises(WrongKey) as raised:
        open_vault(tmp_path, key=Key.passphrase("second-canary"))
    shown = [repr(key), str(key), repr(vault), repr(vars(vault)), str(raised.value), raised.value.hint]
    shown.append((tmp_path / "vault" / "config").read_text())
    assert not [text for text in shown if "canary" in text]


@pytest.mark.parametrize(
    "members",
    [
        {"chunk_size": 4096},
        {"id": "00000000-0000-4000-8000-000000000000"},
        {"extra": True},
        {"tag": "00" * 32},
        {"tag": "no hex"},
        {"slots": [{"kind": "key-file"}]},
    ],
)
def test_a_changed_configuration_is_noticed(tmp_path: Path, members: dict[str, Any]) -> None:
    new_vault(tmp_path)
    rewrite(tmp_path, **members)
    with pytest.raises(DataCorrupt, match="configuration"):
        open_vault(tmp_path)


def test_a_slot_that_asks_for_all_memory_is_not_tried(tmp_path: Path) -> None:
    new_vault(tmp_path, key=Key.passphrase("p"))
    slots = json.loads((tmp_path / "vault" / "config").read_text())["slots"]
    rewrite(tmp_path, slots=[slots[0] | {"memory_kib": 1 << 40}])
    with pytest.raises(DataCorrupt):
        open_vault(tmp_path, key=Key.passphrase("p"))


def test_a_later_format_is_left_alone(tmp_path: Path) -> None:
    new_vault(tmp_path)
    rewrite(tmp_path, version=2)
    with pytest.raises(Unsupported, match="version 2"):
        open_vault(tmp_path)


def test_what_is_no_vault_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(NotAVault):
        open_vault(tmp_path)
    (tmp_path / "vault").mkdir()
    with pytest.raises(NotAVault):
        open_vault(tmp_path)
    for content in ("", "{}", "[]", '{"format": "other"}', "\0"):
        (tmp_path / "vault" / "config").write_text(content)
        with pytest.raises(NotAVault):
            open_vault(tmp_path)


def test_a_vault_is_never_made_over_another(tmp_path: Path) -> None:
    vault = new_vault(tmp_path)
    name, _ = back_up(vault, MemoryDisk(b"content"))
    with pytest.raises(VaultExists):
        new_vault(tmp_path, key=Key.passphrase("other"))
    assert open_vault(tmp_path).points() == [name]


@pytest.mark.parametrize(
    "url", ["", "/path", "file://host/path", "file:relative", "ftp://x/y", "s3://", "http://x/"]
)
def test_a_url_that_names_no_storage_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidInput):
        Vault.create(url, KEY, cache=tmp_path)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageUnavailable):
        Vault.create(f"file://{tmp_path}/file/vault", KEY, cache=tmp_path)


def test_folders_with_spaces_and_signs_in_their_names_work(tmp_path: Path) -> None:
    folder = tmp_path / "a b%20#ü"
    url = f"{folder.as_uri()}"
    vault = Vault.create(url, KEY, cache=tmp_path)
    back_up(vault, MemoryDisk(b"x"))
    assert (folder / "config").exists()
    assert len(Vault.open(url, KEY, cache=tmp_path).points()) == 1
