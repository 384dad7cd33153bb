"""A restore that is only planned: what it would do, and what would keep it from ending with Success."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

from restorium.catalog import hosts, rates
from restorium.flows import making, preflight, restore, restored_name
from restorium.flows.control import Control
from restorium.flows.engine import Engine
from restorium.flows.maintenance import Progress
from restorium.flows.preflight import Found
from restorium.flows.restore_source import Examined, RestoreSource
from restorium.hosts.interface import Host, RestoreTarget
from restorium.vocabulary.errors import Cancelled, DatabaseUnavailable, DataCorrupt, RestoriumError
from restorium.vocabulary.restore import RestoreSpec
from restorium.vocabulary.sessions import SessionResult


@dataclass(frozen=True, slots=True)
class Problem:
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a disk, from ``start`` to before ``end``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class DiskPlan:
    """``size`` is the virtual size, ``data_bytes`` what is written; ``missing`` are where chunks are in no pack.

    missing_chunks: how many different ones. more_missing: places beside those that ``missing`` names.
    """

    disk_key: str
    size: int
    data_bytes: int
    missing_chunks: int
    missing: Sequence[Span]
    more_missing: int
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """``ok``: the restore would end with Success; ``expected``: how it would end, Warning if it left disks out.

    target_name: of the VM that would be made; null over the original. needed_bytes, free_bytes: what would be written
    and the room for it, null where the host cannot tell. estimated_seconds: by the rates of earlier restores, null
    without any. data_verified: whether the last verification of the repository read the point's data. A point in which
    it found something damaged is a problem until the next one. not_carried: what of the VM its new host cannot give it.
    """

    ok: bool
    expected: SessionResult
    vm_name: str
    host_id: UUID
    host_name: str
    target_name: str | None
    needed_bytes: int
    free_bytes: int | None
    estimated_seconds: float | None
    data_verified: bool
    disks: Sequence[DiskPlan]
    not_carried: Sequence[str]
    problems: Sequence[Problem]


def plan(engine: Engine, spec: RestoreSpec, progress: Progress, cancelled: Callable[[], bool]) -> RestorePlan:
    """Do a restore's preflight and nothing else: no session is made, and nothing is left on the host.

    Raises NotFound and InvalidInput as a restore is refused, Cancelled, DatabaseUnavailable.
    """
    with engine.running():
        control = Control(engine, cancelled)
        return control.within_patience(lambda: _Planning(engine, spec, progress, control).plan())


class _Planning:
    def __init__(self, engine: Engine, spec: RestoreSpec, progress: Progress, control: Control) -> None:
        with engine.database.read() as connection:
            self._point = restore.asked_for(connection, spec)
            self._host_row = hosts.get(connection, spec.host_id or self._point.host_id)
        self._engine = engine
        self._spec = spec
        self._progress = progress
        self._control = control
        self._source = RestoreSource(engine, self._point.id, self._point.name)
        self._fatal: list[RestoriumError] = []

    def plan(self) -> RestorePlan:
        name, found = None, Found((), None)
        with self._noted():
            host = self._engine.host(self._host_row.id)
            name = restored_name.settled(host, self._spec, self._point.vm_name, self._point.created_at)
            found = self._examined(host, name)
            preflight.hold(found, self._fatal.append)
            if found.lost and found.whole and name is None:
                name = restored_name.beside(host, self._point.vm_name, self._point.created_at)
        return self._told(name, found)

    def _examined(self, host: Host, name: str | None) -> Found:
        self._progress("preflight", 0, None)

        def make_target() -> RestoreTarget:
            return making.target(
                host,
                self._spec,
                self._source.description,
                attempt=str(uuid4()),
                original_ref=self._point.vm_ref,
                new_name=name,
            )

        return preflight.examine(self._source, make_target, self._control, self._fatal.append)

    def _told(self, name: str | None, found: Found) -> RestorePlan:
        known = None
        if self._point.verify_problem is not None:
            told = f"the last verification found of this restore point: {self._point.verify_problem}"
            known = DataCorrupt(told, hint="Verify the repository anew, or restore another point.")
        fatal = self._fatal
        lost = [error for error in found.lost.values() if error not in fatal]
        expected = SessionResult.FAILED if fatal else SessionResult.WARNING if lost else SessionResult.SUCCESS
        problems = [*fatal, *lost, *([] if known is None else [known])]
        with self._engine.database.read() as connection:
            estimated = rates.estimate(
                connection, self._point.repository_id, self._host_row.id, found.needed_bytes
            )
        return RestorePlan(
            ok=not problems,
            expected=expected,
            vm_name=self._point.vm_name,
            host_id=self._host_row.id,
            host_name=self._host_row.name,
            target_name=name,
            needed_bytes=found.needed_bytes,
            free_bytes=found.free_bytes,
            estimated_seconds=estimated,
            data_verified=bool(self._point.verified_data),
            disks=[_disk(each) for each in found.disks],
            not_carried=found.not_carried,
            problems=[_problem(error) for error in problems],
        )

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except (Cancelled, DatabaseUnavailable):
            raise
        except RestoriumError as error:
            self._fatal.append(error)


def _disk(found: Examined) -> DiskPlan:
    return DiskPlan(
        disk_key=found.disk.key,
        size=found.disk.size,
        data_bytes=found.data_bytes,
        missing_chunks=found.missing.chunks,
        missing=[Span(start, end) for start, end in found.missing.spans],
        more_missing=found.missing.more,
        problem=None if found.lost is None else _problem(found.lost),
    )


def _problem(error: RestoriumError) -> Problem:
    return Problem(error.code, error.message, error.hint)
