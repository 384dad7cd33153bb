"""Restoring: images beside those of the VMs under hidden names, then given their final ones and defined as a VM."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from uuid import NAMESPACE_OID, UUID, uuid5

from restorium.disks import create_disk, open_disk, reopen_disk
from restorium.disks.interface import DiskReader, DiskWriter, Extent
from restorium.hosts.image_folder.folder import (
    LONGEST_NAME,
    check_attempt,
    check_writable,
    explained,
    flush,
    take_owner_and_mode,
)
from restorium.hosts.image_folder.plans import Move, Plan
from restorium.hosts.interface import DiskInfo, VmDescription
from restorium.hosts.libvirt.domains import Domain, as_uuid, parse, read_domain
from restorium.hosts.libvirt.machines import Machine, as_text, machine_of
from restorium.hosts.libvirt.marks import Mark, Stage, put_mark, read_mark
from restorium.hosts.libvirt.places import Place, Places, images_of_others, written
from restorium.hosts.libvirt.virsh import Virsh
from restorium.hosts.names import check_name
from restorium.vocabulary.errors import (
    DiskDamaged,
    DiskMissing,
    HostError,
    InvalidInput,
    TargetExists,
    VmNotFound,
)


class LibvirtTarget:
    """A VM being restored. See RestoreTarget; the package says what a crash leaves.

    A plan lies in every folder in which something is moved or removed. The VM's mark says that the restore is done.
    """

    _begins = Stage.WHOLE

    def __init__(
        self,
        virsh: Virsh,
        description: VmDescription,
        *,
        attempt: str,
        original_ref: str,
        new_name: str | None,
    ) -> None:
        self._virsh = virsh
        self._description = description
        self._attempt = check_attempt(attempt)
        self._name = description.name if new_name is None else new_name
        check_name(self._name, of="a VM of libvirt", octets=LONGEST_NAME)
        self._beside = new_name is not None
        found = None if self._beside else as_uuid(original_ref)
        self._uuid = found or uuid5(NAMESPACE_OID, f"restorium:{attempt}")
        self._original = None if self._beside else _domain(virsh, self._uuid)
        self._places = Places(virsh, description, self._name, self._original)
        if not self._is_begun() and self._mark() is None:
            self._check(self._final(images_of_others(virsh, self._uuid)))

    def probe(self) -> None:
        for folder in self._places.folders:
            check_writable(folder / self._hidden("probe"))

    def not_carried(self) -> Sequence[str]:
        return self._machine().lost

    def free_bytes(self) -> int | None:
        """Of the fullest of the folders that disks are written to."""
        with explained(f"asking for free space for {self._name!r}"):
            found = [os.statvfs(self._places.home(disk.key)) for disk in self._description.disks]
        return min((each.f_bavail * each.f_frsize for each in found), default=None)

    def create_disk(self, disk: DiskInfo, extents: Iterable[Extent]) -> DiskWriter:
        self._go_back()
        path = self._temporary(disk)
        writer = create_disk(path, disk.size, written(disk).format, extents)
        with explained(f"protecting {path}"):
            path.chmod(0o600)
        return writer

    def reopen_disk(self, disk: DiskInfo) -> DiskWriter | None:
        try:
            return reopen_disk(self._written(disk), disk.size, written(disk).format)
        except (DiskMissing, DiskDamaged):
            return None

    def read_disk(self, disk: DiskInfo) -> DiskReader:
        return open_disk(self._written(disk), written(disk).format)

    def finalise(self, left_out: Collection[str] = ()) -> str:
        """See RestoreTarget. Raises TargetExists, with nothing moved, if a final name was taken meanwhile."""
        with explained(f"finalising {self._name!r}"):
            if self._mark() is None:
                self._take_place(left_out)
            self._tidy()
        return str(self._uuid)

    def finalised(self) -> str | None:
        return None if self._mark() is None else str(self._uuid)

    def discard(self) -> None:
        with explained(f"discarding what was restored to {self._name!r}"):
            self._go_back()
            self._tidy()

    def _take_place(self, left_out: Collection[str] = ()) -> None:
        """Give the images their final names and define the VM."""
        plans = self._plans() or self._begin(left_out)
        try:
            self._check_name_is_free()
            self._end_original()
            for folder, plan in plans.items():
                plan.move_in(folder)
            self._virsh.with_xml("define", None, next(iter(plans.values())).description)
        except TargetExists:
            self._go_back()
            raise

    def _begin(self, left_out: Collection[str]) -> dict[Path, Plan]:
        """Nothing has moved yet. Everything that can fail for good fails here."""
        if left_out and self._original is not None:
            raise InvalidInput(f"{self._name!r} cannot be replaced by a part of it")
        shared = images_of_others(self._virsh, self._uuid)
        places = {key: place for key, place in self._final(shared).items() if key not in left_out}
        self._check(places)
        moves: dict[Path, list[Move]] = {folder: [] for folder in self._places.folders}
        removes: dict[Path, list[str]] = {folder: [] for folder in moves}
        for disk in self._description.disks:
            if disk.key in left_out:
                continue
            place, temporary = places[disk.key], self._temporary(disk)
            if not temporary.exists():
                raise HostError(f"disk {disk.key!r} of {self._name!r} was not written", hint="Restore again.")
            replaces = place.replaces and place.path.exists()
            if replaces:
                take_owner_and_mode(temporary, place.path)
            flush(temporary)
            old = self._hidden(f"{self._number(disk)}.old") if replaces else None
            moves[place.path.parent].append(Move(temporary.name, place.path.name, old))
        for path in self._places.left_over(list(places.values()), shared):
            removes[path.parent].append(path.name)
        xml = self._defined(places, left_out)
        plans = {
            folder: Plan(tuple(moves[folder]), tuple(removes[folder]), xml, self._original is not None)
            for folder in moves
            if moves[folder] or removes[folder]
        }
        for folder, plan in plans.items():
            plan.write(folder / self._hidden("plan"))
        return plans

    def _defined(self, places: dict[str, Place], left_out: Collection[str]) -> str:
        images = {key: (place.path, place.format) for key, place in places.items()}
        domain = self._machine().defined(images)
        files = {key: place.path for key, place in places.items()}
        put_mark(domain, Mark(self._attempt, files, self._begins), sorted(left_out))
        return as_text(domain)

    def _machine(self) -> Machine:
        return machine_of(
            self._description,
            name=self._name,
            uuid=self._uuid,
            beside=self._beside,
            original=self._original,
            virsh=self._virsh,
        )

    def _end_original(self) -> None:
        """Power it off, and forget the memory that it may have been suspended with, which fits its disks no more."""
        original = _domain(self._virsh, self._uuid)
        if original is None:
            return
        if original.active:
            self._virsh.run("destroy", str(self._uuid))
        if "yes" in self._saved():
            self._virsh.run("managedsave-remove", str(self._uuid))

    def _saved(self) -> str:
        info = self._virsh.lines("dominfo", str(self._uuid))
        return next((line for line in info if line.startswith("Managed save")), "")

    def _go_back(self) -> None:
        """Undo the moves of a restore that is not done."""
        plans = self._plans()
        if plans and self._mark() is None:
            for folder, plan in plans.items():
                plan.move_back(folder)
            for folder in plans:
                (folder / self._hidden("plan")).unlink()
                flush(folder)

    def _tidy(self) -> None:
        """Remove what a restore that is done replaced, and every hidden file. The plans go last."""
        plans = self._plans()
        done = self._mark() is not None if plans else False
        for folder, plan in plans.items():
            if done:
                for name in plan.removes:
                    (folder / name).unlink(missing_ok=True)
        if done and self._original is not None:
            self._forget_past()
        for folder in self._places.folders:
            for path in folder.glob(self._hidden("*")):
                if path != folder / self._hidden("plan"):
                    path.unlink(missing_ok=True)
            flush(folder)
        for folder in plans:
            (folder / self._hidden("plan")).unlink(missing_ok=True)
            flush(folder)

    def _forget_past(self) -> None:
        """What libvirt knows of checkpoints and snapshots was in images that are gone."""
        for kind in ("checkpoint", "snapshot"):
            for name in self._virsh.lines(f"{kind}-list", str(self._uuid), "--name"):
                self._virsh.works(f"{kind}-delete", str(self._uuid), name, "--metadata")

    def _plans(self) -> dict[Path, Plan]:
        found = {folder: Plan.read(folder / self._hidden("plan")) for folder in self._places.folders}
        return {folder: plan for folder, plan in found.items() if plan is not None}

    def _is_begun(self) -> bool:
        return any(any(folder.glob(self._hidden("*"))) for folder in self._places.folders)

    def _mark(self) -> Mark | None:
        """This restore's, once the VM is defined."""
        found = _domain(self._virsh, self._uuid)
        mark = None if found is None else read_mark(parse(found.xml))
        return mark if mark is not None and mark.attempt == self._attempt else None

    def _final(self, shared: set[Path]) -> dict[str, Place]:
        """shared: images that other VMs have too."""
        return self._places.final(self._attempt, shared)

    def _check(self, places: dict[str, Place]) -> None:
        """Raises TargetExists."""
        self._check_name_is_free()
        for place in places.values():
            if not place.replaces and os.path.lexists(place.path):
                raise TargetExists(f"{place.path} exists already")

    def _check_name_is_free(self) -> None:
        for uuid, name in self._virsh.names().items():
            if name == self._name and uuid != self._uuid:
                raise TargetExists(f"libvirt has a VM {name!r} already")

    def _temporary(self, disk: DiskInfo) -> Path:
        return self._places.home(disk.key) / self._hidden(f"{self._number(disk)}.{written(disk).format}")

    def _written(self, disk: DiskInfo) -> Path:
        """The image under the name that it has now."""
        temporary = self._temporary(disk)
        if temporary.exists():
            return temporary
        plan = self._plans().get(temporary.parent)
        if plan is not None:
            finals = (move.final for move in plan.moves if move.temporary == temporary.name)
            return temporary.with_name(next(finals, temporary.name))
        mark = self._mark()
        return temporary if mark is None else mark.files.get(disk.key, temporary)

    def _number(self, disk: DiskInfo) -> int:
        for number, each in enumerate(self._description.disks):
            if each.key == disk.key:
                return number
        raise InvalidInput(f"{self._name!r} has no disk {disk.key!r}")

    def _hidden(self, what: str) -> str:
        return f".restorium-{self._attempt}.{what}"


def _domain(virsh: Virsh, uuid: UUID) -> Domain | None:
    try:
        return read_domain(virsh, str(uuid))
    except VmNotFound:
        return None
