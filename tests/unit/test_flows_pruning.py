"""Pruning by the server itself: when it is due, once for all workers, and what is noted of it."""

from __future__ import annotations

import os
import random
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from restorium.catalog import repositories
from restorium.catalog.database import Database
from restorium.catalog.listing import Row
from restorium.flows import pruning
from restorium.flows import repositories as flows
from restorium.flows.engine import Engine
from restorium.settings import Settings
from tests.support.clock import ManualClock
from tests.support.vaults import CHUNK, KEY, MemoryDisk, back_up
from tests.support.waiting import wait_until

DAY = timedelta(days=1)


@pytest.fixture
def engine(database: Database, clock: ManualClock, tmp_path: Path) -> Engine:
    return Engine(Settings(data=tmp_path / "data"), database, clock)


@pytest.fixture
def repository(engine: Engine, tmp_path: Path) -> UUID:
    return flows.add(engine, "main", f"file://{tmp_path}/vault", KEY)


def row(engine: Engine, repository_id: UUID) -> Row:
    with engine.database.read() as connection:
        return repositories.get(connection, repository_id)


def age(folder: Path) -> None:
    """As if everything had been written ten days earlier."""
    for path in folder.rglob("*"):
        if path.is_file():
            past = path.stat().st_mtime - 10 * 86400
            os.utime(path, (past, past))


def beat(engine: Engine, repository_id: UUID, clock: ManualClock) -> str:
    """Let a day pass and the server see to it; gives what it notes."""
    clock.advance(DAY.total_seconds() + 1)
    work = pruning.Pruning()
    work.reconcile(engine)
    began = row(engine, repository_id).prune_began_at
    assert began == clock.now()
    assert work._running is not None
    work._running.join(30)
    return str(row(engine, repository_id).prune_outcome)


def test_the_room_of_expired_points_comes_back_by_itself(
    engine: Engine, repository: UUID, clock: ManualClock, tmp_path: Path
) -> None:
    vault = engine.vault(repository)
    gone, _ = back_up(vault, MemoryDisk(random.Random(1).randbytes(8 * CHUNK)))
    vault.delete_point(gone)
    age(tmp_path / "vault")
    assert " wait to be removed" in beat(engine, repository, clock)
    age(tmp_path / "vault")
    assert beat(engine, repository, clock).startswith("removed 20980")
    assert vault.usage().stored_bytes == 0


def test_a_prune_is_due_once_a_day_and_only_for_one_worker(
    engine: Engine, repository: UUID, clock: ManualClock
) -> None:
    with engine.database.write() as connection:
        assert not repositories.due_for_prune(connection, DAY)
        clock.advance(DAY.total_seconds())
        (due,) = repositories.due_for_prune(connection, DAY)
        assert repositories.begin_prune(connection, due.id, DAY)
        assert not repositories.begin_prune(connection, due.id, DAY)
        assert not repositories.due_for_prune(connection, DAY)
        clock.advance(DAY.total_seconds())
        assert repositories.begin_prune(connection, due.id, DAY)


def test_no_interval_means_no_prune(
    database: Database, repository: UUID, clock: ManualClock, tmp_path: Path
) -> None:
    engine = Engine(Settings(data=tmp_path / "other", prune_interval=timedelta()), database, clock)
    clock.advance(10 * DAY.total_seconds())
    pruning.Pruning().reconcile(engine)
    assert row(engine, repository).prune_began_at is None


def test_a_prune_that_fails_is_noted_and_one_stops_with_the_server(
    engine: Engine, repository: UUID, clock: ManualClock, tmp_path: Path
) -> None:
    name, _ = back_up(engine.vault(repository), MemoryDisk(b"x"))
    (tmp_path / "vault" / "points" / name).write_bytes(b"damaged")
    assert "cannot be read" in beat(engine, repository, clock)
    (tmp_path / "vault").rename(tmp_path / "away")
    assert beat(engine, repository, clock).startswith("failed: ")
    engine.stopping.set()
    before = row(engine, repository).prune_outcome
    clock.advance(2 * DAY.total_seconds())
    work = pruning.Pruning()
    work.reconcile(engine)
    wait_until(lambda: work._running is not None and not work._running.is_alive())
    assert row(engine, repository).prune_outcome == before
