"""Every error that Restorium raises on purpose, as one tree.

    RestoriumError                  the root; never raised itself
    ├─ InvalidInput                 what the caller sent cannot be understood or accepted
    │  ├─ InvalidIdentifier         a malformed GUID, urn or hierarchy reference
    │  └─ InvalidFilter             a query filter that does not parse
    ├─ NotFound                     a well-formed name of something that is not there
    ├─ Conflict                     the request contradicts the present state
    │  ├─ IllegalTransition         a session asked to move where its state machine does not lead
    │  └─ AlreadyRunning            a second server on one data folder, a port in use
    ├─ AccessDenied                 the caller is known but may not
    ├─ NotAuthenticated             the caller is not known
    │  └─ TooManyLogons             refused without a look at the password
    ├─ Unsupported                  known and well formed, but not offered here
    ├─ HostError                    a hypervisor or image folder did not do what was asked
    │  ├─ VmNotFound
    │  ├─ DiskMissing
    │  ├─ DiskDamaged               shorter than its description says, or not of its format
    │  └─ TargetExists
    ├─ VaultError                   the repository
    │  ├─ WrongKey                  passphrase or key file does not open it
    │  ├─ NotAVault / VaultExists
    │  ├─ ChunkMissing
    │  ├─ DataCorrupt               a digest or authentication tag does not match
    │  ├─ RepositoryFull
    │  ├─ PointLocked               a restore point that may not be deleted yet
    │  └─ StorageUnavailable        transient; says nothing about the data
    ├─ DatabaseUnavailable          the catalog's database; transient
    ├─ TargetFull                   no room where a restore writes
    ├─ ServerUnreachable            a command found no server, or one that does not answer
    ├─ VerificationFailed           what was written does not read back as the restore point says
    ├─ DrillFailed                  a VM restored by a drill does not pass its checks
    ├─ ObjectiveMissed              it does, but took longer than it may
    ├─ EvidenceRefused              a record of a restore that does not hold what it claims
    ├─ AuditBroken                  an audit log of which something was changed, removed or put in
    └─ Cancelled                    asked to stop, and stopped

Each class has a stable ``code`` that reaches the native API, the command line and the documentation, and a
default ``hint`` that says what the reader can do. The message names the input.
"""

from __future__ import annotations

from typing import ClassVar


class RestoriumError(Exception):
    """Root of the tree. ``code`` is stable across releases; ``hint`` is the remedy in one sentence."""

    code: ClassVar[str] = "internal"
    default_hint: ClassVar[str] = "See the server's log for the details."

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.default_hint


class InvalidInput(RestoriumError):
    code = "invalid-input"
    default_hint = "Correct the request and send it again."


class InvalidIdentifier(InvalidInput):
    code = "invalid-identifier"
    default_hint = "Identifiers are GUIDs such as 6f9619ff-8b86-d011-b42d-00c04fc964ff."


class InvalidFilter(InvalidInput):
    """A filter that does not parse. ``position`` is the offset from 0 of the first offending character."""

    code = "invalid-filter"
    default_hint = "See the query language in docs/integrators.md."

    def __init__(self, message: str, *, position: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.position = position


class NotFound(RestoriumError):
    code = "not-found"
    default_hint = "List the collection to see what exists."


class Conflict(RestoriumError):
    code = "conflict"
    default_hint = "Read the present state and decide again."


class IllegalTransition(Conflict):
    code = "illegal-transition"


class AlreadyRunning(Conflict):
    code = "already-running"
    default_hint = "Stop the other server first, or choose another data folder or port."


class AccessDenied(RestoriumError):
    code = "access-denied"
    default_hint = "Ask a Portal Administrator for the role or the restore scope."


class NotAuthenticated(RestoriumError):
    code = "not-authenticated"
    default_hint = "Log on first."


class TooManyLogons(NotAuthenticated):
    code = "too-many-logons"
    default_hint = "Wait a minute, then log on with the right password."


class Unsupported(RestoriumError):
    code = "unsupported"
    default_hint = "docs/status.md lists what is offered."


class HostError(RestoriumError):
    code = "host"
    default_hint = "Check that the host is reachable and its files are readable."


class VmNotFound(HostError):
    code = "vm-not-found"
    default_hint = "List the host's inventory; the VM may have been renamed or removed."


class DiskMissing(HostError):
    code = "disk-missing"
    default_hint = "Put the disk's file back or remove the disk from the VM's description."


class DiskDamaged(HostError):
    code = "disk-damaged"
    default_hint = "Check the disk's file; it may have been truncated or be of another format."


class TargetExists(HostError):
    code = "target-exists"
    default_hint = "Remove or rename what stands there, or restore under another name."


class VaultError(RestoriumError):
    code = "vault"


class WrongKey(VaultError):
    code = "wrong-key"
    default_hint = "Give the passphrase or key file that the repository was made with."


class NotAVault(VaultError):
    code = "not-a-vault"
    default_hint = "Check the repository's URL."


class VaultExists(VaultError):
    code = "vault-exists"
    default_hint = "Open it with its passphrase or key file, or choose an empty place."


class ChunkMissing(VaultError):
    code = "chunk-missing"
    default_hint = "Run a verification of the repository; another restore point may be whole."


class DataCorrupt(VaultError):
    code = "data-corrupt"
    default_hint = "Run a verification of the repository; another restore point may be whole."


class RepositoryFull(VaultError):
    code = "repository-full"
    default_hint = "Free space on the repository or raise its capacity, then run the job again."


class PointLocked(VaultError):
    code = "point-locked"
    default_hint = "Wait until then; the repository was told to keep its points for so long."


class StorageUnavailable(VaultError):
    code = "storage-unavailable"
    default_hint = "Check the storage; the operation can simply be tried again."


class DatabaseUnavailable(RestoriumError):
    code = "database-unavailable"
    default_hint = "Check that the database runs and that its URL is right; the operation can be tried again."


class TargetFull(RestoriumError):
    code = "target-full"
    default_hint = "Free space where the VM is restored to, then restore again."


class ServerUnreachable(RestoriumError):
    code = "server-unreachable"
    default_hint = "Check that the server runs, its address, and the certificate given with --ca."


class VerificationFailed(RestoriumError):
    code = "verification-failed"
    default_hint = "Restore again; if it repeats, check the target's storage."


class DrillFailed(RestoriumError):
    code = "drill-failed"
    default_hint = "Look at what the checks found; verify the repository, and drill an older restore point."


class ObjectiveMissed(RestoriumError):
    code = "objective-missed"
    default_hint = "Find what takes the time in the restore session, or set an objective that can be met."


class EvidenceRefused(RestoriumError):
    code = "evidence-refused"
    default_hint = "Fetch the record anew from the server; if it is refused again, do not rely on it."


class AuditBroken(RestoriumError):
    code = "audit-broken"
    default_hint = "Compare it with a copy exported earlier, and find out who could write to the database."


class Cancelled(RestoriumError):
    code = "cancelled"
    default_hint = "Start it again when wanted."
