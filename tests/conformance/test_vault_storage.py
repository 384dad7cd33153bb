"""What every storage must do, and how failures of one are told apart."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError
from obstore.store import MemoryStore

from restorium.vault import Storage
from restorium.vocabulary.errors import (
    Conflict,
    DataCorrupt,
    NotFound,
    RepositoryFull,
    StorageUnavailable,
)
from tests.support.vaults import CHUNK, KEY, MemoryDisk, Vault, back_up, restored


@pytest.fixture(params=["folder", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return Storage.open(f"file://{tmp_path}/store", make=True)
    return Storage(MemoryStore(), "memory")


def sizes(storage: Storage, prefix: str) -> dict[str, int]:
    return {found.name: found.size for found in storage.list(prefix)}


def test_what_is_put_is_got_whole_and_in_ranges(storage: Storage) -> None:
    for content in (b"bytes", bytearray(b"bytes"), memoryview(b"xbytesx")[1:-1]):
        name = f"some/folder/{type(content).__name__}"
        storage.put(name, content)
        assert storage.get(name) == b"bytes"
        assert storage.get_range(name, 1, 3) == b"yte"


def test_an_object_is_never_overwritten(storage: Storage) -> None:
    storage.put("name", b"first")
    with pytest.raises(Conflict):
        storage.put("name", b"other")
    assert storage.get("name") == b"first"


def test_of_many_that_put_one_name_one_wins(storage: Storage) -> None:
    won: list[bytes] = []

    def put(content: bytes) -> None:
        try:
            storage.put("name", content)
        except Conflict:
            return
        won.append(content)

    threads = [threading.Thread(target=put, args=(bytes([number]),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [storage.get("name")]


def test_lists_name_everything_under_a_prefix_and_nothing_else(storage: Storage) -> None:
    names = {f"packs/{number % 7}/{number}" for number in range(1100)}
    for name in names:
        storage.put(name, name.encode())
    storage.put("points/1", b"")
    assert sizes(storage, "packs") == {name: len(name) for name in names}
    assert sizes(storage, "points") == {"points/1": 0}
    assert sizes(storage, "absent") == {}


def test_the_storage_tells_its_own_time_and_leaves_nothing_behind(storage: Storage) -> None:
    storage.put("some/name", b"x")
    (found,) = storage.list("some")
    assert found.modified == storage.modified("some/name")
    assert found.modified <= storage.now() < found.modified + timedelta(minutes=1)
    assert sizes(storage, "parts") == {}
    with pytest.raises(NotFound):
        storage.modified("absent")


def test_what_is_deleted_is_gone_and_may_be_deleted_again(storage: Storage) -> None:
    storage.put("name", b"x")
    storage.delete("name")
    storage.delete("name")
    assert sizes(storage, "name") == {}
    with pytest.raises(NotFound):
        storage.get("name")


def test_what_is_absent_is_not_found_and_what_is_short_is_corrupt(storage: Storage) -> None:
    storage.put("name", b"12345")
    with pytest.raises(NotFound):
        storage.get_range("absent", 0, 1)
    with pytest.raises(DataCorrupt):
        storage.get_range("name", 3, 3)


def test_a_vault_works_on_every_storage(storage: Storage, tmp_path: Path) -> None:
    content = bytes(range(256)) * 1024 * 9
    vault = Vault.create(storage, KEY, cache=tmp_path / "cache")
    name, record = back_up(vault, MemoryDisk(content))
    again = Vault.open(storage, KEY, cache=tmp_path / "other")
    assert again.points() == [name]
    assert restored(again, record) == content
    assert again.verify().findings == ()


def test_a_folder_has_nothing_half_written_in_sight(tmp_path: Path) -> None:
    storage = Storage.open(f"file://{tmp_path}/store", make=True)
    storage.put("name", b"first")
    with pytest.raises(Conflict):
        storage.put("name", b"other")
    assert [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()] == ["name"]


class Faulty:
    """Passes calls on, but first fails as often as it was told to."""

    def __init__(self, failures: Sequence[Exception], *, after: bool = False) -> None:
        self.inner = MemoryStore()
        self.failures = list(failures)
        self.after = after

    def __getattr__(self, name: str) -> Callable[..., Any]:
        real = getattr(self.inner, name)

        def call(*args: object, **kwargs: object) -> object:
            if self.failures:
                if self.after:
                    real(*args, **kwargs)
                raise self.failures.pop(0)
            return real(*args, **kwargs)

        return call


def faulty(*failures: Exception, after: bool = False) -> tuple[Storage, list[float]]:
    slept: list[float] = []
    return Storage(Faulty(failures, after=after), "faulty", sleep=slept.append), slept


def test_a_passing_failure_is_tried_again_with_growing_pauses() -> None:
    storage, slept = faulty(GenericError("reset"), GenericError("timeout"), OSError(5, "I/O error"))
    storage.put("name", b"x")
    assert storage.get("name") == b"x"
    assert slept == sorted(slept)
    assert len(slept) == 3


def test_a_lasting_failure_is_unavailable_never_corrupt() -> None:
    storage, slept = faulty(*[GenericError("reset")] * 10)
    with pytest.raises(StorageUnavailable, match="name: reset"):
        storage.get_range("name", 0, 1)
    assert len(slept) == 3


def test_what_will_not_pass_is_not_tried_again() -> None:
    for failure, error in (
        (PermissionDeniedError("denied"), StorageUnavailable),
        (GenericError("x (os error 30)"), StorageUnavailable),
        (GenericError("x (os error 28)"), RepositoryFull),
        (GenericError("x (os error 122)"), RepositoryFull),
        (OSError(28, "no space"), RepositoryFull),
    ):
        storage, slept = faulty(failure)
        with pytest.raises(error):
            storage.put("name", b"x")
        assert slept == []


def test_a_put_whose_answer_was_lost_succeeds() -> None:
    storage, _ = faulty(GenericError("reset"), after=True)
    storage.put("name", b"x")
    assert storage.get("name") == b"x"


def test_a_transient_failure_during_a_restore_is_not_taken_for_damage(tmp_path: Path) -> None:
    store = Faulty([])
    storage = Storage(store, "faulty", sleep=lambda seconds: None)
    vault = Vault.create(storage, KEY, cache=tmp_path)
    _, record = back_up(vault, MemoryDisk(b"x" * CHUNK))
    store.failures = [GenericError("reset")] * 2
    assert restored(vault, record) == b"x" * CHUNK
    store.failures = [GenericError("reset")] * 100
    with pytest.raises(StorageUnavailable):
        restored(vault, record)
    store.failures = []
    assert restored(vault, record) == b"x" * CHUNK


def test_staging_files_of_a_killed_writer_are_not_listed(tmp_path: Path) -> None:
    storage = Storage.open(f"file://{tmp_path}/store", make=True)
    storage.put("packs/ab/one", b"x")
    (tmp_path / "store/packs/ab/two#1").write_bytes(b"half")
    assert sizes(storage, "packs") == {"packs/ab/one": 1}


def test_a_storage_that_keeps_hold_of_what_it_is_given_keeps_it_unchanged(tmp_path: Path) -> None:
    """Pack buffers are used over and over, but not while somebody still reads them."""
    content = random.Random(1).randbytes(400 * CHUNK)
    vault = Vault.create(Storage(MemoryStore(), "memory"), KEY, cache=tmp_path)
    _, record = back_up(vault, MemoryDisk(content))
    assert restored(vault, record) == content
