"""Fixtures of the whole suite: databases of both kinds, and a clock that stands still."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from restorium.catalog import credentials
from restorium.catalog.database import Database
from restorium.cli.memory import share_arenas
from restorium.vocabulary.clock import SystemClock
from tests.support.clock import ManualClock
from tests.support.databases import PostgresServer, find_postgres, postgres_server


@pytest.fixture(autouse=True, scope="session")
def shared_arenas() -> None:
    """As the server has it: a worker of pytest had 1.3 GB in the end, most of it freed."""
    share_arenas()


@pytest.fixture(autouse=True, scope="session")
def quick_hashing() -> Iterator[PasswordHasher]:
    """Passwords are hashed with little work, for most tests need many; gives the hasher of the program."""
    real = credentials.hasher
    credentials.hasher = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    yield real
    credentials.hasher = real


@pytest.fixture
def clock() -> ManualClock:
    """Time passes only when told to."""
    return ManualClock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this run's own."""
    programs = find_postgres()
    if programs is None:
        pytest.skip("PostgreSQL's server programs are not installed")
    with postgres_server(programs) as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    Database.open(f"sqlite:///{path}", SystemClock()).close()
    return path


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick run asks PostgreSQL what the catalog's own tests ask; the full run everything."""
    for item in items:
        if "[postgresql" in item.name and not item.path.name.startswith("test_catalog"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database a test runs on, once each."""
    name: str = request.param
    return name


@pytest.fixture
def database_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new, migrated database, for tests that open it themselves or do more than change rows."""
    if kind == "sqlite":
        yield _copy(request, tmp_path / "own.db")
    else:
        with request.getfixturevalue("postgres").database() as url:
            yield url


@pytest.fixture
def database(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock
) -> Iterator[Database]:
    """An empty catalog whose time is ``clock``'s; another one than ``database_url``'s."""
    if kind == "sqlite":
        url = _copy(request, tmp_path / "restorium.db")
    else:
        url = request.getfixturevalue("postgres").emptied()
    opened = Database.open(url, clock)
    yield opened
    opened.close()


def _copy(request: pytest.FixtureRequest, path: Path) -> str:
    shutil.copy(request.getfixturevalue("sqlite_template"), path)
    return f"sqlite:///{path}"
