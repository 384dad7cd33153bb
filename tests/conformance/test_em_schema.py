"""The XML Schema: it holds every document, every body, and nothing that is not so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from lxml import etree

from restorium.em.as_xml import NAMESPACE
from restorium.em.shapes import Child, Shape
from restorium.em.values import INTEGER
from tests.support.em import FACTS, Answer, EmClient, Site, standing_site, tag

_XS = "{http://www.w3.org/2001/XMLSchema}"


@pytest.fixture(scope="module")
def full(request: pytest.FixtureRequest) -> Iterator[Site]:
    with standing_site(request, "sqlite") as made:
        yield made


@pytest.fixture(scope="module")
def client(full: Site) -> EmClient:
    return full.client()


@pytest.fixture(scope="module")
def schema(full: Site) -> etree._Element:
    answer = EmClient(full.app).get("/schema.xsd")
    assert (answer.status, answer.header("Content-Length")) == (200, str(len(answer.body)))
    return etree.fromstring(answer.body)


def _swapped(session: etree._Element) -> None:
    session.append(session[1])


def _unknown(session: etree._Element) -> None:
    etree.SubElement(session, f"{{{NAMESPACE}}}Reason").text = "cancelled"


def _unlisted(session: etree._Element) -> None:
    _child(session, "State").text = "Sleeping"


def _dated(session: etree._Element) -> None:
    _child(session, "CreationTimeUTC").text = "26.8.2016"


def _counted(session: etree._Element) -> None:
    _child(session, "Progress").text = "50%"


def _missing(session: etree._Element) -> None:
    session.remove(_child(session, "Result"))


def _named(session: etree._Element) -> None:
    session.set("UID", "urn:veeam:Job:" + session.get("UID", "")[-36:])


def _attributed(session: etree._Element) -> None:
    session.set("Progress", "50")


@pytest.mark.parametrize(
    "change", [_swapped, _unknown, _unlisted, _dated, _counted, _missing, _named, _attributed]
)
def test_what_the_documents_of_tests_are_held_against_sees_what_is_wrong(
    client: EmClient, full: Site, change: Callable[[etree._Element], None]
) -> None:
    answer = client.get(f"/restoreSessions/{full.ids['RestoreSession']}?format=Entity")
    session = answer.xml
    change(session)
    with pytest.raises(etree.DocumentInvalid):
        _ = Answer(200, answer.headers, [etree.tostring(session)], full.app).xml


def test_every_type_has_its_elements_in_the_documented_order(schema: etree._Element) -> None:
    for kind, facts in FACTS["types"].items():
        declared = _type(schema, f"{kind}EntityType")
        assert [each.get("name") for each in declared.iterfind(f"{_XS}sequence/{_XS}element")] == [
            "Links",
            *facts["elements"],
        ]
        assert {each.get("name") for each in declared.iterfind(f"{_XS}attribute")} == set(facts["attributes"])
        assert all(each.get("use") == "required" for each in declared.iterfind(f"{_XS}attribute"))


def test_enumerations_have_the_documented_values_in_order(schema: etree._Element) -> None:
    for kind, facts in FACTS["types"].items():
        for name, values in facts["enums"].items():
            if name not in facts["elements"]:
                continue
            [element] = [
                each
                for each in _type(schema, f"{kind}EntityType").iter(f"{_XS}element")
                if each.get("name") == name
            ]
            found = [str(each.get("value")).lower() for each in element.iter(f"{_XS}enumeration")]
            documented = [value.lower() for value in values]  # which the documents spell in two ways
            assert not found or [each for each in found if each in documented] == documented, (kind, name)


def test_every_list_of_entities_is_a_document(schema: etree._Element) -> None:
    known = {each.get("name") for each in schema.iterfind(f"{_XS}element")}
    assert {name for kind, facts in FACTS["types"].items() for name in (kind, facts["plural"])} <= known
    assert {"EntityRef", "EntityReferences", "QueryResult", "Task", "Error", "LogonSession"} <= known


def test_bodies_validate_as_they_are_read(schema: etree._Element) -> None:
    compiled = etree.XMLSchema(schema)
    point = "urn:veeam:VmRestorePoint:00000000-0000-0000-0000-000000000001"
    inner = f"<VmRestorePointUid>{point}</VmRestorePointUid><VmNewName>db-2</VmNewName>"
    body = (
        "<RestoreSpec xmlns='{}'><VmRestoreSpec><PowerOnAfterRestore>true</PowerOnAfterRestore>"
        "{}</VmRestoreSpec></RestoreSpec>"
    )
    parameters = f"<VmRestoreParameters>{inner}</VmRestoreParameters>"
    assert compiled.validate(etree.fromstring(body.format(NAMESPACE, parameters)))
    assert not compiled.validate(etree.fromstring(body.format(NAMESPACE, parameters * 2)))
    assert not compiled.validate(
        etree.fromstring(body.format(NAMESPACE, "<VmRestoreParameters><Vm>x</Vm></VmRestoreParameters>"))
    )


def test_a_document_is_made_of_what_its_shape_declares_and_nothing_else() -> None:
    shape = Shape("Disk", (Child("Size", INTEGER),))
    made = shape.made(Size=3)
    assert (made.name, list(made.attributes)) == ("Disk", [("Size", 3)])
    with pytest.raises(TypeError, match="Disk has no Sise"):
        shape.made(Sise=3)


def _type(schema: etree._Element, name: str) -> etree._Element:
    [found] = [each for each in schema.iterfind(f"{_XS}complexType") if each.get("name") == name]
    return found


def _child(element: etree._Element, name: str) -> etree._Element:
    [found] = [each for each in element if tag(each) == name]
    return found
