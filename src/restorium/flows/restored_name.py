"""Under which name a VM is restored."""

from __future__ import annotations

from datetime import datetime
from itertools import count

from restorium.hosts.interface import Host
from restorium.vocabulary.restore import RestoreSpec


def settled(host: Host, spec: RestoreSpec, vm_name: str, made_at: datetime) -> str | None:
    """The name that is asked for, or one made up beside the original; None over the original. Raises HostError."""
    if not spec.keep_original or spec.new_name is not None:
        return spec.new_name
    return _free(host, vm_name) if spec.host_id is not None else beside(host, vm_name, made_at)


def beside(host: Host, vm_name: str, made_at: datetime) -> str:
    """The VM's name with the moment of its restore point, numbered if it is taken. Raises HostError."""
    return _free(host, f"{vm_name}-{made_at:%Y%m%d-%H%M%S}")


def _free(host: Host, base: str) -> str:
    taken = {text for vm in host.inventory() for text in (vm.name, vm.ref)}
    names = (base if number == 1 else f"{base}-{number}" for number in count(1))
    return next(name for name in names if name not in taken)
