"""The audit log's chain, on both databases: whatever is changed in it is found, and by name."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from restorium.catalog import audit as rows
from restorium.catalog.database import Database
from restorium.catalog.tables import audit_head, audit_log
from restorium.evidence.chain import link
from restorium.flows import audit
from restorium.flows.audit import Act
from restorium.vocabulary.clock import SystemClock
from restorium.vocabulary.errors import AuditBroken
from tests.support.clock import ManualClock

_LOG = audit_log.c


@pytest.fixture
def log(database: Database) -> Database:
    """A catalog with five entries."""
    for number in range(5):
        with database.write() as connection:
            audit.note(connection, Act(f"test {number}", "somebody", "192.0.2.1", (str(number),)))
    return database


def _head(database: Database) -> bytes:
    with database.read() as connection:
        return audit.verify(connection).hash


def _delete(connection: Connection) -> None:
    connection.execute(sa.delete(audit_log).where(_LOG.number == 3))


def _delete_and_close_the_gap(connection: Connection) -> None:
    _delete(connection)
    for number in (4, 5):
        connection.execute(sa.update(audit_log).where(_LOG.number == number).values(number=number - 1))


def _change(connection: Connection) -> None:
    changed = sa.func.replace(_LOG.content, "192.0.2.1", "192.0.2.9")
    connection.execute(sa.update(audit_log).where(_LOG.number == 3).values(content=changed))


def _change_and_hash_anew(connection: Connection) -> None:
    _change(connection)
    stored = {row.number: row for row in connection.execute(sa.select(audit_log))}
    again = link(stored[2].hash, stored[3].content)
    connection.execute(sa.update(audit_log).where(_LOG.number == 3).values(hash=again))


def _change_what_is_asked_by(connection: Connection) -> None:
    connection.execute(sa.update(audit_log).where(_LOG.number == 3).values(actor="somebody else"))


def _insert(connection: Connection) -> None:
    for number in (5, 4, 3):
        connection.execute(sa.update(audit_log).where(_LOG.number == number).values(number=number + 1))
    third = connection.execute(sa.select(audit_log).where(_LOG.number == 4)).one()
    connection.execute(sa.insert(audit_log).values(third._asdict() | {"number": 3}))


def _reorder(connection: Connection) -> None:
    for number, place in ((3, 9), (4, 3), (9, 4)):
        connection.execute(sa.update(audit_log).where(_LOG.number == number).values(number=place))


def _cut_off(connection: Connection) -> None:
    connection.execute(sa.delete(audit_log).where(_LOG.number > 3))


@pytest.mark.parametrize(
    ("deed", "told"),
    [
        (_delete, "entry 3 is missing"),
        (_delete_and_close_the_gap, "entry 3"),
        (_change, "entry 3"),
        (_change_and_hash_anew, "entry 4"),
        (_change_what_is_asked_by, "entry 3"),
        (_insert, "entry 4"),
        (_reorder, "entry 3"),
        (_cut_off, "2 entries after entry 3"),
    ],
)
def test_what_is_changed_is_found_and_named(
    log: Database, deed: Callable[[Connection], None], told: str
) -> None:
    _head(log)
    with log.write() as connection:
        deed(connection)
    with log.read() as connection, pytest.raises(AuditBroken, match=told):
        audit.verify(connection)


def test_end_that_is_cut_off_with_its_head_shows_against_a_head_noted_before(log: Database) -> None:
    noted = _head(log)
    with log.write() as connection:
        _cut_off(connection)
        third = connection.execute(sa.select(audit_log).where(_LOG.number == 3)).one()
        connection.execute(sa.update(audit_head).values(number=3, hash=third.hash))
    with log.read() as connection:
        assert audit.verify(connection).number == 3  # nothing in the database itself can tell
        with pytest.raises(AuditBroken, match=noted.hex()):
            audit.verify(connection, noted)


def test_log_that_is_written_anew_shows_against_a_head_noted_before(log: Database) -> None:
    noted = _head(log)
    with log.write() as connection:
        connection.execute(sa.delete(audit_log))
        connection.execute(sa.delete(audit_head))
    for number in range(5):
        with log.write() as connection:
            audit.note(connection, Act(f"test {number}", "nobody"))
    with log.read() as connection, pytest.raises(AuditBroken, match=noted.hex()):
        audit.verify(connection, noted)


def test_chain_goes_on_after_the_head_that_was_noted(log: Database) -> None:
    noted = _head(log)
    with log.write() as connection:
        audit.note(connection, Act("test"))
    with log.read() as connection:
        assert audit.verify(connection, noted).number == 6


def test_chain_goes_on_after_a_restart(database_url: str) -> None:
    for restart in range(1, 4):
        opened = Database.open(database_url, SystemClock())
        with opened.write() as connection:
            audit.note(connection, Act("test"))
        with opened.read() as connection:
            assert audit.verify(connection).number == restart
        opened.close()


def test_what_is_taken_back_leaves_no_gap(log: Database) -> None:
    with pytest.raises(ZeroDivisionError), log.write() as connection:
        audit.note(connection, Act("test"))
        raise ZeroDivisionError
    with log.write() as connection:
        audit.note(connection, Act("test"))
    with log.read() as connection:
        assert audit.verify(connection).number == 6


def test_several_at_once_make_one_chain(database: Database) -> None:
    """The first entry too, which makes the head."""

    def append() -> None:
        for number in range(10):
            with database.write() as connection:
                audit.note(connection, Act(f"test {number}"))

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as connection:
        assert audit.verify(connection).number == 40


def test_text_that_no_database_holds_is_recorded_all_the_same(database: Database) -> None:
    with database.write() as connection:
        audit.note(connection, Act("test", "a\0b", None, ("c\ud800d", "x" * 5000)))
    with database.read() as connection:
        assert audit.verify(connection).number == 1
        [entry] = rows.stream(connection)
    said = audit.content_of(entry)
    assert (said.actor, said.subject[0], len(said.subject[1])) == ("a\ufffdb", "c?d", 1024)


def test_wanted_entries_alone_are_given(log: Database, clock: ManualClock) -> None:
    clock.advance(60)
    with log.write() as connection:
        audit.note(connection, Act("test 1", "another"))
    with log.read() as connection:

        def numbers(**wanted: object) -> list[int]:
            found = rows.page(connection, audit.Wanted(**wanted), before=None, limit=3)  # type: ignore[arg-type]
            return [row.number for row in found]

        assert numbers() == [6, 5, 4]
        assert numbers(operation="test 1") == [6, 2]
        assert numbers(actor="another") == [6]
        assert numbers(since=clock.now()) == [6]
        assert numbers(until=clock.now()) == [5, 4, 3]
        assert [row.number for row in rows.page(connection, audit.Wanted(), before=3, limit=9)] == [2, 1]
