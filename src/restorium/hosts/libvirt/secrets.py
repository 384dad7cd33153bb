"""Passwords of consoles, which libvirt shows only on request and of which a restore point keeps none.

An empty password lets nobody in, where none at all would let everybody in. Source: libvirt's document formatdomain.
"""

from __future__ import annotations

from lxml import etree


def withhold(domain: etree._Element) -> None:
    """Empty the passwords of a definition."""
    for graphics in domain.iterfind("devices/graphics[@passwd]"):
        graphics.set("passwd", "")
        graphics.attrib.pop("passwdValidTo", "")


def give_back(domain: etree._Element, original: etree._Element | None) -> list[str]:
    """Fill in the passwords that the original has; gives a sentence for people about each that stays empty."""
    lost = []
    for graphics in domain.iterfind("devices/graphics[@passwd='']"):
        kind = graphics.get("type")
        known = None if original is None else original.find(f"devices/graphics[@type='{kind}'][@passwd]")
        if known is None:
            lost.append(f"Its {kind} console lets nobody in until it is given a password (virsh edit).")
            continue
        for name in ("passwd", "passwdValidTo"):
            if name in known.attrib:
                graphics.set(name, known.attrib[name])
    return lost
