"""What is done to VMs and vApps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lxml import etree

from restorium.hosts.cloud_director.client import Client
from restorium.hosts.cloud_director.names import path, urn
from restorium.hosts.cloud_director.networks import MEDIA, SECTION, connect
from restorium.hosts.cloud_director.places import Place
from restorium.hosts.cloud_director.xml import EXTENSION, OVF, VCLOUD, add, first, made, named, text_of
from restorium.vocabulary.errors import HostError

_MARK = "restorium-restore"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


class Actions:
    """Each returns when Cloud Director says that it is done. Raises HostError."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def power_on(self, ref: str) -> None:
        self._client.post(f"{path(ref)}/power/action/powerOn")

    def power_off(self, ref: str) -> None:
        """Nothing happens if it is off."""
        if self._client.get(path(ref)).get("deployed") == "true":
            body = made(VCLOUD, "UndeployVAppParams")
            add(body, "UndeployPowerAction", "powerOff")
            self._client.post(f"{path(ref)}/action/undeploy", body, "vcloud.undeployVAppParams")

    def take_in(self, vcenter: str, moref: str, name: str, place: Place) -> None:
        """Make a VM of the vCenter one of Cloud Director's, in the place's vApp, which is made if there is none."""
        kind = "ImportVmAsVAppParams" if place.vapp is None else "ImportVmIntoExistingVAppParams"
        body = made(EXTENSION, kind, sourceMove="true")
        if place.vapp is None:
            body.set("name", place.vapp_name)
        add(body, "VmName", name)
        add(body, "VmMoRef", moref)
        if place.profile is not None:
            add(body, "VdcStorageProfile", href=self._address(place.profile))
        if place.vapp is None:
            add(body, "Vdc", href=self._address(path(place.vdc.ref)))
        else:
            add(body, "VApp", href=self._address(path(place.vapp)))
        operation = kind[0].lower() + kind.removesuffix("Params")[1:]
        self._client.post(f"{path(vcenter)}/{operation}", body, f"admin.{kind[0].lower()}{kind[1:]}")

    def remove_vm(self, ref: str) -> None:
        """Power it off and remove it with its disks; then its vApp too, if a restore made that and it is empty."""
        vm = self._client.get(path(ref))
        self.power_off(ref)
        vapp = next((link.get("href") for link in named(vm, "Link") if link.get("rel") == "up"), None)
        self._client.delete(path(ref))
        if vapp is not None:
            self._remove_empty(urn("vapp", vapp))

    def set_mark(self, ref: str, attempt: str) -> None:
        """Write which restore made the VM or vApp."""
        body = made(VCLOUD, "MetadataValue")
        value = add(body, "TypedValue")
        value.set(f"{{{_XSI}}}type", "MetadataStringValue")
        add(value, "Value", attempt)
        self._client.put(f"{path(ref)}/metadata/{_MARK}", body, "vcloud.metadata.value")

    def mark(self, ref: str) -> str | None:
        """Which restore made the VM or vApp."""
        for entry in named(self._client.get(f"{path(ref)}/metadata"), "MetadataEntry"):
            if text_of(entry, "Key") == _MARK:
                return text_of(entry, "Value")
        return None

    def connect(self, ref: str, vapp: str, networks: Sequence[str], known: Mapping[str, str]) -> None:
        """Put the VM's cards on these networks, in their order; the vApp gets those that it has not yet.

        known: addresses of the VDC's networks. A network that neither has is left out.
        """
        config = self._client.get(f"{path(vapp)}/networkConfigSection/")
        there = {str(each.get("networkName")) for each in named(config, "NetworkConfig")}
        missing = {each for each in networks if each and each not in there and each in known}
        for network in sorted(missing):
            _add_network(config, network, known[network])
        if missing:
            self._client.put(f"{path(vapp)}/networkConfigSection/", config, "vcloud.networkConfigSection")
        reachable = [each if each in there | missing else "" for each in networks]
        section = self._client.get(f"{path(ref)}/{SECTION}")
        if connect(section, reachable):
            self._client.put(f"{path(ref)}/{SECTION}", section, MEDIA)

    def _remove_empty(self, vapp: str) -> None:
        if first(self._client.get(path(vapp)), "Vm") is None and self.mark(vapp) is not None:
            self._client.delete(path(vapp))

    def _address(self, at: str) -> str:
        return f"{self._client.base}{at}"


def _add_network(config: etree._Element, network: str, parent: str) -> None:
    if etree.QName(config).localname != "NetworkConfigSection":
        raise HostError("Cloud Director does not tell the networks of a vApp")
    if first(config, "Info") is None:
        info = etree.SubElement(config, f"{{{OVF}}}Info")
        info.text = "The configuration parameters for logical networks"
    entry = add(config, "NetworkConfig", networkName=network)
    configuration = add(entry, "Configuration")
    add(configuration, "ParentNetwork", href=parent, name=network)
    add(configuration, "FenceMode", "bridged")
