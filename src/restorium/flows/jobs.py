"""Adding jobs."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from restorium.catalog import hosts, jobs, repositories
from restorium.catalog.jobs import JobVm
from restorium.flows.engine import Engine
from restorium.flows.inventory import list_vms
from restorium.vocabulary.errors import InvalidInput, VmNotFound


def add(engine: Engine, name: str, repository_id: UUID, vms: Sequence[tuple[UUID, str]]) -> UUID:
    """Add a job; gives its id.

    vms: what it backs up, each a host's id and that host's own name of the VM.
    Raises InvalidInput for no VM, a VM named twice or a bad name, NotFound for the repository or a host,
    VmNotFound, HostError, and Conflict if the name is taken.
    """
    if not vms:
        raise InvalidInput("a job needs at least one VM", hint="Name the VMs to back up.")
    twice = {ref for host_id, ref in vms if list(vms).count((host_id, ref)) > 1}
    if twice:
        raise InvalidInput(f"named more than once: {', '.join(sorted(twice))}", hint="Name each VM once.")
    with engine.database.read() as connection:
        repositories.get(connection, repository_id)
        platform = hosts.get(connection, vms[0][0]).platform
    known = {
        (host_id, vm.ref): vm.name
        for host_id in {host_id for host_id, _ in vms}
        for vm in list_vms(engine, host_id)
    }
    for host_id, ref in vms:
        if (host_id, ref) not in known:
            raise VmNotFound(f"host {host_id} has no VM {ref!r}")
    named = [JobVm(host_id, ref, known[host_id, ref]) for host_id, ref in vms]
    with engine.database.write() as connection:
        row = jobs.add(connection, name=name, repository_id=repository_id, platform=platform, vms=named)
    job_id: UUID = row.id
    return job_id
