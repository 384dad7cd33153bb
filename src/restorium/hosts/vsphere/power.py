"""Turning VMs on and off."""

from __future__ import annotations

from pyVmomi import vim

from restorium.hosts.vsphere.connection import Connection
from restorium.hosts.vsphere.inventory import read

_ON, _OFF = "poweredOn", "poweredOff"


def power_on(connection: Connection, ref: str, name: str) -> None:
    """Raises VmNotFound, HostError."""
    if _state(connection, ref) != _ON:
        vm = connection.object(vim.VirtualMachine, ref)
        connection.task(lambda _: vm.PowerOnVM_Task(), what=f"powering {name} on")


def power_off(connection: Connection, ref: str, name: str) -> None:
    """As if the power was cut. Raises VmNotFound, HostError."""
    if _state(connection, ref) != _OFF:
        vm = connection.object(vim.VirtualMachine, ref)
        connection.task(lambda _: vm.PowerOffVM_Task(), what=f"powering {name} off")


def _state(connection: Connection, ref: str) -> str:
    return str(read(connection, vim.VirtualMachine, ref, "runtime.powerState")["runtime.powerState"])
