"""Points that may not be deleted before their time, whatever somebody makes of the machine's clock (trial S14)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from restorium.vault import Clocks, PrunePolicy, Storage, Vault
from restorium.vocabulary.errors import InvalidInput, PointLocked
from tests.support.stores import START, Objects, Store
from tests.support.vaults import CHUNK, KEY, MemoryDisk, back_up, restored

NOTHING_WAITS = PrunePolicy(grace=timedelta(), youngest=timedelta(), mark_age=timedelta())


@dataclass
class Machine:
    """Its clock can be set; that since its start cannot."""

    wall: datetime = datetime(2031, 1, 1, tzinfo=UTC)
    uptime: float = 1000.0
    boot: str = "first"

    def clocks(self) -> Clocks:
        return Clocks(lambda: self.wall, lambda: self.uptime, lambda: self.boot)

    def run(self, days: float) -> None:
        self.wall += timedelta(days=days)
        self.uptime += days * 86400

    def restart(self, days_off: float) -> None:
        self.wall += timedelta(days=days_off)
        self.uptime, self.boot = 0.0, self.boot + "+"


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.open(f"file://{tmp_path}/vault", make=True)


@pytest.fixture
def vault(storage: Storage, machine: Machine, tmp_path: Path) -> Vault:
    Vault.create(storage, KEY, cache=tmp_path / "cache").close()
    Vault.keys(storage, KEY).protect(14)
    return reopened(storage, machine, tmp_path)


def reopened(storage: Storage, machine: Machine, folder: Path) -> Vault:
    return Vault.open(storage, KEY, cache=folder / "cache", clocks=machine.clocks())


def test_a_point_is_deleted_by_nobody_before_its_time(vault: Vault, machine: Machine) -> None:
    name, _ = back_up(vault, MemoryDisk(b"content"))
    machine.run(13.9)
    with pytest.raises(PointLocked, match="2031-01-15 00:00"):
        vault.delete_point(name)
    assert vault.points() == [name]
    machine.run(0.2)
    vault.delete_point(name)
    assert vault.points() == []


@pytest.mark.parametrize(
    "how", ["at once", "after a restart of the program", "after a restart of the machine"]
)
def test_setting_the_clock_forward_makes_nothing_expire(
    vault: Vault, storage: Storage, machine: Machine, tmp_path: Path, how: str
) -> None:
    name, _ = back_up(vault, MemoryDisk(b"content"))
    machine.wall += timedelta(days=4000)
    if how == "after a restart of the machine":
        machine.restart(0)
    if how != "at once":
        vault.close()
        vault = reopened(storage, machine, tmp_path)
    for _ in range(3):
        with pytest.raises(PointLocked):
            vault.delete_point(name)
        machine.run(3)
    machine.run(6)
    vault.delete_point(name)


def test_time_in_which_nothing_ran_does_not_count_on_a_folder(vault: Vault, machine: Machine) -> None:
    name, _ = back_up(vault, MemoryDisk(b"content"))
    machine.run(10)
    with pytest.raises(PointLocked):
        vault.delete_point(name)  # which notes how much time has passed
    machine.restart(days_off=100)
    with pytest.raises(PointLocked):
        vault.delete_point(name)
    machine.run(4.1)
    vault.delete_point(name)


def test_a_clock_set_back_makes_points_stay_longer(vault: Vault, machine: Machine) -> None:
    name, _ = back_up(vault, MemoryDisk(b"content"))
    machine.wall -= timedelta(days=30)
    machine.run(20)
    with pytest.raises(PointLocked):
        vault.delete_point(name)


def test_an_object_storages_own_clock_counts(tmp_path: Path, machine: Machine) -> None:
    objects = Objects()
    storage = Storage(Store(objects), "memory")
    Vault.create(storage, KEY, cache=tmp_path).close()
    Vault.keys(storage, KEY).protect(14)
    machine.wall = START
    vault = Vault.open(storage, KEY, cache=tmp_path, clocks=machine.clocks())
    name, _ = back_up(vault, MemoryDisk(b"content"))
    machine.wall += timedelta(days=4000)
    machine.restart(0)
    with pytest.raises(PointLocked):
        vault.delete_point(name)
    objects.now += timedelta(days=15)
    vault.delete_point(name)


def test_a_smaller_window_is_for_later_points_alone(vault: Vault, storage: Storage, machine: Machine) -> None:
    old, _ = back_up(vault, MemoryDisk(b"old"))
    Vault.keys(storage, KEY).protect(0)
    new, _ = back_up(vault, MemoryDisk(b"new"))
    vault.delete_point(new)
    with pytest.raises(PointLocked):
        vault.delete_point(old)
    with pytest.raises(InvalidInput):
        Vault.keys(storage, KEY).protect(-1)


def test_a_prune_touches_no_pack_of_a_point_that_may_not_go(
    vault: Vault, storage: Storage, machine: Machine, tmp_path: Path
) -> None:
    content = random.Random(1).randbytes(40 * CHUNK)
    Vault.keys(storage, KEY).protect(0)
    big, _ = back_up(vault, MemoryDisk(content))
    Vault.keys(storage, KEY).protect(14)
    name, disk = back_up(vault, MemoryDisk(content[:CHUNK]))
    vault.delete_point(big)
    before = {found.name for found in storage.list("packs")}
    for _ in range(3):
        vault.prune(NOTHING_WAITS)
    assert {found.name for found in storage.list("packs")} == before
    machine.run(15)
    for _ in range(3):
        vault.prune(NOTHING_WAITS)
    assert sum(found.size for found in storage.list("packs")) < 3 * CHUNK
    assert restored(vault, disk) == content[:CHUNK]
    assert vault.points() == [name]
