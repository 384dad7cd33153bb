"""Documents as bytes: whatever the text in them, they are well formed and say the same in both formats."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree

from restorium.em import as_json, as_xml
from restorium.em.documents import Collection, Link, Resource, Scalar
from restorium.em.negotiation import Media, accepted
from restorium.em.values import read_instant, show_instant
from tests.support.em import FACTS, NAMESPACE, attributes, children, links, tag

_FORBIDDEN = {chr(code) for code in range(0x20)} - set("\t\n\r") | {"\ufffe", "\uffff"}
TEXTS = st.text(max_size=40) | st.text("<>&\"'\t\r\n]]>\x00\x0b\x7f\x85\u2028\ufffe\uffff😀 ", max_size=20)
SCALARS = TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1)


def _xml(document: Resource | Collection) -> etree._Element:
    return etree.fromstring("".join(as_xml.write(document)).encode())


def _readable(text: str) -> str:
    """What XML 1.0 can hold of a text; the rest becomes replacement characters."""
    return "".join("\ufffd" if each in _FORBIDDEN else each for each in text)


@settings(max_examples=300, deadline=None)
@given(attribute=TEXTS, text=TEXTS, name=TEXTS)
@example("\x7f\t\r\n", "]]>", "'\"<>&")
def test_any_text_comes_through_xml(attribute: str, text: str, name: str) -> None:
    link = Link("Up", f"https://x/{text}", name)
    shown = _xml(Resource("Thing", [("Name", attribute), ("Gone", None)], [("Text", text)], [link]))
    assert (tag(shown), attributes(shown)) == ("Thing", {"Name": _readable(attribute)})
    assert (children(shown, "Text")[0].text or "") == _readable(text)
    assert links(shown) == [{"Href": _readable(f"https://x/{text}"), "Name": _readable(name), "Rel": "Up"}]


@settings(max_examples=300, deadline=None)
@given(attribute=TEXTS, value=SCALARS, name=TEXTS, camel=st.booleans())
def test_any_value_comes_through_json(attribute: str, value: Scalar, name: str, camel: bool) -> None:
    inner = Resource("Inner", [("UID", attribute)])
    document = Resource(
        "Thing",
        [("Name", attribute), ("Type", None)],
        [
            ("Value", value),
            ("None", None),
            ("Inner", inner),
            ("Things", Collection("Things", "Things", [inner])),
        ],
        [Link("Up", "https://x", name)],
        nulls=("Absent", "Value"),
    )
    told = json.loads("".join(as_json.write(document, as_json.camel if camel else as_json.pascal)))
    if camel:
        assert told == {
            "value": value,
            "inner": {"uid": attribute},
            "things": {"things": [{"uid": attribute}]},
            "name": attribute,
            "links": [{"rel": "Up", "href": "https://x", "name": name, "type": None}],
            "type": None,
            "absent": None,
        }
    else:
        assert told == {
            "Value": value,
            "Inner": {"UID": attribute},
            "Things": {"Things": [{"UID": attribute}]},
            "Name": attribute,
            "Links": [{"Rel": "Up", "Href": "https://x", "Name": name, "Type": None}],
            "Type": None,
            "Absent": None,
        }


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, max_size=6), st.booleans())
def test_collections_hold_their_items_in_order(texts: list[str], paged: bool) -> None:
    def listed() -> Collection:
        paging = Resource("PagingInfo", [("PageNum", 1)]) if paged else None
        return Collection("Things", "Items", (Resource("Thing", [("Name", text)]) for text in texts), paging)

    shown = _xml(listed())
    assert [each.get("Name") for each in children(shown, "Thing")] == list(map(_readable, texts))
    assert len(children(shown, "PagingInfo")) == paged
    told = json.loads("".join(as_json.write(listed(), as_json.pascal)))
    assert told == {"Items": [{"Name": text} for text in texts]} | (
        {"PagingInfo": {"PageNum": 1}} if paged else {}
    )


@given(st.text("<&\ud800\udfff", min_size=1))
def test_half_a_character_does_not_break_xml(text: str) -> None:
    assert "\ufffd" in "".join(as_xml.write(Resource("Thing", [("Name", f"{text}\ud800")])))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (True, "true"),
        (False, "false"),
        (-1, "-1"),
        (2**63 - 1, str(2**63 - 1)),
        (1.0, "1"),
        (2.15, "2.15"),
        (0.07, "0.07"),
    ],
)
def test_scalars_are_written_as_the_interface_does(value: Scalar, written: str) -> None:
    assert children(_xml(Resource("Thing", (), [("Value", value)])), "Value")[0].text == written


def test_nothing_is_an_empty_element() -> None:
    for document in (Resource("Things"), Collection("Things", "Things", ())):
        assert "".join(as_xml.write(document)).endswith('/2001/XMLSchema-instance" />')
    assert etree.QName(_xml(Resource("Things"))).namespace == NAMESPACE


@settings(max_examples=300, deadline=None)
@given(st.datetimes(), st.integers(-14 * 60, 14 * 60))
def test_instants_come_back_as_they_were(at: datetime, minutes: int) -> None:
    at = at.replace(tzinfo=UTC)
    text = show_instant(at)
    assert re.fullmatch(r"\d{4}(-\d\d){2}T\d\d(:\d\d){2}(\.\d{0,5}[1-9])?Z", text)
    assert read_instant(text) == read_instant(text.removesuffix("Z")) == read_instant(text.lower()) == at
    try:
        elsewhere = at.astimezone(timezone(timedelta(minutes=minutes)))
    except OverflowError:
        return
    assert show_instant(elsewhere) == text
    assert read_instant(elsewhere.isoformat()) == at


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=30)
    | st.text("0123456789-T:.Z+ ", max_size=30)
    | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d", fullmatch=True)
)
def test_what_is_no_instant_is_a_value_error(text: str) -> None:
    try:
        found = read_instant(text)
    except ValueError:
        return
    assert found.tzinfo is not None


def test_camel_names_are_those_of_release_13() -> None:
    known = {
        **FACTS["slots"],
        "UID": "uid",
        "CreationTimeUTC": "creationTimeUTC",
        "Href": "href",
        "VmUid": "vmUid",
    }
    assert {name: as_json.camel(name) for name in known} == known


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [
                "application/xml",
                "application/json",
                "text/*",
                "*/*",
                "q=0.5",
                ";",
                ",",
                "q=nan",
                "q=-1",
                "q=1e999",
                " ",
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_any_accept_header_is_answered(header: str) -> None:
    assert accepted(header) in (None, Media.XML, Media.JSON)
