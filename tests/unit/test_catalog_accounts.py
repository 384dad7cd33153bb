"""Accounts: passwords, roles, and what keeps an installation from locking itself out."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher

from restorium.catalog import accounts, credentials, logons, tables
from restorium.catalog.accounts import Account, Scope
from restorium.catalog.database import Database
from restorium.vocabulary.errors import Conflict, InvalidInput, NotAuthenticated, NotFound
from restorium.vocabulary.roles import Role
from tests.support.clock import START, ManualClock
from tests.support.estate import add_host

ADMINISTRATOR = {Role.PORTAL_ADMINISTRATOR}
OPERATOR = {Role.VM_RESTORE_OPERATOR}


def _add(database: Database, name: str, password: str = "right", roles: set[Role] = OPERATOR) -> Account:
    with database.write() as connection:
        return accounts.add(connection, name, password, roles=roles)


def _verify(database: Database, name: str, password: str, address: str = "192.0.2.1") -> Account:
    with database.read() as connection:
        return accounts.verify(connection, name, password, address=address)


@pytest.fixture
def hashings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stored hashes that passwords were really compared with, in order."""
    seen: list[str] = []
    verify = credentials._verify

    def noted(stored: str, password: str) -> bool:
        seen.append(stored)
        return verify(stored, password)

    monkeypatch.setattr(credentials, "_verify", noted)
    return seen


def test_an_account_logs_on_by_its_name_in_any_case(database: Database) -> None:
    added = _add(database, " Jörg ", "pässword", {Role.PORTAL_USER, Role.FILE_RESTORE_OPERATOR})
    assert (added.name, added.restore_all, added.created_at) == ("Jörg", False, START)
    assert _verify(database, "JÖRG", "pässword") == added
    assert added.roles == {Role.PORTAL_USER, Role.FILE_RESTORE_OPERATOR}
    with database.read() as connection:
        assert accounts.list_all(connection) == [added]
        assert accounts.get(connection, added.id) == added


@pytest.mark.parametrize("name", ["Jörg", "JÖRG", " jörg"])
def test_a_name_is_taken_in_every_case(database: Database, name: str) -> None:
    _add(database, "jörg")
    with pytest.raises(Conflict, match=r"(?i)jörg"):
        _add(database, name)
    with database.read() as connection:
        assert accounts.count(connection) == 1


@pytest.mark.parametrize("name", ["", "  ", "a\0b", "a\nb", "\ud800", "x" * 257])
def test_unusable_names_are_refused(database: Database, name: str) -> None:
    with pytest.raises(InvalidInput, match="account"):
        _add(database, name)


@pytest.mark.parametrize("password", ["", "a\0b", "\ud800", "x" * 1025])
def test_unusable_passwords_are_refused_and_not_repeated(database: Database, password: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        _add(database, "a", password)
    assert not password or password not in raised.value.message


@pytest.mark.parametrize(
    ("name", "password"),
    [("a", "wrong"), ("a", ""), ("a", "right "), ("b", "right"), ("a\0", "right"), ("\ud800", "\ud800")],
)
def test_anything_else_is_refused_alike(database: Database, name: str, password: str) -> None:
    _add(database, "a")
    with pytest.raises(NotAuthenticated) as raised:
        _verify(database, name, password)
    assert raised.value.message == "the name or the password is wrong"


def test_only_an_argon2id_hash_is_kept(database: Database) -> None:
    _add(database, "a", "sesame-street")
    with database.read() as connection:
        stored = connection.execute(sa.select(tables.accounts.c.password_hash)).scalar_one()
    assert stored.startswith("$argon2id$")
    assert "sesame" not in stored


def test_passwords_are_hashed_with_enough_work(quick_hashing: PasswordHasher) -> None:
    assert quick_hashing.memory_cost >= 64 * 1024
    assert quick_hashing.time_cost >= 3


def test_an_unknown_name_is_hashed_with_the_same_parameters(database: Database, hashings: list[str]) -> None:
    _add(database, "a")
    for name in ("a", "nobody"):
        with pytest.raises(NotAuthenticated):
            _verify(database, name, "wrong")
    known, unknown = (stored.split("$")[:4] for stored in hashings)
    assert known == unknown
    assert [len(part) for part in hashings[0].split("$")] == [len(part) for part in hashings[1].split("$")]


def test_a_logon_within_a_minute_needs_no_hashing(
    database: Database, clock: ManualClock, hashings: list[str]
) -> None:
    _add(database, "a")
    for _ in range(5):
        _verify(database, "a", "right")
    assert len(hashings) == 1
    clock.advance(credentials.REMEMBER_SECONDS)
    _verify(database, "a", "right")
    assert len(hashings) == 2


def test_a_changed_password_counts_at_once_and_ends_logons(database_url: str, clock: ManualClock) -> None:
    database, other_process = (Database.open(database_url, clock) for _ in range(2))
    account = _add(database, "a", "old")
    _verify(other_process, "a", "old")
    with database.write() as connection:
        logons.open(connection, account.id)
        accounts.set_password(connection, account.id, "new")
        assert connection.execute(sa.select(tables.logon_sessions)).all() == []
    for each in (database, other_process):
        with pytest.raises(NotAuthenticated):
            _verify(each, "a", "old")
        assert _verify(each, "a", "new") == account
        each.close()


def test_a_removed_account_is_gone_at_once(database: Database) -> None:
    account = _add(database, "a")
    _verify(database, "a", "right")
    with database.write() as connection:
        accounts.remove(connection, account.id)
    with pytest.raises(NotAuthenticated):
        _verify(database, "a", "right")
    with pytest.raises(NotFound, match=str(account.id)), database.write() as connection:
        accounts.remove(connection, account.id)


def test_ten_failures_a_minute_shut_one_name_from_one_address(
    database: Database, clock: ManualClock, hashings: list[str]
) -> None:
    _add(database, "a")
    _add(database, "b")
    _verify(database, "a", "right")
    hashings.clear()
    for _ in range(credentials.TRIES):
        with pytest.raises(NotAuthenticated, match="wrong"):
            _verify(database, "A", "guess")
        clock.advance(1)
    for password in ("guess", "right"):
        with pytest.raises(NotAuthenticated, match="too many failed logons as 'a'"):
            _verify(database, "a", password)
    assert len(hashings) == credentials.TRIES
    assert _verify(database, "b", "right").name == "b"
    assert _verify(database, "a", "right", address="192.0.2.2").name == "a"
    clock.advance(credentials.WINDOW_SECONDS - credentials.TRIES)
    assert _verify(database, "a", "right").name == "a"


def test_guesses_at_once_do_not_slip_past_the_limit(database: Database, hashings: list[str]) -> None:
    _add(database, "a")

    def guess(number: int) -> None:
        with pytest.raises(NotAuthenticated):
            _verify(database, "a", f"guess {number}")

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(credentials.TRIES + 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hashings) == credentials.TRIES


def test_successes_are_not_limited(database: Database) -> None:
    _add(database, "a")
    for _ in range(credentials.TRIES * 3):
        _verify(database, "a", "right")


def test_the_last_administrator_stays(database: Database) -> None:
    first = _add(database, "first", roles=ADMINISTRATOR)
    _add(database, "other")
    for attempt in (
        lambda connection: accounts.remove(connection, first.id),
        lambda connection: accounts.set_roles(connection, first.id, OPERATOR),
    ):
        with pytest.raises(Conflict, match="last Portal Administrator"), database.write() as connection:
            attempt(connection)
    second = _add(database, "second", roles=ADMINISTRATOR)
    with database.write() as connection:
        accounts.set_roles(connection, first.id, OPERATOR)
        assert accounts.get(connection, first.id).roles == OPERATOR
    with pytest.raises(Conflict), database.write() as connection:
        accounts.remove(connection, second.id)


def test_two_administrators_cannot_remove_each_other(database: Database) -> None:
    pair = [_add(database, name, roles=ADMINISTRATOR) for name in ("first", "second")]
    barrier = threading.Barrier(2)
    refused: list[Conflict] = []

    def remove(account: Account) -> None:
        barrier.wait()
        try:
            with database.write() as connection:
                accounts.remove(connection, account.id)
        except Conflict as error:
            refused.append(error)

    threads = [threading.Thread(target=remove, args=(account,)) for account in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    with database.read() as connection:
        assert accounts.count(connection) == 1


def test_scopes_are_kept_and_replaced(database: Database) -> None:
    account = _add(database, "a")
    with database.write() as connection:
        host = add_host(connection)
        accounts.set_scopes(connection, account.id, [Scope(host.id), Scope(host.id, "vm-1"), Scope(host.id)])
        assert accounts.scopes(connection, account.id) == [Scope(host.id), Scope(host.id, "vm-1")]
        accounts.set_scopes(connection, account.id, [], restore_all=True)
        assert accounts.scopes(connection, account.id) == []
        assert accounts.get(connection, account.id).restore_all
