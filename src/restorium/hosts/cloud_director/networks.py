"""Network cards of VMs in Cloud Director."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lxml import etree

from restorium.hosts.cloud_director.client import Client
from restorium.hosts.cloud_director.names import path
from restorium.hosts.cloud_director.xml import first, named, text_of
from restorium.hosts.interface import Hardware, Nic

SECTION = "networkConnectionSection/"
MEDIA = "vcloud.networkConnectionSection"
NONE = "none"
"""The network of a card that is connected to none."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One card: on which network of its vApp, None for none."""

    network: str | None
    mac: str | None
    model: str | None


def connections(client: Client, ref: str) -> list[Connection]:
    """The VM's cards in their order. Raises HostError."""
    return [
        Connection(
            None if card.get("network") in (None, NONE) else card.get("network"),
            text_of(card, "MACAddress"),
            text_of(card, "NetworkAdapterType"),
        )
        for card in cards(client.get(f"{path(ref)}/{SECTION}"))
    ]


def cards(section: etree._Element) -> list[etree._Element]:
    return sorted(
        named(section, "NetworkConnection"),
        key=lambda card: int(text_of(card, "NetworkConnectionIndex") or 0),
    )


def connect(section: etree._Element, networks: Sequence[str]) -> bool:
    """Put the cards on these networks, in their order, none where that is empty. Whether anything changed."""
    changed = False
    for card, network in zip(cards(section), networks, strict=False):
        if network and card.get("network") != network:
            card.set("network", network)
            for name, text in (("IsConnected", "true"), ("IpAddressAllocationMode", "DHCP")):
                found = first(card, name)
                if found is not None:
                    found.text = text
            changed = True
    return changed


def on_networks(hardware: Hardware, linked: Sequence[Connection]) -> Hardware:
    """The hardware with cards as Cloud Director has them, which knows names of networks that its tenants use."""
    if not linked:
        return hardware
    nics = tuple(Nic(each.mac, each.network, (each.model or "").lower() or None) for each in linked)
    return replace(hardware, nics=nics)
