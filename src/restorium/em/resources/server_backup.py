"""Backups that are asked of the server and not of a job: a quick backup of one VM, and VeeamZip."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from restorium.catalog import job_sessions, visibility
from restorium.catalog.filters import storable
from restorium.catalog.listing import Row
from restorium.em import tasks
from restorium.em.bodies import Field, Spec, Values, boolean, text
from restorium.em.call import Answer, Call
from restorium.em.tasks import Started
from restorium.em.values import enumeration, one_of
from restorium.flows import backup, stored_secrets
from restorium.vocabulary.errors import InvalidInput, NotFound, Unsupported
from restorium.vocabulary.hierarchy import HierarchyRef, Platform
from restorium.vocabulary.ids import parse_guid, parse_uid
from restorium.vocabulary.retention import KeepFor


def _vm(value: str) -> HierarchyRef:
    return HierarchyRef.parse(value.strip())


def _level(value: str) -> int:
    if value not in _LEVELS:
        raise ValueError(value)
    return int(value)


_LEVELS = tuple("12345")
QUICK = Spec("QuickBackupStartupSpec", (Field("VmRef", _vm),))
ZIP = Spec(
    "VeeamZipStartupSpec",
    (
        Field("VmRef", _vm, many="VmRef"),
        Field("RepositoryUid", lambda value: parse_uid(value.strip(), "Repository")),
        Field("PasswordKeyId", text),
        Field("CompressionLevel", replace(one_of(*_LEVELS), read=_level)),
        Field("DisableGuestQuiescence", boolean),
        Field("BackupRetention", enumeration(KeepFor)),
    ),
)


def quick(call: Call, _server: Row) -> Answer:
    """Add a point of one VM to what a job has of it."""
    ref: HierarchyRef = _required(call.body or {}, QUICK, "VmRef")
    _check(ref)

    def start() -> Started:
        _see(call, ref)
        session_id = backup.start_quick(call.engine, ref.root, ref.ref, call.caller)
        return _begun(call, session_id, "Quick backup has been started")

    return tasks.run(call, "QuickBackup", start)


def zipped(call: Call, _server: Row) -> Answer:
    """Back up VMs once, for no job. The repository encrypts and compresses as it always does."""
    asked = call.body or {}
    refs: list[HierarchyRef] = _required(asked, ZIP, "VmRef")
    repository_id: UUID = _required(asked, ZIP, "RepositoryUid")
    for ref in refs:
        _check(ref)
    if asked.get("DisableGuestQuiescence") is False:
        raise Unsupported(
            "guests are not made quiescent: a VM is backed up as if its power had been cut",
            hint="Set DisableGuestQuiescence to true, or leave it out.",
        )
    if "PasswordKeyId" in asked:
        _check_password(call, asked["PasswordKeyId"], repository_id)
    notes = []
    if "CompressionLevel" in asked:
        notes.append(
            f"CompressionLevel {asked['CompressionLevel']} has no effect: repositories compress at one level."
        )

    def start() -> Started:
        for ref in refs:
            _see(call, ref)
        keep = asked.get("BackupRetention", KeepFor.NEVER)
        vms = [(ref.root, ref.ref) for ref in refs]
        session_id = backup.start_zip(call.engine, repository_id, vms, call.caller, keep=keep, notes=notes)
        return _begun(call, session_id, " ".join(["VeeamZip has been started.", *notes]))

    return tasks.run(call, "VeeamZip", start)


def _check(ref: HierarchyRef) -> None:
    if (ref.kind.lower(), ref.platform) != ("vm", Platform.VMWARE) or not storable(ref.ref):
        raise Unsupported(f"{ref} is no VM of {Platform.VMWARE}", hint="Name single VMs.")


def _see(call: Call, ref: HierarchyRef) -> None:
    """Raises NotFound for a VM out of the caller's scope, whether there is one or not."""
    with call.engine.database.read() as connection:
        if not visibility.may_see(connection, call.visible, ref.root, ref.ref):
            raise NotFound(f"there is no VM {ref}")


def _check_password(call: Call, written: str, repository_id: UUID) -> None:
    if not stored_secrets.opens(call.engine, parse_guid(written), repository_id):
        raise Unsupported(
            f"backups are encrypted with their repository's key alone, and password {written} is not that",
            hint="Leave PasswordKeyId out; what a repository holds is always encrypted.",
        )


def _begun(call: Call, session_id: UUID, message: str) -> Started:
    with call.engine.database.read() as connection:
        name = job_sessions.get(connection, session_id).name
    return Started("BackupJobSession", session_id, name, message)


def _required(asked: Values, spec: Spec, name: str) -> Any:
    if name not in asked:
        raise InvalidInput(f"{name} is missing in {spec.name}")
    return asked[name]
