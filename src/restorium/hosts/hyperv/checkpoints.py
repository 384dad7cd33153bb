"""Holding a VM's disks still by a checkpoint, which is always removed: at the end, or at the next try after a crash."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import structlog

from restorium.hosts.hyperv import pipelines
from restorium.hosts.hyperv.connection import Connection
from restorium.hosts.hyperv.machines import Drive, drives
from restorium.vocabulary.errors import HostError

_log = structlog.get_logger(__name__)

_PREFIX = "Restorium backup "
_MERGE_SECONDS = 600
_LOOK_SECONDS = 1.0

_live: set[str] = set()
_live_lock = threading.Lock()
"""Names of the checkpoints that this process reads."""


@contextmanager
def held_still(connection: Connection, ref: str) -> Iterator[list[Drive]]:
    """The VM's disks as they are now, until the block is left; a running VM runs on.

    Raises HostError while another backup reads it.
    """
    name = f"{_PREFIX}{uuid4()}"
    with _live_lock:
        _live.add(name)
    try:
        remove_leftovers(connection, ref)
        checkpoint = str(connection.ask_one(pipelines.take_checkpoint(ref, name))["Id"])
        try:
            yield drives(connection.ask(pipelines.checkpoint_drives(checkpoint)))
        finally:
            _remove(connection, ref, checkpoint)
    finally:
        with _live_lock:
            _live.discard(name)


def remove_leftovers(connection: Connection, ref: str) -> None:
    """Remove what a crash left, and wait until it is merged. Raises HostError while this process reads the VM.

    Checkpoints of somebody else stay. With them disks have parents always, and whether the host still merges cannot
    be told: a disk is read with all that it builds on, merged or not.
    """
    has_others = False
    for found in connection.ask(pipelines.checkpoints(ref)):
        name = str(found["Name"])
        if not name.startswith(_PREFIX):
            has_others = True
            continue
        with _live_lock:
            is_live = name in _live
        if is_live:
            raise HostError(
                "the VM is being read by another backup or restore", hint="Try again when that has ended."
            )
        connection.ask(pipelines.remove_checkpoint(str(found["Id"])))
    if not has_others:
        _wait_merged(connection, ref)


def _wait_merged(connection: Connection, ref: str) -> None:
    """A disk has a parent until the host has merged a checkpoint that was removed, which it does by itself."""
    deadline = time.monotonic() + _MERGE_SECONDS
    while any(_parent(found) for found in connection.ask(pipelines.vhds(ref))):
        if time.monotonic() >= deadline:
            raise HostError(
                "the host still merges the VM's last checkpoint", hint="Try again when its disks are merged."
            )
        time.sleep(_LOOK_SECONDS)


def _parent(vhd: Mapping[str, Any]) -> str:
    return str(vhd["ParentPath"] or "")


def _remove(connection: Connection, ref: str, checkpoint: str) -> None:
    """What cannot be removed now is no fault of what was read; the next try removes it."""
    try:
        connection.ask(pipelines.remove_checkpoint(checkpoint))
    except HostError as error:
        _log.warning("a checkpoint is left to the next backup of the VM", vm=ref, reason=error.message)
