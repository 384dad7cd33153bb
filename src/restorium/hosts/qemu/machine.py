"""A VM started: QEMU's arguments from what is known of its hardware, and QEMU left to itself.

Only the hardware is taken from a description, never QEMU's own options: one that came with a restore point must not be
able to run programs or to open files outside its folder.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from restorium.hosts.acceleration import accelerator
from restorium.hosts.interface import Firmware, Hardware, Nic
from restorium.programs import find
from restorium.vocabulary.errors import HostError, Unsupported

USER_NETWORK = "user"
"""The one network that needs no rights: out through this machine, not in."""
PROGRAM = "qemu-system-x86_64"
_OVMF = (Path("/usr/share/ovmf/OVMF.fd"), Path("/usr/share/OVMF/OVMF_CODE.fd"))
_DEFAULT_MIB = 1024
_START_SECONDS = 60.0
_MOST_TOLD = 500
_MAC = re.compile(r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")
_DEFAULT_BUS = "virtio"
_NIC_MODELS = ("virtio-net-pci", "e1000", "e1000e", "rtl8139", "vmxnet3")
_DEFAULT_NIC = "e1000"


@dataclass(frozen=True, slots=True)
class MachineDisk:
    """source: QEMU's options of the disk's block node, named ``node``. bus: as ``Hardware.buses`` has it."""

    node: str
    source: str
    bus: str | None


def start(
    folder: Path, name: str, hardware: Hardware, disks: Sequence[MachineDisk], qmp: Path, console: Path
) -> None:
    """Leave a QEMU running that takes commands on the socket ``qmp`` and writes its serial port to ``console``.

    Raises Unsupported if QEMU or a firmware is not installed, HostError if it does not start.
    """
    program = find(PROGRAM)
    if program is None:
        raise Unsupported(f"{PROGRAM} is not installed here", hint="Install QEMU for x86 on the server.")
    arguments = [*_machine(name, hardware), *_disks(disks), *_nics(hardware.nics)]
    arguments += ["-qmp", f"unix:{escaped(qmp.name)},server=on,wait=off"]
    arguments += ["-chardev", f"file,id=console,path={escaped(console.name)}", "-serial", "chardev:console"]
    arguments.append("-daemonize")
    qmp.unlink(missing_ok=True)
    try:
        started = subprocess.run(  # noqa: S603  no shell; what is run is found on the path of the server
            [str(program), *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_START_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise HostError(f"QEMU does not start {name} within {_START_SECONDS:g} s") from None
    if started.returncode:
        said = started.stderr.decode(errors="replace").strip()[-_MOST_TOLD:]
        raise HostError(f"QEMU does not start {name}: {said}", hint="Look at the VM's description and disks.")


def file_source(path: Path, image_format: str) -> str:
    """A disk in a file, for MachineDisk."""
    return f"driver={image_format},file.driver=file,file.filename={escaped(str(path.absolute()))}"


def _machine(name: str, hardware: Hardware) -> Iterator[str]:
    yield from ("-nodefaults", "-no-user-config", "-machine", "q35", *accelerator())
    yield from ("-name", escaped(name), "-display", "none", "-vga", "std", "-monitor", "none")
    yield from ("-m", str(hardware.memory_mib or _DEFAULT_MIB), "-smp", str(hardware.cpus or 1))
    yield from ("-sandbox", "on,obsolete=deny,resourcecontrol=deny")
    if hardware.firmware is Firmware.UEFI:
        firmware = next((path for path in _OVMF if path.exists()), None)
        if firmware is None:
            raise Unsupported("the VM needs UEFI, which is not installed here", hint="Install OVMF.")
        yield from ("-bios", str(firmware))


def _disks(disks: Sequence[MachineDisk]) -> Iterator[str]:
    """The q35 machine has a SATA controller of six ports, which take IDE disks too."""
    if any(disk.bus == "scsi" for disk in disks):
        yield from ("-device", "virtio-scsi-pci,id=scsi0")
    ports = iter(range(6))
    for number, disk in enumerate(disks):
        yield from ("-blockdev", f"node-name={disk.node},{disk.source}")
        of_disk = f"drive={disk.node},id=disk{number},bootindex={number + 1}"
        port = next(ports, None) if disk.bus in ("ide", "sata") else None
        if port is not None:
            device = f"ide-hd,bus=ide.{port}"
        elif disk.bus == "scsi":
            device = "scsi-hd,bus=scsi0.0"
        elif disk.bus == "nvme":
            device = f"nvme,serial=restorium{number}"
        else:
            device = "virtio-blk-pci"
        yield from ("-device", f"{device},{of_disk}")


def _nics(nics: Sequence[Nic]) -> Iterator[str]:
    """A card whose network is not known here has no cable."""
    for number, nic in enumerate(nics):
        kind = "user" if nic.network == USER_NETWORK else f"hubport,hubid={number}"
        model = nic.model if nic.model in _NIC_MODELS else _DEFAULT_NIC
        mac = f",mac={nic.mac}" if nic.mac is not None and _MAC.fullmatch(nic.mac) else ""
        yield from ("-netdev", f"{kind},id=net{number}", "-device", f"{model},netdev=net{number}{mac}")


def escaped(text: str) -> str:
    return text.replace(",", ",,")
