"""VMs to choose from: those of all hosts, as the hosts list them now."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from uuid import UUID

from restorium.native.hosts import Host, Vm
from restorium.native.jobs import JobVm
from restorium.vocabulary.errors import RestoriumError
from restorium.vocabulary.ids import parse_guid
from restorium.web.visit import Visit

_AT_ONCE = 8


class Offered(NamedTuple):
    """A host with its VMs by name; ``problem`` is why it cannot tell."""

    host: Host
    vms: Sequence[Vm]
    problem: RestoriumError | None


def offered(visit: Visit) -> list[Offered]:
    """All hosts by name; one that does not answer holds the others up no longer than itself."""
    hosts: list[Host] = visit.api.every("/hosts")

    def ask(host: Host) -> Offered:
        return asked(visit, host)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(ask, hosts))


def asked(visit: Visit, host: Host) -> Offered:
    """What one host says."""
    try:
        vms = visit.api.get("/hosts/{id}/vms", id=str(host.id)).items
    except RestoriumError as error:
        return Offered(host, [], error)
    return Offered(host, sorted(vms, key=lambda vm: vm.name.lower()), None)


def key(host_id: UUID, vm_ref: str) -> str:
    """A VM as the value of a field."""
    return f"{host_id}/{vm_ref}"


def vm_of(text: str) -> JobVm:
    """The VM that ``key`` wrote. Raises InvalidIdentifier."""
    host_id, _, vm_ref = text.partition("/")
    return JobVm(parse_guid(host_id), vm_ref)
