"""An estate for tests of flows: VMs with real file systems in an image folder, a repository, a job, an engine."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from restorium.catalog import job_sessions, points, restore_sessions
from restorium.catalog.database import Database
from restorium.catalog.listing import Row, Visibility
from restorium.disks import open_disk
from restorium.flows import backup, hosts, jobs, repositories, restore
from restorium.flows.engine import Engine
from restorium.settings import Settings
from restorium.vault import Key
from restorium.vocabulary.clock import SystemClock
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.sessions import SessionState
from tests.support.waiting import wait_until

MIB = 1 << 20
KEY = Key.raw(b"not a secret, but as long as one")
CALLER = Caller("operator", "192.0.2.7")
_READ_BYTES = MIB


def make_vm(
    images: Path, name: str, *, disk_format: str = "raw", size_mib: int = 16, data_mib: int = 4
) -> Path:
    """A VM ``name`` whose one disk is an ext4 file system with ``data_mib`` of random files; gives the disk."""
    images.mkdir(exist_ok=True)
    tree = images / f".tree-{name}"
    tree.mkdir()
    source = random.Random(name)
    for number in range(data_mib):
        (tree / f"file-{number}").write_bytes(source.randbytes(MIB))
    disk, plain = images / f"{name}.{disk_format}", images / f".plain-{name}"
    _run("mkfs.ext4", "-q", "-F", "-d", tree, plain, f"{size_mib}M")
    if disk_format == "raw":
        plain.rename(disk)
    else:
        _run("qemu-img", "convert", "-f", "raw", "-O", disk_format, plain, disk)
        plain.unlink()
    _run("rm", "-r", tree)
    (images / f"{name}.vm.toml").write_text(
        f'name = "{name}"\n\n[[disk]]\nkey = "disk0"\nfile = "{disk.name}"\nformat = "{disk_format}"\n'
    )
    return disk


def overwrite(disk: Path, disk_format: str, offset: int, content: bytes) -> None:
    """Write inside a VM's disk, as the VM would."""
    if disk_format == "raw":
        with disk.open("r+b") as file:
            file.seek(offset)
            file.write(content)
        return
    patch = disk.with_suffix(".patch")
    patch.write_bytes(content)
    _run("qemu-io", "-f", disk_format, "-c", f"write -s {patch} {offset} {len(content)}", disk)
    patch.unlink()


def digest(disk: Path) -> str:
    """SHA-256 of what a VM sees on the disk, whatever its format."""
    with open_disk(disk) as reader:
        sha = hashlib.sha256()
        for offset in range(0, reader.size, _READ_BYTES):
            buffer = memoryview(bytearray(min(_READ_BYTES, reader.size - offset)))
            reader.read_into(offset, buffer)
            sha.update(buffer)
    return sha.hexdigest()


def files(folder: Path) -> set[str]:
    """Names of all files below a folder, hidden ones too."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


class Site:
    """An installation in ``folder``: its images are in ``images``, its repository in ``vault``."""

    def __init__(self, folder: Path, database_url: str, **settings: Any) -> None:
        self.folder = folder
        self.images = folder / "images"
        self.images.mkdir(exist_ok=True)
        self.database_url = database_url
        postgres = None if database_url.startswith("sqlite") else database_url
        self.settings = Settings(data=folder / "data", database_url=postgres, **settings)
        self.database = Database.open(database_url, SystemClock())
        self.engine = Engine(self.settings, self.database)

    def renew(self) -> Engine:
        """A new engine in place of one that was stopped, as a new process would have it."""
        self.engine = Engine(self.settings, self.database)
        return self.engine

    def close(self) -> None:
        self.engine.stop()
        self.database.close()

    def set_up(self, vms: Iterable[str], *, quota_bytes: int | None = None) -> UUID:
        """A host, a repository and a job of these VMs; gives the job's id."""
        host_id = hosts.add(self.engine, "image-folder", "lab", str(self.images))
        url = (self.folder / "vault").as_uri()
        repository_id = repositories.add(self.engine, "main", url, KEY, quota_bytes)
        return jobs.add(self.engine, "nightly", repository_id, [(host_id, vm) for vm in vms])

    def back_up(self, job_id: UUID) -> Row:
        """Run the job to its end; gives its session."""
        return self.job_ended(backup.start(self.engine, job_id, CALLER))

    def restore(self, point_id: UUID, **spec: Any) -> Row:
        """Restore to the end; gives the session."""
        return self.restore_ended(self.start_restore(point_id, **spec))

    def start_restore(self, point_id: UUID, **spec: Any) -> UUID:
        return restore.start(self.engine, RestoreSpec(point_id, **spec), CALLER)

    def points(self, vm_name: str | None = None) -> list[Row]:
        """VM restore points, oldest first."""
        with self.database.read() as connection:
            found = points.vm_listing.page(
                connection, order=[("created_at", False)], visible=Visibility.everything()
            )
        return [point for point in found if vm_name in (None, point.vm_name)]

    def job_session(self, session_id: UUID) -> Row:
        with self.database.read() as connection:
            return job_sessions.get(connection, session_id)

    def restore_session(self, session_id: UUID) -> Row:
        with self.database.read() as connection:
            return restore_sessions.get(connection, session_id)

    def tasks(self, session_id: UUID) -> dict[str, Row]:
        """Task sessions of a run by VM name."""
        with self.database.read() as connection:
            return {task.vm_name: task for task in job_sessions.tasks(connection, session_id)}

    def disks(self, session_id: UUID) -> list[Row]:
        with self.database.read() as connection:
            return list(restore_sessions.disks(connection, session_id))

    def events(self, session_id: UUID) -> list[str]:
        with self.database.read() as connection:
            return [event.message for event in restore_sessions.events(connection, session_id)]

    def job_ended(self, session_id: UUID) -> Row:
        wait_until(lambda: self.job_session(session_id).state is SessionState.STOPPED, timeout=60)
        return self.job_session(session_id)

    def restore_ended(self, session_id: UUID) -> Row:
        wait_until(lambda: self.restore_session(session_id).state is SessionState.STOPPED, timeout=60)
        return self.restore_session(session_id)


def _run(program: str, *arguments: object) -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    subprocess.run(
        [program, *map(str, arguments)], check=True, capture_output=True, env={**os.environ, "PATH": path}
    )
