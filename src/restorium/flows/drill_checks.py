"""What is held against a VM that a drill has restored. Each check looks at the restored disks and changes nothing.

A check that says no is an outcome; what is raised is that the sandbox or the database did not do what was asked.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence

from restorium.catalog.listing import Row
from restorium.emulator import Machine, boot, pattern
from restorium.flows.control import Control
from restorium.flows.engine import Engine
from restorium.guest import Entry, Guest, Kind, open_guest
from restorium.hosts.interface import Host
from restorium.vocabulary.drills import BootCheck, CheckKind, CheckOutcome, CheckResult, Checks, FileCheck
from restorium.vocabulary.errors import DataCorrupt, DiskDamaged, HostError, NotFound, Unsupported
from restorium.vocabulary.sessions import SessionResult

_WALK_SECONDS = 120.0
_MOST_ENTRIES = 20_000
_MOST_OF_FOLDER = 1000
_MOST_READ = 200
"""Files of a volume whose beginning is read."""

_DAMAGE = (DataCorrupt, DiskDamaged)


def check_all(
    engine: Engine, control: Control, host: Host, ref: str, disks: Sequence[Row], checks: Checks
) -> tuple[list[CheckOutcome], int | None]:
    """The outcomes, and how many milliseconds the boot took if its marker was seen.

    ref: of the VM in the sandbox. disks: of its restore session. Raises HostError, and what ``control`` does.
    """
    outcomes = [_digests(disks)]
    if checks.filesystems or checks.files:
        outcomes += _inside(engine, control, host, ref, checks)
    boot_ms = None
    if checks.boot is not None:
        booted, boot_ms = _boot(control, host, ref, checks.boot)
        outcomes.append(booted)
    return outcomes, boot_ms


def _digests(disks: Sequence[Row]) -> CheckOutcome:
    wrong = [disk.disk_key for disk in disks if disk.result is not SessionResult.SUCCESS or not disk.digest]
    if wrong or not disks:
        named = ", ".join(wrong) or "no disk was restored"
        return CheckOutcome(
            CheckKind.DIGEST, CheckResult.FAILED, f"not read back as the restore point says: {named}"
        )
    data = sum(disk.planned_bytes for disk in disks)
    said = f"{len(disks)} disks with {data:,} bytes of data read back as the restore point says"
    return CheckOutcome(CheckKind.DIGEST, CheckResult.PASSED, said)


def _inside(engine: Engine, control: Control, host: Host, ref: str, checks: Checks) -> Iterator[CheckOutcome]:
    with host.open_vm(ref) as opened:
        try:
            guest = open_guest(opened.readers)
        except (Unsupported, *_DAMAGE) as error:
            if checks.filesystems:
                yield CheckOutcome(CheckKind.FILE_SYSTEMS, CheckResult.FAILED, error.message)
            for wanted in checks.files:
                yield CheckOutcome(CheckKind.FILE, CheckResult.FAILED, error.message, wanted.path)
            return
        for volume in guest.volumes if checks.filesystems else ():
            yield _volume(engine, control, guest, volume)
        for wanted in checks.files:
            yield _file(control, guest, wanted)


def _volume(engine: Engine, control: Control, guest: Guest, volume: str) -> CheckOutcome:
    """Its folders by depth, and the beginning of some files, as far as time and number allow."""
    until = engine.clock.monotonic() + _WALK_SECONDS
    waiting: deque[tuple[str, ...]] = deque([(volume,)])
    entries, read, closed = 0, 0, 0
    while waiting and entries < _MOST_ENTRIES and engine.clock.monotonic() < until:
        control.check()
        path = waiting.popleft()
        try:
            listed, _ = guest.page(path, limit=_MOST_OF_FOLDER)
        except Unsupported as error:
            if not entries:
                return CheckOutcome(CheckKind.FILE_SYSTEMS, CheckResult.NOT_POSSIBLE, error.message, volume)
            closed += 1
            continue
        except _DAMAGE as error:
            return CheckOutcome(CheckKind.FILE_SYSTEMS, CheckResult.FAILED, error.message, volume)
        for entry in listed:
            entries += 1
            if entry.kind is Kind.FOLDER:
                waiting.append(entry.path)
            elif entry.kind is Kind.FILE and entry.facts.size and read < _MOST_READ:
                control.check()
                try:
                    next(guest.open(entry.path).chunks())
                    read += 1
                except Unsupported:
                    closed += 1
                except _DAMAGE as error:
                    return CheckOutcome(CheckKind.FILE_SYSTEMS, CheckResult.FAILED, error.message, volume)
    said = f"{entries:,} entries listed, {read} files begun to read"
    said += f", {closed} that this release cannot read" if closed else ""
    said += "; there is more than a drill looks at" if waiting else ""
    return CheckOutcome(CheckKind.FILE_SYSTEMS, CheckResult.PASSED, said, volume)


def _file(control: Control, guest: Guest, wanted: FileCheck) -> CheckOutcome:
    def came_to(result: CheckResult, detail: str) -> CheckOutcome:
        return CheckOutcome(CheckKind.FILE, result, detail, wanted.path)

    try:
        found = _find(guest, wanted)
        if found is None:
            return came_to(CheckResult.FAILED, f"is on none of the volumes {', '.join(guest.volumes)}")
        place, kind, size = "/".join(found.path), found.kind, found.facts.size
        if (wanted.not_empty or wanted.sha256) and kind is not Kind.FILE:
            return came_to(CheckResult.FAILED, f"{place} is a {kind.value} and has no content")
        if wanted.not_empty and not size:
            return came_to(CheckResult.FAILED, f"{place} is empty")
        if wanted.sha256 is not None:
            sha = hashlib.sha256()
            for chunk in guest.open(found.path).chunks():
                control.check()
                sha.update(chunk)
            if sha.hexdigest() != wanted.sha256:
                return came_to(CheckResult.FAILED, f"{place} has the SHA-256 {sha.hexdigest()}")
    except Unsupported as error:
        return came_to(CheckResult.NOT_POSSIBLE, error.message)
    except _DAMAGE as error:
        return came_to(CheckResult.FAILED, error.message)
    same = " and the SHA-256 that it is to have" if wanted.sha256 else ""
    return came_to(CheckResult.PASSED, f"{place} is a {kind.value} of {size:,} bytes{same}")


def _find(guest: Guest, wanted: FileCheck) -> Entry | None:
    volume = next((each for each in guest.volumes if each.casefold() == wanted.parts[0].casefold()), None)
    places = [wanted.parts] if volume else [(each, *wanted.parts) for each in guest.volumes]
    for place in places:
        try:
            return guest.entry(place)
        except NotFound:
            continue
    return None


def _boot(control: Control, host: Host, ref: str, wanted: BootCheck) -> tuple[CheckOutcome, int | None]:
    def came_to(result: CheckResult, detail: str) -> CheckOutcome:
        return CheckOutcome(CheckKind.BOOT, result, detail)

    images = host.local_images(ref)
    if images is None:
        return came_to(CheckResult.NOT_POSSIBLE, "the sandbox keeps disks where QEMU cannot read them"), None
    machine = Machine(wanted.seconds, wanted.memory_mib, wanted.cpus)
    try:
        with control.unwinding():
            booted = boot(
                [(image.path, image.format) for image in images],
                pattern(wanted.marker),
                machine,
                cancelled=control.cancelled,
            )
    except (Unsupported, HostError) as error:
        return came_to(CheckResult.NOT_POSSIBLE, error.message), None
    if booted.seen:
        said = f"{wanted.marker!r} was on the serial console after {booted.seconds:.1f} s"
        return came_to(CheckResult.PASSED, said), round(booted.seconds * 1000)
    how = "the machine ended" if booted.ended else "its time was over"
    said = f"{how} after {booted.seconds:.1f} s without {wanted.marker!r} on the serial console"
    said += f", whose last words are: {booted.console}" if booted.console else ", which stayed empty"
    return came_to(CheckResult.FAILED, said), None
