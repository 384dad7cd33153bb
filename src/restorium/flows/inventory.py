"""What VMs a host has."""

from __future__ import annotations

from uuid import UUID

from restorium.flows.engine import Engine
from restorium.hosts.interface import VmInfo


def list_vms(engine: Engine, host_id: UUID) -> list[VmInfo]:
    """The host's VMs as it lists them now. Raises NotFound and HostError."""
    return engine.host(host_id).inventory()
