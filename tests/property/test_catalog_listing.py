"""Listings agree with a model in Python: any filter, any order, any page, on both databases alike."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from functools import cmp_to_key
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from restorium.catalog import places, restore_sessions, tables
from restorium.catalog.database import Database
from restorium.catalog.filters import storable
from restorium.catalog.listing import AllOf, AnyOf, Compare, Filter, Visibility
from restorium.vocabulary.errors import InvalidFilter
from restorium.vocabulary.sessions import RestoreKind, RestorePhase, SessionResult, SessionState
from tests.support.clock import START

ROWS = 300
EVERYTHING = Visibility.everything()
NAMES = [
    "",
    "db7",
    "DB7",
    "Db 7",
    "Äpfel",
    "äpfel",
    "ÄPFEL",
    "straße",
    "STRASSE",
    "ΔΣ",
    "δς",
    "δσ",
    "ж",
    "Ж",
    "😀",
    "z_%",
]
CODES: list[str | None] = [None, "cancelled", "Cancelled", "", "host"]
INSTANTS = [START + timedelta(microseconds=step) for step in (0, 1, 999_999, 1_000_000, 86_400_000_000)]

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(NAMES),
    "reason_code": st.sampled_from(CODES),
    "state": st.sampled_from(list(SessionState)),
    "result": st.sampled_from(list(SessionResult)),
    "created_at": st.sampled_from(INSTANTS),
    "ended_at": st.sampled_from([None, *INSTANTS]),
    "done_bytes": st.sampled_from([-(2**63), -1, 0, 1, 2**31, 2**40, 2**63 - 1]),
    "cancel_requested": st.booleans(),
}
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@st.composite
def comparisons(draw: st.DrawFn) -> Compare:
    column = draw(st.sampled_from(sorted(VALUES)))
    value = draw(VALUES[column])
    operators = ["==", "!="] if value is None else list(OPERATORS)
    return Compare(column, draw(st.sampled_from(operators)), value)  # type: ignore[arg-type]


FILTERS: st.SearchStrategy[Filter] = st.recursive(
    comparisons(),
    lambda parts: (
        st.builds(AllOf, st.lists(parts, max_size=3)) | st.builds(AnyOf, st.lists(parts, max_size=3))
    ),
    max_leaves=5,
)
ORDERS = st.lists(st.tuples(st.sampled_from(sorted(VALUES)), st.booleans()), max_size=3)


def _key(value: Any) -> Any:
    """What a value is compared by: text without case, enumerations by place."""
    if isinstance(value, (SessionState, SessionResult)):
        return list(type(value)).index(value)
    return value.lower() if isinstance(value, str) else value


def _holds(part: Filter, row: Any) -> bool:
    if isinstance(part, AllOf):
        return all(_holds(each, row) for each in part.parts)
    if isinstance(part, AnyOf):
        return any(_holds(each, row) for each in part.parts)
    value = getattr(row, part.column)
    if value is None or part.value is None:
        return (value == part.value) if part.op == "==" else part.op == "!=" and value != part.value
    return OPERATORS[part.op](_key(value), _key(part.value))


def _in_order(rows: list[Any], order: list[tuple[str, bool]]) -> list[Any]:
    def compare(a: Any, b: Any) -> int:
        keys = [*order, ("id", order[-1][1] if order else False)]
        for column, descending in keys:
            left, right = _key(getattr(a, column)), _key(getattr(b, column))
            if left == right:
                continue
            lower = left is None or (right is not None and left < right)
            return -1 if lower != descending else 1
        return 0

    return sorted(rows, key=cmp_to_key(compare))


@pytest.fixture(autouse=True)
def close_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places are kept every few rows, so that pages are found from them."""
    monkeypatch.setattr(places, "_SPACING", 7)


@pytest.fixture
def filled(database: Database) -> Database:
    """A few hundred restore sessions with many equal values."""
    source = random.Random(17)
    rows = [
        {
            "id": UUID(int=source.getrandbits(128)),
            "name": source.choice(NAMES),
            "job_type": RestoreKind.VM,
            "created_at": source.choice(INSTANTS),
            "ended_at": source.choice([None, *INSTANTS]),
            "state": source.choice(list(SessionState)),
            "result": source.choice(list(SessionResult)),
            "progress": 0,
            "vm_restore_point_name": "",
            "host_id": UUID(int=1),
            "vm_ref": "vm",
            "vm_name": "vm",
            "spec": {},
            "phase": RestorePhase.QUEUED,
            "planned_bytes": 0,
            "done_bytes": source.choice([-(2**63), -1, 0, 1, 2**31, 2**63 - 1]),
            "reason_code": source.choice(CODES),
            "requested_by": "",
            "cancel_requested": source.choice([False, True]),
        }
        for _ in range(ROWS)
    ]
    with database.write() as connection:
        connection.execute(sa.insert(tables.restore_sessions), rows)
    return database


def test_every_filter_and_order_gives_what_the_model_gives(filled: Database) -> None:
    listing = restore_sessions.listing
    with filled.read() as connection:
        rows = list(listing.page(connection, visible=EVERYTHING))
        assert len(rows) == ROWS

        @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(where=st.none() | FILTERS, order=ORDERS, size=st.integers(1, 400))
        def agrees(where: Filter | None, order: list[tuple[str, bool]], size: int) -> None:
            expected = _in_order([row for row in rows if where is None or _holds(where, row)], order)
            assert listing.count(connection, where=where, visible=EVERYTHING) == len(expected)
            pages: list[Any] = []
            for offset in range(0, max(1, len(expected)), max(size, 40)):
                pages += listing.page(
                    connection,
                    where=where,
                    order=order,
                    limit=max(size, 40),
                    offset=offset,
                    visible=EVERYTHING,
                )
            assert pages == expected
            assert list(listing.stream(connection, where=where, order=order, visible=EVERYTHING)) == expected

        agrees()


def test_one_gives_the_row_that_pages_give(filled: Database) -> None:
    with filled.read() as connection:
        for row in restore_sessions.listing.page(connection, limit=20, visible=EVERYTHING):
            assert restore_sessions.listing.one(connection, row.id, EVERYTHING) == row
        assert restore_sessions.listing.one(connection, UUID(int=0), EVERYTHING) is None


def test_any_text_is_compared_as_data(filled: Database) -> None:
    listing = restore_sessions.listing
    with filled.write() as connection:
        row = listing.page(connection, limit=1, visible=EVERYTHING)[0]

        @settings(max_examples=150, deadline=None)
        @given(stored=st.text(), other=st.text())
        def compares(stored: str, other: str) -> None:
            assume(storable(stored) and storable(other))
            sessions = tables.restore_sessions
            connection.execute(sa.update(sessions).where(sessions.c.id == row.id).values(name=stored))
            for sought in (stored, stored.lower(), stored + other, other):
                where = AllOf([Compare("id", "==", row.id), Compare("name", "==", sought)])
                expected = int(sought.lower() == stored.lower())
                assert listing.count(connection, where=where, visible=EVERYTHING) == expected

        compares()


@pytest.mark.parametrize(
    "wrong",
    [
        Compare("nothing", "==", "x"),
        Compare("idempotency_key", "==", "x"),
        Compare("created_at", "==", "2031-02-03"),
        Compare("created_at", ">", START.replace(tzinfo=None)),
        Compare("done_bytes", "==", 2**63),
        Compare("done_bytes", "==", "1"),
        Compare("done_bytes", "==", True),
        Compare("cancel_requested", "==", 1),
        Compare("state", "==", "Paused"),
        Compare("id", "==", "6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        Compare("name", "==", "a\0b"),
        Compare("name", "==", "\ud800"),
        Compare("ended_at", "<", None),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(database: Database, wrong: Compare) -> None:
    with database.read() as connection, pytest.raises(InvalidFilter, match=wrong.column):
        restore_sessions.listing.page(connection, where=wrong, visible=EVERYTHING)


def test_an_unknown_order_is_refused_by_name(database: Database) -> None:
    with database.read() as connection, pytest.raises(InvalidFilter, match="nothing"):
        restore_sessions.listing.page(connection, order=[("nothing", False)], visible=EVERYTHING)


@pytest.mark.parametrize("written", ["stopped", "STOPPED", "Stopped", SessionState.STOPPED])
def test_enumerations_are_named_in_any_case(filled: Database, written: str) -> None:
    with filled.read() as connection:
        rows = restore_sessions.listing.page(
            connection, where=Compare("state", "==", written), visible=EVERYTHING
        )
    assert {row.state for row in rows} == {SessionState.STOPPED}


@pytest.mark.parametrize("written", ["ÄPFEL", "äPFEL"])
def test_text_is_found_in_any_case(filled: Database, written: str) -> None:
    with filled.read() as connection:
        rows = restore_sessions.listing.page(
            connection, where=Compare("name", "==", written), visible=EVERYTHING
        )
    assert {row.name for row in rows} == {"Äpfel", "äpfel", "ÄPFEL"}
