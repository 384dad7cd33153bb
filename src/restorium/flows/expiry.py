"""Backups that are to go at a certain time: once it has come, they leave the catalog, then the repository.

A backup's row goes last, so whatever fails on the way is tried again: by the first beat of an engine in each ten
minutes, as a flow, for a storage may take long to answer.
"""

from __future__ import annotations

from functools import partial
from uuid import UUID, uuid5

import structlog

from restorium.catalog import backups, retention
from restorium.flows import audit, durable
from restorium.flows import retention as manifests
from restorium.flows.audit import Act
from restorium.flows.durable import StepFailed
from restorium.flows.engine import Engine
from restorium.vocabulary.errors import NotFound

_log = structlog.get_logger(__name__)

_ID = UUID("5c0e2f52-53a1-5f0e-8d3c-6a1f1f6b0a44")
"""From which each attempt's id is made: those of several workers are the same."""


class Expiry:
    """What the engine's beat calls beside the kinds of sessions."""

    def __init__(self) -> None:
        self._flow = durable.flow("expiry", _run)

    def reconcile(self, engine: Engine) -> None:
        """Begin an attempt if something is due."""
        with engine.database.read() as connection:
            due = retention.due(connection)
        if due and engine.runs_flows:
            ten_minutes = f"{engine.clock.now():%Y-%m-%d %H:%M}"[:-1]
            durable.enqueue(self._flow, uuid5(_ID, ten_minutes), partition=_ID)


def expire(engine: Engine, backup_id: UUID) -> None:
    """Remove a backup whose time is over; may run any number of times. What a restore reads stays for now.

    Raises VaultError.
    """
    try:
        with engine.database.read() as connection:
            repository_id = backups.get(connection, backup_id).repository_id
        while True:
            with engine.database.write() as connection:
                gone = retention.expire_all(connection, backup_id)
                if gone:
                    act = Act("server expire restore points", subject=(str(backup_id), *gone))
                    audit.note(connection, act)
            if not gone:
                break
            _log.info("backups that were to be kept until now are removed", restore_points=gone)
    except NotFound:
        return  # another worker was there first
    manifests.remove_manifests(engine, repository_id)
    with engine.database.write() as connection:
        retention.forget(connection, backup_id)


def _run(_flow_id: str) -> None:
    engine = Engine.current()
    with engine.running():
        for backup_id in engine.step("due", lambda: _due(engine)):
            try:
                engine.step(f"expire {backup_id}", partial(expire, engine, UUID(backup_id)))
            except StepFailed as failure:
                _log.warning("a backup could not be removed yet", backup=backup_id, error=failure.message)


def _due(engine: Engine) -> list[str]:
    with engine.database.read() as connection:
        return [str(backup_id) for backup_id in retention.due(connection)]


Engine.register(Expiry())
