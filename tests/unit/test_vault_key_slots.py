"""Several keys of one vault: added, removed, rotated, and the configuration that outlives its own damage."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from restorium.vault import Key, Keys, KeySlot, Storage, Vault
from restorium.vocabulary.errors import Conflict, DataCorrupt, NotFound, WrongKey
from tests.support.vaults import KEY, MemoryDisk, back_up, restored

SECOND = Key.raw(b"another key, of more than 32 bytes")
THIRD = Key.raw(b"a third key, it also has its bytes")


@pytest.fixture(params=["folder", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return Storage.open(f"file://{tmp_path}/vault", make=True)
    return Storage(MemoryStore(), "memory")


@pytest.fixture
def vault(storage: Storage, tmp_path: Path) -> Vault:
    return Vault.create(storage, KEY, cache=tmp_path / "cache")


def opens(storage: Storage, key: Key, folder: Path) -> bool:
    try:
        Vault.open(storage, key, cache=folder / "cache").close()
    except WrongKey:
        return False
    return True


def keys(storage: Storage, key: Key = KEY) -> Keys:
    return Vault.keys(storage, key)


def test_a_second_key_opens_what_the_first_wrote(vault: Vault, storage: Storage, tmp_path: Path) -> None:
    _, disk = back_up(vault, MemoryDisk(b"content"))
    (first,) = keys(storage).all()
    second = keys(storage).add(SECOND)
    assert keys(storage, SECOND).all() == (first, second)
    assert second.name != first.name
    opened = Vault.open(storage, SECOND, cache=tmp_path / "other")
    assert restored(opened, disk) == b"content"
    assert opens(storage, KEY, tmp_path)


def test_passphrases_and_key_files_stand_side_by_side(vault: Vault, storage: Storage, tmp_path: Path) -> None:
    keys(storage).add(Key.passphrase("many words"))
    assert [slot.kind for slot in keys(storage).all()] == ["key-file", "passphrase"]
    assert opens(storage, Key.passphrase("many words"), tmp_path)
    assert not opens(storage, Key.passphrase("other words"), tmp_path)


def test_a_removed_key_opens_nothing_and_the_last_one_stays(
    vault: Vault, storage: Storage, tmp_path: Path
) -> None:
    (first,) = keys(storage).all()
    with pytest.raises(Conflict, match="last key"):
        keys(storage).remove(first.name)
    keys(storage).add(SECOND)
    with pytest.raises(NotFound):
        keys(storage).remove("0" * 16)
    keys(storage, SECOND).remove(first.name)
    assert not opens(storage, KEY, tmp_path)
    assert opens(storage, SECOND, tmp_path)


def test_a_rotation_puts_one_key_in_anothers_place_and_writes_no_data(
    vault: Vault, storage: Storage, tmp_path: Path
) -> None:
    _, disk = back_up(vault, MemoryDisk(b"content"))
    before = {found.name: found.modified for found in storage.list("packs")}
    keys(storage).add(THIRD)
    keys(storage).rotate(SECOND)
    assert not opens(storage, KEY, tmp_path)
    assert opens(storage, THIRD, tmp_path)
    assert restored(Vault.open(storage, SECOND, cache=tmp_path / "other"), disk) == b"content"
    assert {found.name: found.modified for found in storage.list("packs")} == before
    # A vault that was open goes on.
    assert restored(vault, disk) == b"content"


def test_a_key_is_not_added_twice(vault: Vault, storage: Storage) -> None:
    for change in (keys(storage).add, keys(storage).rotate):
        with pytest.raises(Conflict, match="already"):
            change(KEY)
    with pytest.raises(WrongKey):
        keys(storage, SECOND).all()


def test_of_keys_added_at_once_none_is_lost(vault: Vault, storage: Storage, tmp_path: Path) -> None:
    added: list[Key] = []

    def add(key: Key) -> None:
        while True:
            try:
                keys(storage).add(key)
            except Conflict:
                continue
            added.append(key)
            return

    new = [Key.raw(bytes([number]) * 32) for number in range(6)]
    threads = [threading.Thread(target=add, args=(key,)) for key in new]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(added) == len(new)
    assert all(opens(storage, key, tmp_path) for key in (KEY, *new))


@pytest.mark.parametrize("damage", ["missing", "cut", "version", "slot", "tag"])
def test_a_lost_configuration_is_read_from_its_copy_and_mended(tmp_path: Path, damage: str) -> None:
    storage = Storage.open(f"file://{tmp_path}/vault", make=True)
    vault = Vault.create(storage, KEY, cache=tmp_path / "cache")
    path = tmp_path / "vault" / "config"
    document = json.loads(path.read_text())
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:50])
    elif damage == "version":
        path.write_text(path.read_text().replace('"version"', '"verskon"'))
    else:
        changed = document["slots"][0] if damage == "slot" else document
        member = "wrapped" if damage == "slot" else "tag"
        changed[member] = ("0" if changed[member][0] != "0" else "1") + changed[member][1:]
        path.write_text(json.dumps(document))
    assert Vault.open(storage, KEY, cache=tmp_path / "cache").id == vault.id
    assert [finding.subject for finding in vault.verify().findings] == ["config"]
    keys(storage).add(SECOND)
    assert opens(storage, SECOND, tmp_path)
    (tmp_path / "vault" / "config.copy").unlink()
    assert [finding.subject for finding in vault.verify(quarantine=True).findings] == ["config.copy"]
    assert vault.verify().findings == ()


def test_a_removed_key_does_not_open_by_a_copy_of_old(tmp_path: Path) -> None:
    storage = Storage.open(f"file://{tmp_path}/vault", make=True)
    Vault.create(storage, KEY, cache=tmp_path / "cache")
    old = (tmp_path / "vault" / "config.copy").read_bytes()
    keys(storage).rotate(SECOND)
    (tmp_path / "vault" / "config.copy").write_bytes(old)
    assert not opens(storage, KEY, tmp_path)
    (tmp_path / "vault" / "config").write_text('{"format": "restorium-vault", "version": 1}')
    (tmp_path / "vault" / "config.copy").write_text('{"format": "restorium-vault", "version": 1}')
    with pytest.raises(DataCorrupt):
        keys(storage).all()


def test_slots_show_no_secret(vault: Vault, storage: Storage) -> None:
    (slot,) = keys(storage).all()
    assert slot == KeySlot(slot.name, slot.kind)
    assert KEY.secret.hex() not in repr(vars(keys(storage)))
