"""The query language against a model: what the text says, however it is written, is what is answered."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, quote_plus
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from restorium.catalog import tables
from restorium.catalog.listing import AllOf, AnyOf, Compare
from restorium.em import query
from restorium.em.members import Queryable
from restorium.em.values import BOOLEAN, INSTANT, INTEGER, TEXT, enumeration, uid
from restorium.vocabulary.errors import InvalidFilter
from restorium.vocabulary.sessions import RestoreKind, SessionResult, SessionState
from tests.support.clock import START
from tests.support.em import JSON, EmClient, Site, standing_site

NAMES = ["db7", "DB7", "Web 1", 'a "b"', "x;y,z", "(p)", "Äpfel", "==", "a==b", "%41+&", " lead", "z_%"]
INSTANTS = [START + timedelta(microseconds=step) for step in (0, 1, 999_999, 1_000_000, 86_400_000_000)]
IDS = [UUID(int=1 << 64 | number << 32 | 5) for number in range(60)]
VALUES: dict[str, list[Any]] = {
    "Name": NAMES,
    "VmDisplayName": NAMES,
    "State": list(SessionState),
    "Result": list(SessionResult),
    "Type": list(RestoreKind),
    "CreationTime": INSTANTS,
    "EndTime": INSTANTS,
    "UID": IDS,
}
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
FIELDS = {
    field.name.lower(): field
    for field in (
        Queryable("Name", "name", TEXT),
        Queryable("Size", "size", INTEGER),
        Queryable("Retry", "retry", BOOLEAN),
        Queryable("At", "at", INSTANT),
        Queryable("State", "state", enumeration(SessionState)),
        Queryable("UID", "id", uid("Thing")),
    )
}


@dataclass(frozen=True)
class Leaf:
    field: str
    operator: str
    value: Any


@dataclass(frozen=True)
class Both:
    parts: tuple[Tree, ...]


@dataclass(frozen=True)
class Either:
    parts: tuple[Tree, ...]


Tree = Leaf | Both | Either
LEAVES = st.sampled_from(sorted(VALUES)).flatmap(
    lambda name: st.builds(
        Leaf, st.just(name), st.sampled_from(sorted(OPERATORS)), st.sampled_from(VALUES[name])
    )
)
TREES: st.SearchStrategy[Tree] = st.recursive(
    LEAVES,
    lambda parts: (
        st.builds(Both, st.lists(parts, min_size=2, max_size=3).map(tuple))
        | st.builds(Either, st.lists(parts, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=6,
)


def _printed(tree: Tree, source: random.Random, above: int = 0) -> str:
    """The text of a tree, as any of the clients might write it. ``;`` binds tighter than ``,``."""
    if isinstance(tree, Leaf):
        name = "".join(source.choice((each.lower(), each.upper())) for each in tree.field)
        text = _gap(source).join((name, tree.operator, _value(tree.value, source)))
    else:
        separator, level = (";", 2) if isinstance(tree, Both) else (",", 1)
        text = separator.join(_printed(part, source, level) for part in tree.parts)
        if level < above or level == above:
            return f"{_gap(source)}({text}){_gap(source)}"
    if source.random() < 0.2:
        text = f"({text})"
    return _gap(source) + text + _gap(source)


def _value(value: Any, source: random.Random) -> str:
    if isinstance(value, datetime):
        text = value.isoformat().replace("+00:00", source.choice(("", "Z")))
    elif isinstance(value, UUID):
        text = source.choice((str(value), f"urn:veeam:RestoreSession:{value}"))
    else:
        text = str(value)
    if isinstance(value, (SessionState, SessionResult, RestoreKind)):
        text = source.choice((text, text.upper(), text.lower()))
    if not set(text) & set('"();,=<>! ') and source.random() < 0.5:
        return text if source.random() < 0.7 else f"{text[:2]} {text[2:]}"  # bare values lose their blanks
    return '"' + text.replace('"', '""') + '"'


def _gap(source: random.Random) -> str:
    return source.choice(("", "", " ", "  "))


def _holds(tree: Tree, row: dict[str, Any]) -> bool:
    if isinstance(tree, Both):
        return all(_holds(part, row) for part in tree.parts)
    if isinstance(tree, Either):
        return any(_holds(part, row) for part in tree.parts)
    value = row[tree.field]
    if value is None:
        return tree.operator == "!="
    return OPERATORS[tree.operator](_key(value), _key(tree.value))


def _key(value: Any) -> Any:
    """What a value is compared by: text without case, enumerations by their documented place."""
    if isinstance(value, (SessionState, SessionResult, RestoreKind)):
        return list(type(value)).index(value)
    return value.lower() if isinstance(value, str) else value


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A face that has sixty restore sessions with many equal values, and no others."""
    with standing_site(request, request.param) as made:
        source = random.Random(17)
        with made.database.write() as connection:
            model = dict(connection.execute(sa.select(tables.restore_sessions).limit(1)).mappings().one())
            connection.execute(sa.delete(tables.restore_sessions))
            rows = [
                {
                    **model,
                    "id": key,
                    "name": source.choice(NAMES),
                    "vm_name": source.choice(NAMES),
                    "job_type": source.choice(list(RestoreKind)),
                    "state": source.choice(list(SessionState)),
                    "result": source.choice(list(SessionResult)),
                    "created_at": source.choice(INSTANTS),
                    "ended_at": source.choice([None, *INSTANTS]),
                }
                for key in IDS
            ]
            connection.execute(sa.insert(tables.restore_sessions), rows)
        yield made


@pytest.fixture(scope="module")
def client(full: Site) -> EmClient:
    return full.client()


@pytest.fixture(scope="module")
def rows(client: EmClient) -> list[dict[str, Any]]:
    """What a client sees of them."""
    shown = client.get("/restoreSessions?format=Entity", JSON).json["RestoreSessions"]
    assert len(shown) == len(IDS)
    return [
        {
            "Name": each["Name"],
            "VmDisplayName": each["VmDisplayName"],
            "State": SessionState(each["State"]),
            "Result": SessionResult(each["Result"]),
            "Type": RestoreKind(each["JobType"]),
            "CreationTime": datetime.fromisoformat(each["CreationTimeUTC"]),
            "EndTime": datetime.fromisoformat(each["EndTimeUTC"]) if "EndTimeUTC" in each else None,
            "UID": UUID(each["UID"][-36:]),
        }
        for each in shown
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=TREES, seed=st.integers(0, 2**32))
def test_filter_is_answered_as_its_model(
    client: EmClient, rows: list[dict[str, Any]], tree: Tree, seed: int
) -> None:
    source = random.Random(seed)
    text = _printed(tree, source)
    written = source.choice((quote, quote_plus))(text)
    answer = client.get(f"/query?type=RestoreSession&filter={written}", JSON)
    assert answer.status == 200, (text, answer.text)
    expected = {f"urn:veeam:RestoreSession:{row['UID']}" for row in rows if _holds(tree, row)}
    assert {each["UID"] for each in answer.json["Refs"]["Refs"]} == expected, text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    order=st.lists(st.sampled_from(sorted(set(VALUES) - {"Name", "VmDisplayName"})), min_size=1, max_size=2),
    descending=st.booleans(),
    size=st.integers(1, 70),
    page=st.integers(1, 8),
)
def test_pages_are_parts_of_one_order(
    client: EmClient, rows: list[dict[str, Any]], order: list[str], descending: bool, size: int, page: int
) -> None:
    asked = f"/restoreSessions?sort{'Desc' if descending else 'Asc'}={','.join(order)}"
    whole = [each["UID"] for each in client.get(asked, JSON).json["Refs"]]
    by_id = {f"urn:veeam:RestoreSession:{row['UID']}": row for row in rows}
    keys = [[(by_id[key][name] is not None, _key(by_id[key][name])) for name in order] for key in whole]
    assert keys == sorted(keys, key=_comparable, reverse=descending)
    part = client.get(f"{asked}&pageSize={size}&page={page}", JSON).json
    assert [each["UID"] for each in part["Refs"]] == whole[(page - 1) * size : page * size]
    assert part["PagingInfo"]["PagesCount"] == -(-len(whole) // size)


def _comparable(keys: list[tuple[bool, Any]]) -> Any:
    return [(there, value if there else 0) for there, value in keys]


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=60)
    | st.text('Name=="x";,()<>! \tState:\0\ud800', max_size=60)
    | st.lists(
        st.sampled_from(['Name=="x"', "State==Stopped", "(", ")", ";", ",", '"', " ", "==", "Size>1", "<"]),
        max_size=12,
    ).map("".join)
)
@example("")
@example("(" * 32 + "Name==x" + ")" * 32)
def test_any_text_is_a_filter_or_is_refused_with_a_place(text: str) -> None:
    try:
        found = query.parse(text, FIELDS, "Thing")
    except InvalidFilter as error:
        assert 0 <= error.position <= len(text)
        assert error.message and error.hint
    else:
        assert isinstance(found, (Compare, AllOf, AnyOf))


@settings(max_examples=100, deadline=None)
@given(TREES, st.integers(0, 2**32), st.data())
def test_what_comes_behind_a_filter_is_found_at_its_place(tree: Tree, seed: int, data: st.DataObject) -> None:
    text = _printed(tree, random.Random(seed))
    fields = {name.lower(): Queryable(name, name, TEXT) for name in VALUES}
    query.parse(text, fields, "Thing")
    behind = data.draw(st.sampled_from([")", ';"x"', ",;", ";==1"]))
    with pytest.raises(InvalidFilter) as refused:
        query.parse(text + behind, fields, "Thing")
    assert refused.value.position == len(text) + (0 if behind == ")" else 1)


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("", 0, "a field"),
        ("Name", 4, "an operator"),
        ("Name==", 6, "a value"),
        ("Name=x", 4, "an operator"),
        ("Name==x;", 8, "a field"),
        ("Name==x;;Size>1", 8, "a field"),
        ("(Name==x", 8, ")"),
        ("Name==x)", 7, "the end"),
        ('Name=="x', 6, "a value"),
        ("Name==x Size>1", 12, ";"),
        ("Colour==red", 0, "Colour"),
        ("Name==x;Colour==red", 8, "Colour"),
        ("Size==many", 6, "a whole number"),
        ("Name==x,At>yesterday", 11, "a date"),
        ("State==Sleeping", 7, "Working, Pausing, Resuming, Stopped"),
        ('UID=="urn:veeam:Job:6f9619ff-8b86-d011-b42d-00c04fc964ff"', 5, "Thing"),
    ],
)
def test_error_says_where_and_what_was_expected(text: str, position: int, said: str) -> None:
    with pytest.raises(InvalidFilter) as refused:
        query.parse(text, FIELDS, "Thing")
    assert refused.value.position == position
    assert said in refused.value.message + refused.value.hint
    assert str(position + 1) in refused.value.message


def test_and_binds_more_than_or() -> None:
    found = query.parse("Name==a,Name==b;Name==c", FIELDS, "Thing")
    parts = [Compare("name", "==", each) for each in "abc"]
    assert found == AnyOf((parts[0], AllOf((parts[1], parts[2]))))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("At>2026-06-15", datetime(2026, 6, 15, tzinfo=UTC)),
        ("At>2026-06-15T23:17:05", datetime(2026, 6, 15, 23, 17, 5, tzinfo=UTC)),
        ('At>"2026-06-15 23:17:05.5z"', datetime(2026, 6, 15, 23, 17, 5, 500_000, tzinfo=UTC)),
        ('At>"2026-06-15T23:17:05.1234567+02:00"', datetime(2026, 6, 15, 21, 17, 5, 123_456, tzinfo=UTC)),
        ("Size>-5", -5),
        ("Retry>TRUE", True),
        ("Retry>0", False),
        ('Name>""', ""),
        ('Name>""""', '"'),
        ("Name>a b", "ab"),
        ('Name>"a b"', "a b"),
    ],
)
def test_values_are_read_as_clients_write_them(text: str, value: object) -> None:
    found = query.parse(text, FIELDS, "Thing")
    assert isinstance(found, Compare)
    assert (found.op, found.value) == (">", value)


def test_size_is_bounded_and_what_is_allowed_is_answered(client: EmClient) -> None:
    deep = "(" * 32 + "State==Stopped" + ")" * 32
    wide = ",".join(["Name==x;State!=Stopped"] * 128)
    assert wide.count(",") + wide.count(";") == 255
    for text in (deep, wide, wide.replace(",", ";")):
        assert client.get(f"/restoreSessions?filter={text}").status == 200
    for text in (f"({deep})", f"{wide},Name==y;Name==z", "(" * 100_000, "Name==x;" * 50_000):
        answer = client.get(f"/restoreSessions?filter={text}")
        assert answer.status == 400
        assert "32" in answer.message and "256" in answer.message


def test_number_that_no_database_holds_is_refused(client: EmClient) -> None:
    for text in ("Capacity>9223372036854775808", "Capacity>99999999999999999999"):
        assert client.get(f"/query?type=Repository&filter={text}").status == 400
    assert client.get("/query?type=Repository&filter=Capacity<9223372036854775807").status == 200
    assert client.get("/query?type=RestoreSession&filter=Name==%00").status == 400
