"""Drills, restores into a sandbox that prove that restores work: what is drilled, how it is checked, what is found."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from restorium.vocabulary.errors import (
    DrillFailed,
    InvalidInput,
    ObjectiveMissed,
    RestoriumError,
    Unsupported,
)
from restorium.vocabulary.schedule import Schedule

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MOST_SECONDS = 24 * 3600
_MOST_FILES = 100
_LONGEST_PATH = 4096
_LONGEST_MARKER = 1000


class CheckKind(StrEnum):
    DIGEST = "digest"
    FILE_SYSTEMS = "filesystems"
    FILE = "file"
    BOOT = "boot"


class CheckResult(StrEnum):
    """NOT_POSSIBLE: this server cannot tell."""

    PASSED = "Passed"
    FAILED = "Failed"
    NOT_POSSIBLE = "NotPossible"


@dataclass(frozen=True, slots=True)
class FileCheck:
    """A file that has to be on one of the volumes, or on the one that the path begins with.

    path: with slashes, as a mount shows it. not_empty: it has at least a byte. sha256: of its content, in
    hexadecimal digits.
    """

    path: str
    not_empty: bool = False
    sha256: str | None = None

    def __post_init__(self) -> None:
        if not self.parts or len(self.path) > _LONGEST_PATH:
            raise InvalidInput(f"{self.path[:80]!r} is no path of a file", hint="Write it as /etc/fstab.")
        if self.sha256 is not None and not _SHA256.fullmatch(self.sha256):
            raise InvalidInput(f"{self.sha256[:80]!r} is no SHA-256", hint="It has 64 hexadecimal digits.")

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(part for part in self.path.split("/") if part)


@dataclass(frozen=True, slots=True)
class BootCheck:
    """The disks boot in an emulator until ``marker``, a regular expression, is on the first serial console."""

    marker: str
    seconds: int = 300
    memory_mib: int = 1024
    cpus: int = 1

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("seconds", self.seconds, 1, _MOST_SECONDS),
            ("memory_mib", self.memory_mib, 16, 65536),
            ("cpus", self.cpus, 1, 16),
        ):
            if not least <= value <= most:
                raise InvalidInput(f"a machine cannot have {name} {value}", hint=f"Write {least} to {most}.")
        if len(self.marker) > _LONGEST_MARKER:
            raise InvalidInput(f"the marker is longer than {_LONGEST_MARKER} characters")


@dataclass(frozen=True, slots=True)
class Checks:
    """What is looked at beside the digests, which always are."""

    filesystems: bool = False
    files: tuple[FileCheck, ...] = ()
    boot: BootCheck | None = None

    def __post_init__(self) -> None:
        if len(self.files) > _MOST_FILES:
            raise InvalidInput(f"a plan looks for up to {_MOST_FILES} files", hint="Name the ones that tell.")


@dataclass(frozen=True, slots=True)
class DrillVm:
    """``vm_ref`` is the host's own name of the VM."""

    host_id: UUID
    vm_ref: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The VMs that are named, or so many per cent a run of those of some jobs, of all VMs without a job."""

    vms: tuple[DrillVm, ...] = ()
    percent: int | None = None
    job_ids: tuple[UUID, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.vms) == (self.percent is not None):
            raise InvalidInput(
                "a drill plan names VMs or a share of them", hint="Name VMs, or say how many per cent a run."
            )
        if self.vms and self.job_ids:
            raise InvalidInput("jobs go with a share only", hint="Name VMs, or jobs and a share.")
        if len(set(self.vms)) != len(self.vms):
            raise InvalidInput("a VM is named more than once", hint="Name each VM once.")
        if self.percent is not None and not 1 <= self.percent <= 100:
            raise InvalidInput(f"{self.percent} per cent is no share", hint="Write 1 to 100.")

    def share_of(self, count: int) -> int:
        """How many of so many VMs a run has, rounded up, so that all had their turn after 100 / percent runs."""
        return count if self.percent is None else -(-count * self.percent // 100)


@dataclass(frozen=True, slots=True)
class DrillPlan:
    """sandbox_host_id: the host that VMs are restored to. objective_seconds: a restore is to take no longer.

    schedule: None if it runs only when asked to; enabled: whether it runs by its schedule.
    """

    name: str
    selection: Selection
    sandbox_host_id: UUID
    objective_seconds: int
    checks: Checks = Checks()
    schedule: Schedule | None = None
    enabled: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.objective_seconds <= 366 * _MOST_SECONDS:
            raise InvalidInput(
                f"{self.objective_seconds} seconds are no objective", hint="Write at least a second."
            )
        schedule = self.schedule
        if schedule is not None and (schedule.after_job or schedule.continuous or schedule.retry):
            raise InvalidInput(
                "a drill plan runs daily, monthly or periodically, and is not retried",
                hint="Choose one of those; the next run makes up for one that failed.",
            )


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What one check came to. ``subject``: what was looked at, if that is not the whole VM."""

    kind: CheckKind
    result: CheckResult
    detail: str
    subject: str | None = None


def verdict(
    outcomes: Sequence[CheckOutcome], recovery_ms: int | None, objective_seconds: int
) -> RestoriumError | None:
    """What is wrong with a VM's drill, the worst first; None if nothing is."""
    failed = [_said(each) for each in outcomes if each.result is CheckResult.FAILED]
    if failed:
        return DrillFailed("; ".join(failed))
    unknown = [_said(each) for each in outcomes if each.result is CheckResult.NOT_POSSIBLE]
    if unknown:
        return Unsupported(
            "; ".join(unknown), hint="Make it possible on the server, or take the check out of the plan."
        )
    if recovery_ms is not None and recovery_ms > objective_seconds * 1000:
        return ObjectiveMissed(
            f"recovery took {recovery_ms / 1000:,.1f} s, the objective is {objective_seconds:,} s"
        )
    return None


def _said(outcome: CheckOutcome) -> str:
    subject = "" if outcome.subject is None else f" {outcome.subject}"
    return f"{outcome.kind}{subject}: {outcome.detail}"
