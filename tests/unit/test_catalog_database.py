"""Opening a database: migrations, transactions, snapshots, and what goes wrong."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy.exc import DBAPIError

from restorium.catalog import job_sessions, migrations, servers, tables, workers
from restorium.catalog.database import Database
from restorium.catalog.engines import engines
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import Visibility
from restorium.vocabulary.errors import DatabaseUnavailable, InvalidInput, Unsupported
from restorium.vocabulary.restore import Caller
from tests.support.clock import ManualClock
from tests.support.databases import PostgresServer
from tests.support.estate import add_host, add_job

EVERYTHING = Visibility.everything()


def _worker_ids(database: Database) -> list[str]:
    with database.read() as connection:
        return [row.id for row in workers.list_all(connection)]


@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_migrations_make_exactly_the_tables_of_the_program(database: Database) -> None:
    folded = {index.name for index in tables.FOLDED}

    def comparable(_object: object, name: str | None, kind: str, _there: bool, _other: object) -> bool:
        return kind != "index" or name not in folded  # of an index on an expression only the name can be read

    with database.read() as connection:
        options = {"compare_type": True, "include_object": comparable}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables.metadata) == []
        names = (
            "SELECT name FROM sqlite_master"
            if connection.dialect.name == "sqlite"
            else ("SELECT indexname FROM pg_indexes")
        )
        assert folded <= set(connection.exec_driver_sql(names).scalars())


def test_foreign_keys_have_the_same_rules_as_the_program(database: Database) -> None:
    with database.read() as connection:
        inspector = sa.inspect(connection)
        for table in tables.metadata.sorted_tables:
            found = {
                (key["constrained_columns"][0], key["referred_table"], key["options"].get("ondelete"))
                for key in inspector.get_foreign_keys(table.name)
            }
            expected = {(key.parent.name, key.column.table.name, key.ondelete) for key in table.foreign_keys}
            assert {(a, b, None if c == "NO ACTION" else c) for a, b, c in found} == expected, table.name


def test_first_start_makes_the_backup_server_and_later_ones_keep_it(
    database_url: str, clock: ManualClock
) -> None:
    database = Database.open(database_url, clock)
    with database.write() as connection:
        servers.describe(connection, name="vault-17", port=19398)
        first = servers.get(connection)
    again = Database.open(database_url, ManualClock(seed=1))
    with again.read() as connection:
        assert [row.id for row in servers.listing.page(connection, visible=EVERYTHING)] == [first.id]
        assert servers.get(connection).name == "vault-17"
        assert servers.get(connection).port == 19398
    again.close()
    database.close()


def test_a_write_that_raises_changes_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        workers.beat(connection, "w", "host", 1)
        raise ZeroDivisionError
    assert _worker_ids(database) == []


def test_a_read_sees_one_moment(database: Database) -> None:
    with database.read() as connection:
        assert workers.list_all(connection) == []
        with database.write() as other:
            workers.beat(other, "w", "host", 1)
        assert workers.list_all(connection) == []
    assert _worker_ids(database) == ["w"]


def test_a_read_may_not_write(database: Database) -> None:
    with pytest.raises((DBAPIError, DatabaseUnavailable)), database.read() as connection:
        workers.beat(connection, "w", "host", 1)
    assert _worker_ids(database) == []


def test_many_threads_write_and_read(database: Database) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for step in range(10):
                with database.write() as connection:
                    workers.beat(connection, f"{number}-{step}", "host", number)
                with database.read() as connection:
                    assert any(row.id == f"{number}-{step}" for row in workers.list_all(connection))
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(_worker_ids(database)) == 80


def test_two_programs_open_one_new_database_at_once(database_url: str) -> None:
    engine = sa.create_engine(database_url)
    tables.metadata.drop_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE alembic_version"))
    engine.dispose()
    opened: list[Database] = []
    threads = [
        threading.Thread(
            target=lambda seed=seed: opened.append(Database.open(database_url, ManualClock(seed)))
        )
        for seed in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 3
    with opened[0].read() as connection:
        assert servers.listing.count(connection, visible=EVERYTHING) == 1
    for each in opened:
        each.close()


def test_a_database_of_a_newer_release_is_left_alone(database_url: str, clock: ManualClock) -> None:
    database = Database.open(database_url, clock)
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Unsupported, match="9999") as raised:
        Database.open(database_url, clock)
    assert "newer" in raised.value.hint
    with database.read() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"
    database.close()


def _cut(postgres: PostgresServer, url: str) -> None:
    """Let the server end all connections to the database of ``url``."""
    name = sa.make_url(url).database
    postgres.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'")


def test_connections_that_the_server_has_cut_are_made_anew(
    postgres: PostgresServer, clock: ManualClock
) -> None:
    with postgres.database() as url:
        database = Database.open(url, clock)
        assert _worker_ids(database) == []
        _cut(postgres, url)
        assert _worker_ids(database) == []
        database.close()


def test_a_connection_cut_in_the_middle_is_told_as_such(postgres: PostgresServer, clock: ManualClock) -> None:
    with postgres.database() as url:
        database = Database.open(url, clock)
        with pytest.raises(DatabaseUnavailable, match="test_"), database.read() as connection:
            workers.list_all(connection)
            _cut(postgres, url)
            workers.list_all(connection)
        assert _worker_ids(database) == []
        database.close()


def test_an_unreachable_server_is_named_without_its_password(clock: ManualClock, tmp_path: Path) -> None:
    url = f"postgresql+psycopg://keeper:s3cret@/catalog?host={tmp_path}"
    with pytest.raises(DatabaseUnavailable) as raised:
        Database.open(url, clock)
    assert "keeper" in raised.value.message
    assert str(tmp_path) in raised.value.message
    assert "s3cret" not in raised.value.message + raised.value.hint + repr(raised.value.__cause__)


def test_a_folder_that_is_not_there_is_named(clock: ManualClock, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="nowhere"):
        Database.open(f"sqlite:///{tmp_path}/nowhere/restorium.db", clock)


def test_a_file_that_is_no_database_is_named(clock: ManualClock, tmp_path: Path) -> None:
    path = tmp_path / "letters.db"
    path.write_text("dear sir, " * 1000)
    with pytest.raises(DatabaseUnavailable, match=r"letters\.db"):
        Database.open(f"sqlite:///{path}", clock)
    assert path.read_text().startswith("dear sir, dear")


@pytest.mark.parametrize(
    "url", ["mysql://user:s3cret@host/db", "sqlite://", "sqlite:///:memory:", "nonsense"]
)
def test_other_urls_are_refused(url: str, clock: ManualClock) -> None:
    with pytest.raises(InvalidInput) as raised:
        Database.open(url, clock)
    assert "postgresql+psycopg://" in raised.value.hint
    assert "s3cret" not in raised.value.message


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
def test_sessions_of_an_earlier_release_keep_their_tasks(database_url: str, clock: ManualClock) -> None:
    """SQLite cannot drop a constraint: a migration makes the table anew, with everything that belongs to it."""
    database = Database.open(database_url, clock)
    with database.write() as connection:
        vm = JobVm(add_host(connection).id, "vm-1", "one")
        job = add_job(connection, [vm])
        session = job_sessions.create(connection, job.id, Caller("jo"))
    database.close()
    engine = engines(database_url).writer
    before = set(_made(engine))
    _go_back_to("0006", engine)
    again = Database.open(database_url, clock)
    with again.read() as connection:
        [task] = job_sessions.tasks(connection, session.id)
        assert task.vm_name == "one"
        assert job_sessions.get(connection, session.id).repository_id == job.repository_id
    assert set(_made(engine)) == before
    again.close()
    engine.dispose()


def _go_back_to(revision: str, engine: sa.Engine) -> None:
    """Make the database what it was at that revision, with the rows that it has now."""
    now, then = sa.MetaData(), sa.MetaData()
    now.reflect(engine)
    with engine.begin() as connection:
        rows = {
            table.name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for table in now.sorted_tables
        }
        for table in reversed(now.sorted_tables):
            cascade = "" if engine.dialect.name == "sqlite" else " CASCADE"
            connection.execute(sa.text(f"DROP TABLE {table.name}{cascade}"))
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        then.reflect(connection)
        for table in then.sorted_tables:
            if connection.execute(sa.select(table).limit(1)).first() is None and rows.get(table.name):
                known = [
                    {name: value for name, value in row.items() if name in table.columns}
                    for row in rows[table.name]
                ]
                connection.execute(sa.insert(table), known)


def _made(engine: sa.Engine) -> list[str]:
    """Names of the indexes and triggers of job sessions."""
    local = "SELECT name FROM sqlite_master WHERE tbl_name = 'job_sessions' AND type IN ('index', 'trigger')"
    served = (
        "SELECT indexname FROM pg_indexes WHERE tablename = 'job_sessions' UNION"
        " SELECT trigger_name FROM information_schema.triggers WHERE event_object_table = 'job_sessions'"
    )
    with engine.connect() as connection:
        return list(
            connection.execute(sa.text(local if engine.dialect.name == "sqlite" else served)).scalars()
        )
