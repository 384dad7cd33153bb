"""What VMs a host has."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from restorium.catalog.jobs import JobVm
from restorium.flows.engine import Engine
from restorium.hosts.interface import Container, Contains, VmInfo
from restorium.vocabulary.errors import InvalidInput, VmNotFound


def list_vms(engine: Engine, host_id: UUID) -> list[VmInfo]:
    """The host's VMs as it lists them now. Raises NotFound and HostError."""
    return engine.host(host_id).inventory()


def list_containers(engine: Engine, host_id: UUID) -> Sequence[Container]:
    """What the host's VMs are in, none where it has no such thing. Raises NotFound and HostError."""
    host = engine.host(host_id)
    return host.containers() if isinstance(host, Contains) else ()


def known(engine: Engine, vms: Sequence[tuple[UUID, str]]) -> list[JobVm]:
    """VMs, each by its host's id and that host's own name of it, with the names that the hosts give them now.

    Raises InvalidInput for no VM or one that is named twice, NotFound for a host, VmNotFound, HostError.
    """
    if not vms:
        raise InvalidInput("no VM is named", hint="Name the VMs to back up.")
    check_once(vms)
    names = {
        (host_id, vm.ref): vm.name
        for host_id in {host_id for host_id, _ in vms}
        for vm in list_vms(engine, host_id)
    }
    for host_id, ref in vms:
        if (host_id, ref) not in names:
            raise VmNotFound(f"host {host_id} has no VM {ref!r}")
    return [JobVm(host_id, ref, names[host_id, ref]) for host_id, ref in vms]


def check_once(vms: Sequence[tuple[UUID, str]]) -> None:
    """Raises InvalidInput for a VM that is named twice."""
    twice = {ref for host_id, ref in vms if list(vms).count((host_id, ref)) > 1}
    if twice:
        raise InvalidInput(f"named more than once: {', '.join(sorted(twice))}", hint="Name each VM once.")
