"""Documents of the API: what is read of them, and those that are sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lxml import etree

from restorium.vocabulary.errors import HostError

VCLOUD = "http://www.vmware.com/vcloud/v1.5"
EXTENSION = "http://www.vmware.com/vcloud/extension/v1.5"
OVF = "http://schemas.dmtf.org/ovf/envelope/1"


def parse(content: bytes, where: str) -> etree._Element:
    """Raises HostError for what is no XML."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise HostError(
            f"{where} does not answer in XML: {error}", hint="Check that the address is Cloud Director's."
        ) from error


def named(element: etree._Element, name: str) -> Iterator[etree._Element]:
    """The element itself and those in it that have this local name."""
    return element.iter(f"{{*}}{name}")


def first(element: etree._Element, name: str) -> etree._Element | None:
    return next(named(element, name), None)


def text_of(element: etree._Element, name: str) -> str | None:
    """The text of the first element of that name, None if it is absent or empty."""
    found = first(element, name)
    return None if found is None or not (found.text or "").strip() else (found.text or "").strip()


def made(namespace: str, tag: str, /, **attributes: str) -> etree._Element:
    default: Any = {None: namespace}
    return etree.Element(f"{{{namespace}}}{tag}", attributes, nsmap=default)


def add(parent: etree._Element, tag: str, text: str | None = None, /, **attributes: str) -> etree._Element:
    """A new last child in its parent's namespace."""
    child = etree.SubElement(parent, f"{{{etree.QName(parent).namespace}}}{tag}", attributes)
    child.text = text
    return child


def written(element: etree._Element) -> bytes:
    return etree.tostring(element, xml_declaration=True, encoding="UTF-8")
