"""Fixtures of the tests that read files out of restore points."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from restorium.catalog.database import Database
from tests.support import guests
from tests.support.clock import ManualClock
from tests.support.em import site
from tests.support.lab import Lab


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("guest")
    files = guests.tree(folder / "tree")
    parts = [guests.make(kind, folder / "tree", folder / kind, 10) for kind in ("fat16", "ext4")]
    return guests.partitioned(folder / "disk.raw", "gpt", parts), files


@pytest.fixture
def lab(
    database: Database, tmp_path: Path, clock: ManualClock, disk: tuple[Path, dict[str, bytes]]
) -> Iterator[Lab]:
    with site(database, tmp_path, clock) as made:
        kept = guests.keep(made.engine, tmp_path, {"web": [disk[0]]})
        yield Lab(made, clock, kept["web"], disk[1])
