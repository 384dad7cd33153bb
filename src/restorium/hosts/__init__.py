"""Hypervisors and image folders behind one interface: list VMs, read them, and make them again.

Invariants: a host's ``ref`` of a VM is stable; a VM being restored cannot be seen under its final name before
it is whole. What may be half done after a crash is each host's own to say; asking it for the same restore
target again finds it.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from restorium.hosts.image_folder import ImageFolder
from restorium.hosts.interface import Host, InFront, Login, Peers
from restorium.hosts.qemu import QemuFolder
from restorium.vocabulary.errors import InvalidInput, Unsupported
from restorium.vocabulary.hierarchy import HostType, ManagedServerType, Platform


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of host, and what the Enterprise Manager API calls it.

    open: takes an address in the kind's own form. places: whether a restore may name storage, networks and container.
    instant: whether a VM can run from its restore point at once; its hosts are InstantHosts.
    about: what the address is, for people. logon: whether there is a user name and password to give.
    """

    open: Callable[[str, Login], Host]
    platform: Platform
    host_type: HostType
    server_type: ManagedServerType
    places: bool = False
    instant: bool = False
    about: str = "address"
    logon: bool = True


def _cloud_director(address: str, login: Login) -> Host:
    from restorium.hosts.cloud_director import CloudDirector

    return CloudDirector(address, login)


def _hyperv(address: str, login: Login) -> Host:
    with _library("Hyper-V hosts", "hyperv"):
        from restorium.hosts.hyperv import HyperV
    return HyperV(address, login)


def _vsphere(address: str, login: Login) -> Host:
    with _library("vCenter Servers", "vsphere"):
        from restorium.hosts.vsphere import Vsphere
    return Vsphere(address, login)


def _libvirt(address: str, _login: Login) -> Host:
    from restorium.hosts.libvirt import Libvirt

    return Libvirt(address)


@contextmanager
def _library(who: str, extra: str) -> Iterator[None]:
    """Raises Unsupported for an import of what only that extra of ours installs."""
    try:
        yield
    except ImportError as error:
        raise Unsupported(
            f"{who} need a library that is not installed: {error.name}",
            hint=f"Install it with pip install 'restorium[{extra}]'.",
        ) from error


# These have no word of their own in the API: docs/decisions/0002-platform-of-an-image-folder.md.
_KINDS = {
    "image-folder": Kind(
        lambda address, _login: ImageFolder(Path(address)),
        Platform.VMWARE,
        HostType.ESXI,
        ManagedServerType.ESXI,
        about="folder on the server's machine, with a TOML file beside the disks for each VM",
        logon=False,
    ),
    "qemu": Kind(
        lambda address, _login: QemuFolder(Path(address)),
        Platform.VMWARE,
        HostType.ESXI,
        ManagedServerType.ESXI,
        instant=True,
        about="folder on the server's machine, with a TOML file for each VM",
        logon=False,
    ),
    "cloud-director": Kind(
        _cloud_director,
        Platform.VCLOUD,
        HostType.CLOUD_DIRECTOR,
        ManagedServerType.CLOUD_DIRECTOR,
        places=True,
        about="https://NAME; its vCenters are hosts already",
    ),
    "hyperv": Kind(
        _hyperv,
        Platform.HYPERV,
        HostType.HYPERV,
        ManagedServerType.HYPERV,
        places=True,
        about="https://HOST, with its WinRM port if that is not 5986",
    ),
    "vsphere": Kind(
        _vsphere,
        Platform.VMWARE,
        HostType.VCENTER,
        ManagedServerType.VCENTER,
        places=True,
        about="https://NAME of the vCenter Server, with its port if that is not 443",
    ),
    "libvirt": Kind(
        _libvirt,
        Platform.VMWARE,
        HostType.ESXI,
        ManagedServerType.ESXI,
        instant=True,
        about="URI of the libvirt of the server's machine, such as qemu:///system",
        logon=False,
    ),
}


def kinds() -> Mapping[str, Kind]:
    """All kinds of hosts, by what ``open_host`` calls them."""
    return _KINDS


def kind_of(name: str) -> Kind:
    """Raises InvalidInput."""
    if name not in _KINDS:
        raise InvalidInput(f"{name!r} is no kind of host; known are {', '.join(_KINDS)}")
    return _KINDS[name]


def open_host(kind: str, address: str, login: Login | None = None, peers: Peers | None = None) -> Host:
    """A host of that kind; the address of an image folder, and of VMs of QEMU, is a folder, of a libvirt its URI.

    peers: how one that stands in front of others finds them. Nothing is contacted yet. Raises InvalidInput.
    """
    known, login = kind_of(kind), login or Login()
    if not known.logon and login != Login():
        raise InvalidInput(f"{kind} needs no logon", hint="Leave user name and thumbprint out.")
    opened = known.open(address, login)
    if isinstance(opened, InFront) and peers is not None:
        opened.reach_by(peers)
    return opened


__all__ = ["Kind", "kind_of", "kinds", "open_host"]
