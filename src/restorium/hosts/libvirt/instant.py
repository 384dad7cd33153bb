"""A VM that runs before its disks are there: a domain on empty images over a restore point that is served over NBD.

A domain that runs cannot be renamed, nor its images, so both have their final names from the start. The mark says how
far the VM has got, and the plan of the images leads back until it is whole. libvirt starts it with its guest held; the
guest goes on when QEMU has been told to wait for the server.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lxml import etree

from restorium.hosts.image_folder.folder import explained
from restorium.hosts.interface import DiskInfo, Door, ServedDisk, VmDescription
from restorium.hosts.libvirt.domains import attribute, parse, usual_user
from restorium.hosts.libvirt.machines import as_text
from restorium.hosts.libvirt.marks import Mark, Stage, put_mark
from restorium.hosts.libvirt.places import Place
from restorium.hosts.libvirt.removal import WITH_ALL
from restorium.hosts.libvirt.target import LibvirtTarget
from restorium.hosts.libvirt.virsh import Silent, Virsh
from restorium.hosts.libvirt.waiting import backing_store, forget_servers, is_backed, make_wait
from restorium.hosts.overlays import NEARLY, make_overlay, overlaid
from restorium.nbd import check_socket_path
from restorium.vocabulary.errors import HostError, TargetFull

_LOOK_SECONDS = 15.0
"""How long an answer of QEMU is waited for, which may wait for a disk itself."""
_TRIES = 2
_FULL_BYTES = 1 << 20


class InstantLibvirtTarget(LibvirtTarget):
    """See InstantTarget. Raises Unsupported for a disk that no qcow2 image can hold."""

    _begins = Stage.STARTING

    def __init__(self, virsh: Virsh, description: VmDescription, *, attempt: str, new_name: str) -> None:
        self._served: Mapping[str, ServedDisk] = {}
        self._begun: dict[str, int] = {}
        self._looking = Virsh(virsh.address, _LOOK_SECONDS)
        super().__init__(
            virsh, overlaid(description), attempt=attempt, original_ref=new_name, new_name=new_name
        )

    def probe(self) -> None:
        super().probe()
        check_socket_path(self._socket)

    def door(self, usual: Path) -> Door:
        """Beside the images, for the account that runs QEMU need not come into the data folder."""
        return Door(self._socket, usual_user(self._virsh))

    def start(self, served: Mapping[str, ServedDisk]) -> None:
        with explained(f"starting {self._name!r}"):
            if self._mark() is None:
                self._served = served
                if not self._plans():
                    for disk in self._description.disks:
                        make_overlay(self._temporary(disk), disk.size)
                        self._temporary(disk).chmod(0o600)
                self._take_place()
        self._run()

    def moved(self) -> Mapping[str, float]:
        """One disk is moved after the other: QEMU holds the guest while it begins, until reads under way have ended."""
        for asked in range(2):
            try:
                return self._moved()
            except Silent:
                break
            except HostError:
                # A VM that ends just now refuses what is asked of it; asked again, it tells how it ended.
                if asked or self._is_active():
                    raise
        return dict.fromkeys([disk.key for disk in self._description.disks], 0.0)

    def finalise(self, left_out: Collection[str] = ()) -> str:
        mark = self._known_mark()
        with explained(f"finalising {self._name!r}"):
            if mark.stage is not Stage.WHOLE:
                if mark.stage is Stage.POWERED_OFF:
                    self._power_off()
                else:
                    with suppress(HostError):  # one that is off, or goes off just now, has none
                        forget_servers(self._virsh, self._uuid)
                self._note(Stage.WHOLE)
            self._tidy()
        return str(self._uuid)

    def finalised(self) -> str | None:
        mark = self._mark()
        return str(self._uuid) if mark is not None and mark.stage is Stage.WHOLE else None

    def discard(self) -> None:
        mark = self._mark()
        if mark is not None and mark.stage is not Stage.WHOLE:
            self._power_off()
            self._virsh.run("undefine", str(self._uuid), *WITH_ALL)
        super().discard()

    @property
    def _socket(self) -> Path:
        return self._places.folders[0] / self._hidden("nbd")

    def _defined(self, places: dict[str, Place], left_out: Collection[str]) -> str:
        domain = parse(super()._defined(places, left_out))
        for disk in self._description.disks:
            image = self._element(domain, places[disk.key].path)
            source = image.find("source")
            assert source is not None
            source.addnext(backing_store(self._served[disk.key], disk.size))
        return as_text(domain)

    def _run(self) -> None:
        """Let the VM run, or its QEMU alone if its guest has ended by itself. Raises HostError."""
        stage = self._known_mark().stage
        if not self._is_active():
            stage = Stage.POWERED_OFF if self._has_ended_itself() else Stage.STARTING
            self._note(stage)
            try:
                self._virsh.run("start", str(self._uuid), "--paused")
            except HostError:
                if not self._is_active():  # or a process that has died since had begun to start it
                    raise
        if stage is not Stage.MOVING:
            make_wait(self._virsh, self._uuid, self._live())
        if stage is Stage.STARTING:
            if self._state().startswith("paused"):
                self._virsh.run("resume", str(self._uuid))
            self._note(Stage.MOVING)

    def _moved(self) -> Mapping[str, float]:
        live = self._live()
        if "id" not in live.attrib:
            if not self._has_ended_itself():
                raise HostError(f"{self._name} ended before its disks were its own", hint="Restore it again.")
            self._begun.clear()
            self._run()
            live = self._live()
        files = self._known_mark().files
        shares: dict[str, float] = {}
        for disk in self._description.disks:
            image = self._element(live, files[disk.key])
            if not is_backed(image):
                shares[disk.key] = 1.0
            elif all(share == 1 for share in shares.values()):
                shares[disk.key] = self._share(disk, str(attribute(image, "target", "dev")))
            else:
                shares[disk.key] = 0.0
        return shares

    def _share(self, disk: DiskInfo, target: str) -> float:
        """How much of a disk is its own; begins to move it. Raises HostError if it has been tried in vain."""
        told = self._looking.run("blockjob", str(self._uuid), target, "--raw")
        job = dict(line.strip().partition("=")[::2] for line in told.splitlines())
        if "end" in job:
            return min(int(job["cur"]) / max(int(job["end"]), 1), NEARLY)
        if not is_backed(self._element(self._live(), self._known_mark().files[disk.key])):
            return 1.0
        try:
            self._looking.run("blockpull", str(self._uuid), target)
        except Silent:
            raise
        except HostError as error:
            if "active block job" in error.message:  # that has ended, and libvirt has yet to take note
                return NEARLY
            raise
        self._begun[disk.key] = self._begun.get(disk.key, 0) + 1
        if self._begun[disk.key] > _TRIES:
            message = f"disk {disk.key!r} of {self._name} cannot be moved"
            free = self.free_bytes()
            if free is not None and free < _FULL_BYTES:
                raise TargetFull(f"{message}: no space is left for it")
            raise HostError(message, hint="Look at libvirt's log and at that of the VM for why.")
        return 0.0

    def _note(self, stage: Stage) -> None:
        """In the definition that lasts; one that is whole has nothing below its images."""
        mark = self._known_mark()
        domain = parse(self._virsh.run("dumpxml", str(self._uuid), "--inactive", "--security-info"))
        if stage is Stage.WHOLE:
            for disk in filter(is_backed, domain.iterfind("devices/disk")):
                for store in disk.findall("backingStore"):
                    disk.remove(store)
        put_mark(domain, replace(mark, stage=stage), ())
        self._virsh.with_xml("define", None, as_text(domain))

    def _power_off(self) -> None:
        """Also from a VM that is being started, or waits for a disk."""
        if not self._virsh.works("destroy", str(self._uuid)) and self._is_active():
            raise HostError(f"{self._name} cannot be powered off", hint="Power it off: virsh destroy.")

    def _known_mark(self) -> Mark:
        mark = self._mark()
        if mark is None:
            raise HostError(f"{self._name} is not the VM that this restore has made any more")
        return mark

    def _live(self) -> etree._Element:
        return parse(self._virsh.run("dumpxml", str(self._uuid)))

    def _is_active(self) -> bool:
        return "id" in self._live().attrib

    def _has_ended_itself(self) -> bool:
        return self._state() == "shut off (shutdown)"

    def _state(self) -> str:
        return self._virsh.run("domstate", str(self._uuid), "--reason").strip()

    def _element(self, domain: etree._Element, image: Path) -> etree._Element:
        """The disk of that image. Raises HostError."""
        for disk in domain.iterfind("devices/disk"):
            if attribute(disk, "source", "file") == str(image):
                return disk
        raise HostError(f"{self._name} does not have its disk {image} any more")
