"""Restoring into the folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from restorium.disks import create_disk, open_disk, reopen_disk
from restorium.disks.interface import DiskReader, DiskWriter, Extent
from restorium.hosts.image_folder.descriptions import (
    SUFFIX,
    DescribedDisk,
    Description,
    read_description,
    render_description,
)
from restorium.hosts.image_folder.folder import (
    LONGEST_NAME,
    check_attempt,
    check_ref,
    check_writable,
    explained,
    flush,
    place_new,
    take_owner_and_mode,
    write_durably,
)
from restorium.hosts.image_folder.hardware import written_settings
from restorium.hosts.image_folder.locks import HeldStill
from restorium.hosts.image_folder.names import Original, Place, new_places, written_format
from restorium.hosts.image_folder.opening import KIND
from restorium.hosts.image_folder.plans import Move, Plan
from restorium.hosts.interface import DiskInfo, VmDescription
from restorium.hosts.names import check_name
from restorium.vocabulary.errors import (
    DiskDamaged,
    DiskMissing,
    HostError,
    InvalidInput,
    TargetExists,
    VmNotFound,
)

_LEFT_OUT = "left_out"
"""Member of a description that names the disks which a restore could not bring back."""


class ImageFolderTarget:
    """A VM being restored. See RestoreTarget; the package says what a crash leaves."""

    def __init__(
        self,
        folder: Path,
        description: VmDescription,
        *,
        attempt: str,
        original_ref: str,
        new_name: str | None,
        may_run: bool = False,
    ) -> None:
        """may_run: whether the original may run until the restore is finalised."""
        self._folder = folder
        self._description = description
        self._attempt = check_attempt(attempt)
        self._name = description.name if new_name is None else new_name
        if new_name is None:
            self._ref = check_ref(original_ref)
        else:
            self._ref = check_name(new_name, of="a VM in a folder of images", octets=LONGEST_NAME)
        self._path = folder / f"{self._ref}{SUFFIX}"
        self._plan_path = folder / self._hidden("plan")
        self._original = self._find_original() if new_name is None else None
        self._replaces = new_name is None and os.path.lexists(self._path)
        if not self._is_begun() and not self._is_done():
            places = self._places()
            self._check_places(places)
            if not may_run:
                self._check_unused(places)

    def probe(self) -> None:
        check_writable(self._folder / self._hidden("probe"))

    def not_carried(self) -> Sequence[str]:
        return ()

    def free_bytes(self) -> int | None:
        with explained(f"asking for the free space of {self._folder}"):
            found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def create_disk(self, disk: DiskInfo, extents: Iterable[Extent]) -> DiskWriter:
        with explained(f"preparing a disk of {self._path}"):
            self._go_back()
        return create_disk(self._temporary(disk), disk.size, written_format(disk), extents)

    def reopen_disk(self, disk: DiskInfo) -> DiskWriter | None:
        try:
            return reopen_disk(self.image(disk), disk.size, written_format(disk))
        except (DiskMissing, DiskDamaged):
            return None

    def read_disk(self, disk: DiskInfo) -> DiskReader:
        return open_disk(self.image(disk), written_format(disk))

    def finalise(self, left_out: Collection[str] = ()) -> str:
        """See RestoreTarget. Raises TargetExists, with nothing moved, if a final name was taken meanwhile."""
        with explained(f"finalising {self._path}"):
            if not self._is_done():
                plan = Plan.read(self._plan_path) or self._begin(left_out)
                try:
                    plan.move_in(self._folder)
                    self._place_description(plan)
                except TargetExists:
                    self._go_back()
                    raise
            self._tidy()
        return self._ref

    def finalised(self) -> str | None:
        return self._ref if self._is_done() else None

    def check_written(self, left_out: Collection[str] = ()) -> None:
        """Raises HostError for a disk that was not written, TargetExists for a name taken meanwhile."""
        if Plan.read(self._plan_path) is None:
            for disk in self._description.disks:
                if disk.key not in left_out and not self._temporary(disk).exists():
                    raise HostError(
                        f"disk {disk.key!r} of {self._ref} was not written", hint="Restore again."
                    )
            places = zip(self._description.disks, self._places(), strict=True)
            self._check_places([place for disk, place in places if disk.key not in left_out])

    def discard(self) -> None:
        with explained(f"discarding what was restored to {self._path}"):
            self._go_back()
            self._tidy()

    def _begin(self, left_out: Collection[str]) -> Plan:
        """Nothing has moved yet. Everything that can fail for good fails here."""
        if left_out and self._original is not None:
            raise InvalidInput(f"{self._ref} cannot be replaced by a part of it")
        disks = self._description.disks
        placed = [
            (disk, place)
            for disk, place in zip(disks, self._places(), strict=True)
            if disk.key not in left_out
        ]
        places = [place for _, place in placed]
        self.check_written(left_out)
        self._check_unused(places)
        moves = []
        for disk, place in placed:
            number = self._number(disk)
            temporary, final = self._temporary(disk), self._folder / place.file
            replaces = place.replaces and final.exists()
            if replaces:
                take_owner_and_mode(temporary, final)
            flush(temporary)
            moves.append(
                Move(temporary.name, place.file, self._hidden(f"{number}.old") if replaces else None)
            )
        plan = Plan(tuple(moves), tuple(self._left_over(places)), self._render(placed), self._replaces)
        plan.write(self._plan_path)
        return plan

    def _go_back(self) -> None:
        """Undo the moves of a restore that is not done."""
        plan = Plan.read(self._plan_path)
        if plan is not None and not self._is_done():
            plan.move_back(self._folder)
            self._plan_path.unlink()
            flush(self._folder)

    def _place_description(self, plan: Plan) -> None:
        making = self._folder / self._hidden("description")
        write_durably(making, plan.description)
        if plan.replaces:
            making.replace(self._path)
        else:
            place_new(making, self._path)
        flush(self._folder)

    def _tidy(self) -> None:
        """Remove what a restore that is done replaced, and every hidden file.

        The plan goes last: while it is there, the rest can be found.
        """
        plan = Plan.read(self._plan_path)
        if plan is not None:
            for name in plan.removes:
                (self._folder / name).unlink(missing_ok=True)
        for path in self._folder.glob(self._hidden("*")):
            if path != self._plan_path:
                path.unlink(missing_ok=True)
        flush(self._folder)
        self._plan_path.unlink(missing_ok=True)
        flush(self._folder)

    def _is_begun(self) -> bool:
        """Whether an earlier attempt left something, which can be discarded whatever has happened to the names."""
        return any(self._folder.glob(self._hidden("*")))

    def _is_done(self) -> bool:
        try:
            return read_description(self._path).restored_by == self._attempt
        except HostError:
            return False

    def _find_original(self) -> Original | None:
        """What is to be replaced. Of a description that cannot be understood no disk is known to belong to it."""
        try:
            description = read_description(self._path)
        except VmNotFound:
            return None
        except HostError:
            description = Description(self._ref, ())
        return Original(self._folder, self._ref, description)

    def _places(self) -> list[Place]:
        if self._original is None:
            return new_places(self._ref, self._description.disks)
        return self._original.places(self._ref, self._attempt, self._description.disks)

    def _check_places(self, places: list[Place]) -> None:
        """Raises TargetExists."""
        if not self._folder.is_dir():
            raise HostError(f"{self._folder} is not a folder")
        if not self._replaces and os.path.lexists(self._path):
            raise TargetExists(f"{self._path} exists already")
        for place in places:
            path = self._folder / place.file
            if not place.replaces and os.path.lexists(path):
                raise TargetExists(f"{path} exists already")

    def _check_unused(self, places: list[Place]) -> None:
        """Raises HostError if a VM runs on what is to be replaced."""
        ending = {place.file for place in places if place.replaces}.union(self._left_over(places))
        for path in (self._folder / file for file in ending):
            if path.exists():
                HeldStill(path).close()

    def _left_over(self, places: list[Place]) -> list[str]:
        return self._original.left_over(places) if self._original is not None else []

    def _temporary(self, disk: DiskInfo) -> Path:
        return self._folder / self._hidden(f"{self._number(disk)}.{written_format(disk)}")

    def image(self, disk: DiskInfo) -> Path:
        """The disk's image under the name that it has now, or will have when it is made."""
        temporary = self._temporary(disk)
        if temporary.exists():
            return temporary
        if (plan := Plan.read(self._plan_path)) is not None:
            return self._folder / next(
                (move.final for move in plan.moves if move.temporary == temporary.name), temporary
            )
        if self._is_done():
            described = read_description(self._path).disks
            return self._folder / next((each.file for each in described if each.key == disk.key), temporary)
        return temporary

    def _number(self, disk: DiskInfo) -> int:
        for number, each in enumerate(self._description.disks):
            if each.key == disk.key:
                return number
        raise InvalidInput(f"{self._name!r} has no disk {disk.key!r}")

    def _hidden(self, what: str) -> str:
        return f".restorium-{self._attempt}.{what}"

    def _render(self, placed: Sequence[tuple[DiskInfo, Place]]) -> str:
        of_vm, of_disks = self._settings()
        disks = tuple(
            DescribedDisk(disk.key, place.file, written_format(disk), disk.size, _table(of_disks, disk.key))
            for disk, place in placed
        )
        made = {disk.key for disk in disks}
        left_out = [disk.key for disk in self._description.disks if disk.key not in made]
        if left_out:
            of_vm[_LEFT_OUT] = left_out
        return render_description(Description(self._name, disks, of_vm, self._attempt))

    def _settings(self) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """Of the VM and of its disks: what the original's description says, or of what hardware a foreign VM is."""
        if self._description.kind == KIND:
            settings = self._description.settings
            return dict(_table(settings, "vm")), _table(settings, "disks")
        hardware = self._description.hardware
        return written_settings(hardware), {key: {"bus": bus} for key, bus in hardware.buses.items()}


def _table(settings: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = settings.get(key)
    return found if isinstance(found, Mapping) else {}
