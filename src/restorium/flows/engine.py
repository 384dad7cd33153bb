"""One process's share of the work: what flows need, the heartbeat, the reconcile of sessions and flows."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar
from uuid import UUID

import structlog

from restorium import hosts
from restorium.catalog import hosts as host_rows
from restorium.catalog import repositories as repository_rows
from restorium.catalog import workers
from restorium.catalog.database import Database
from restorium.catalog.listing import Row
from restorium.flows import durable
from restorium.flows.feed import Feed
from restorium.flows.pulse import Pulse
from restorium.flows.secrets import SecretBox
from restorium.hosts.addresses import same_address
from restorium.hosts.interface import Host, Login
from restorium.settings import Settings
from restorium.vault import Key, Vault
from restorium.vocabulary.clock import Clock, SystemClock
from restorium.vocabulary.errors import DatabaseUnavailable, HostError

_log = structlog.get_logger(__name__)

T = TypeVar("T")

HEARTBEAT_SECONDS = 2.0
SILENCE = timedelta(seconds=60)
"""After which a worker counts as dead and its flows go to another.

Far above a heartbeat: a slow one still works. Counted by the clock of whoever looks, from its first look on.
"""
_STOP_SECONDS = 15.0
_RETRY_SECONDS = 1.0
_FORGET_SECONDS = 3600.0
_FORGET_AT_ONCE = 200
"""So few that a beat stays short."""
_ATTEMPTS = 120
"""A database that restarts, or moves to another machine, is back by then."""


class Sessions(Protocol):
    """A kind of sessions, each with a flow."""

    def reconcile(self, engine: Engine) -> None:
        """Give every unfinished session its flow, and close those whose flow is over."""
        ...


class Engine:
    """Carries settings, database and clock to whoever serves requests, and runs flows between start and stop.

    One may run in a process at a time, and once.
    """

    _current: ClassVar[Engine | None] = None
    _kinds: ClassVar[list[Sessions]] = []

    def __init__(self, settings: Settings, database: Database, clock: Clock | None = None) -> None:
        self.settings = settings
        self.database = database
        self.clock = clock or SystemClock()
        settings.data.mkdir(parents=True, exist_ok=True)
        self.secrets = SecretBox(settings.data / "master.key")
        self.worker_id = self._own_id()
        self.cache_folder = settings.data / "cache"
        self.stopping = threading.Event()
        self.feed = Feed(database)
        self._vaults: dict[UUID, Vault] = {}
        self._hosts: dict[UUID, tuple[Row, Host]] = {}
        self._former_hosts: list[Host] = []  # as they were before a change: flows may be reading from them
        self._lock = threading.Lock()
        self._opening: dict[UUID, threading.Lock] = {}
        self._active = 0
        self._idle = threading.Condition()
        self._heart: threading.Thread | None = None
        self._forget_next = 0.0
        self._pulse = Pulse(self.clock)

    @classmethod
    def current(cls) -> Engine:
        """The engine that runs flows in this process: what a flow taken up again finds itself in."""
        if cls._current is None:
            raise RuntimeError("no engine runs in this process")
        return cls._current

    @classmethod
    def register(cls, kind: Sessions) -> None:
        """Make a kind of sessions known. Called once by each module that declares one."""
        cls._kinds.append(kind)

    @property
    def runs_flows(self) -> bool:
        """Whether flows can be enqueued here; else the next engine that starts does it."""
        return self._heart is not None and not self.stopping.is_set()

    def start(self) -> None:
        """Run flows: those that an earlier process left, then whatever is enqueued."""
        Engine._current = self
        self._appear()
        durable.launch(
            database_url=self._durable_url(),
            executor_id=self.worker_id,
            per_partition=self.settings.flows_per_repository,
        )
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._reconcile()
        self._heart.start()

    def stop(self) -> None:
        """Unwind the flows that run, which go on from their checkpoints at the next start, and shut down."""
        self.stopping.set()
        self.feed.close()
        with self._idle:
            unwound = self._idle.wait_for(lambda: self._active == 0, timeout=_STOP_SECONDS)
        if not unwound:
            _log.warning(
                "flows did not stop in time and go on from their checkpoints later", active=self._active
            )
        if self._heart is not None:
            self._heart.join()
            durable.shut_down()
            try:
                with self.database.write() as connection:
                    workers.remove(connection, self.worker_id)
            except DatabaseUnavailable as error:
                _log.warning("the worker is still listed, until it is silent for long", error=error.message)
        with self._lock:
            for opened in self._vaults.values():
                opened.close()
            self._vaults.clear()
            for _, host in self._hosts.values():
                host.close()
            for host in self._former_hosts:
                host.close()
            self._hosts.clear()
            self._former_hosts.clear()
        Engine._current = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts a flow as active, so that a stop waits for it to unwind.

        Raises Interrupted once one has begun.
        """
        with self._idle:
            if self.stopping.is_set():
                raise durable.Interrupted
            self._active += 1
        try:
            yield
        finally:
            with self._idle:
                self._active -= 1
                self._idle.notify_all()

    def step(self, name: str, function: Callable[[], T]) -> T:
        """``attempt`` as a step of the flow that calls: once, or what it gave before the crash.

        Raises StepFailed.
        """
        return durable.step(name, lambda: self.attempt(function))

    def attempt(self, function: Callable[[], T]) -> T:
        """Run ``function``, and again while the catalog's database does not answer: it must be idempotent.

        A failure while the process stops may come of that, and is none: raises Interrupted.
        """
        for left in reversed(range(_ATTEMPTS)):
            try:
                return function()
            except Exception as error:
                if self.stopping.is_set():
                    raise durable.Interrupted from error
                if not (left and isinstance(error, DatabaseUnavailable)):
                    raise
                _log.warning("the database does not answer; tried again soon", error=error.message)
                self.stopping.wait(_RETRY_SECONDS)
        raise AssertionError("the last attempt returns or raises")

    def vault(self, repository_id: UUID) -> Vault:
        """The opened repository, shared by all flows of this process.

        Whoever wants another does not wait for its storage. Raises NotFound and the vault's errors.
        """
        with self._lock:
            opened = self._vaults.get(repository_id)
            if opened is not None:
                return opened
            turn = self._opening.setdefault(repository_id, threading.Lock())
        with turn:
            with self._lock:
                opened = self._vaults.get(repository_id)
            if opened is None:
                opened = self._open_vault(repository_id)
                with self._lock:
                    self._vaults[repository_id] = opened
            return opened

    def forget_vault(self, repository_id: UUID) -> None:
        """Close a repository that is not there any more."""
        with self._lock:
            opened = self._vaults.pop(repository_id, None)
        if opened is not None:
            opened.close()

    def host(self, host_id: UUID) -> Host:
        """The hypervisor or image folder, shared by all flows of this process. Raises NotFound and HostError."""
        with self.database.read() as connection:
            row = host_rows.with_logon(connection, host_id)
        with self._lock:
            known = self._hosts.get(host_id)
            if known is not None and known[0] == row:
                return known[1]
            password = None if row.secret is None else self.secrets.open(row.credentials_id, row.secret)
            login = Login(row.username, None if password is None else password.decode(), row.thumbprint)
            opened = hosts.open_host(row.kind, row.address, login, self.host_at)
            self._hosts[host_id] = (row, opened)
            if known is not None:
                self._former_hosts.append(known[1])
        return opened

    def host_at(self, address: str) -> Host:
        """The host with that address, as another host names it. Raises HostError."""
        with self.database.read() as connection:
            rows = host_rows.list_all(connection)
        found = next((row for row in rows if same_address(row.address, address)), None)
        if found is None:
            raise HostError(f"there is no host with the address {address}", hint="Add it first.")
        return self.host(found.id)

    def forget_host(self, host_id: UUID) -> None:
        """Close a host that is not there any more."""
        with self._lock:
            known = self._hosts.pop(host_id, None)
        if known is not None:
            known[1].close()

    def _open_vault(self, repository_id: UUID) -> Vault:
        with self.database.read() as connection:
            row = repository_rows.get(connection, repository_id)
        return Vault.open(
            row.url,
            Key.from_bytes(self.secrets.open(repository_id, row.secret)),
            quota_bytes=row.quota_bytes,
            cache=self.cache_folder,
        )

    def _own_id(self) -> str:
        path = self.settings.data / "worker-id"
        if not path.exists():
            path.write_text(f"worker-{self.clock.new_id()}\n")
        return path.read_text().strip()

    def _durable_url(self) -> str:
        """PostgreSQL, which workers of several machines share, or a file beside the catalog's."""
        url = self.settings.database_url
        if url is not None and not url.startswith("sqlite"):
            return url
        path: Path = self.settings.data / "flows.db"
        return f"sqlite:///{path.resolve()}"

    def _beat(self) -> None:
        while not self.stopping.wait(HEARTBEAT_SECONDS):
            self._reconcile()

    def _reconcile(self) -> None:
        """One beat. What fails of it is tried again with the next, and keeps nothing else of it from being done."""
        whole = self._succeeds(self._take_over)
        for kind in self._kinds:
            whole = self._succeeds(partial(kind.reconcile, self)) and whole
        if whole:
            self._succeeds(self._forget_flows)

    def _succeeds(self, part: Callable[[], None]) -> bool:
        try:
            part()
        except Exception as error:  # noqa: BLE001  the heart goes on whatever one beat meets
            _log.warning("a reconcile failed and is tried again", error=repr(error))
            return False
        return True

    def _take_over(self) -> None:
        for flow_id in durable.take_over(self._live_workers()):
            _log.warning("took over from a worker that is not there", flow=str(flow_id))

    def _forget_flows(self) -> None:
        """Now and then, delete records of flows that ended long ago.

        After the reconcile, which has closed every session whose flow is over: none would be run anew without one.
        """
        if self.clock.monotonic() < self._forget_next:
            return
        before = self.clock.now() - self.settings.keep_flow_records
        if durable.forget(before, _FORGET_AT_ONCE) < _FORGET_AT_ONCE:
            self._forget_next = self.clock.monotonic() + _FORGET_SECONDS

    def _appear(self) -> None:
        """Say that this worker is alive, before its flows are taken up, lest another worker think them left.

        A catalog in a file is one process's: whoever is listed beside it has died.
        """
        with self.database.write() as connection:
            if self._durable_url().startswith("sqlite"):
                for worker in workers.list_all(connection):
                    workers.remove(connection, worker.id)
            workers.beat(connection, self.worker_id, socket.gethostname(), os.getpid())

    def _live_workers(self) -> set[str]:
        """Say that this worker is alive, forget those that have been silent for long, and name the rest."""
        with self.database.write() as connection:
            workers.beat(connection, self.worker_id, socket.gethostname(), os.getpid())
            listed = workers.list_all(connection)
            silent = self._pulse.silent(listed, SILENCE) - {self.worker_id}
            for worker_id in silent:
                workers.remove(connection, worker_id)
            return {worker.id for worker in listed} - silent
