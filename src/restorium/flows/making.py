"""The target of a restore on its host, by what is asked for."""

from __future__ import annotations

from restorium.hosts.interface import Host, InstantHost, InstantTarget, RestoreTarget, VmDescription
from restorium.vocabulary.errors import Unsupported
from restorium.vocabulary.restore import RestoreSpec


def target(
    host: Host,
    spec: RestoreSpec,
    description: VmDescription,
    *,
    attempt: str,
    original_ref: str,
    new_name: str | None,
) -> RestoreTarget:
    """As Host.restore_target, which raises what this does; Unsupported too."""
    if spec.instant:
        assert new_name is not None
        return instant_target(host, spec, description, attempt=attempt, new_name=new_name)
    return host.restore_target(
        description,
        attempt=attempt,
        original_ref=original_ref,
        new_name=new_name,
        placement=spec.placement,
    )


def instant_target(
    host: Host, spec: RestoreSpec, description: VmDescription, *, attempt: str, new_name: str
) -> InstantTarget:
    """Raises Unsupported where VMs cannot run from a restore point, and what the host raises."""
    if not isinstance(host, InstantHost):
        raise Unsupported("the host cannot run a VM from its restore point", hint=REMEDY)
    return host.instant_target(description, attempt=attempt, new_name=new_name, placement=spec.placement)


REMEDY = "Restore the VM whole, or to a host that can run it at once: docs/platforms.md says which do."
