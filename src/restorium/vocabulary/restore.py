"""What a caller asks for when asking for a restore."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from restorium.vocabulary.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class RestoreSpec:
    """A whole-VM restore, as the API's RestoreSpec and the native API both mean it.

    keep_original: restore beside the original under ``new_name`` (or a name made from the point), the
        original untouched. Otherwise the original is replaced, at the very end and in one step a disk.
    quick_rollback: only blocks that differ need be written; excludes ``keep_original``.
    host_id: restore to this host and not to the VM's own; always under a name that is free there.
    """

    vm_restore_point_id: UUID
    power_on: bool = False
    quick_rollback: bool = False
    keep_original: bool = False
    new_name: str | None = None
    host_id: UUID | None = None

    def __post_init__(self) -> None:
        if self.keep_original and self.quick_rollback:
            raise InvalidInput(
                "KeepOriginalVM and QuickRollback exclude each other",
                hint="Set QuickRollback to false to restore beside the original VM.",
            )
        if self.host_id is not None and not self.keep_original:
            raise InvalidInput(
                "a restore to another host leaves the original as it is",
                hint="Keep the original to restore to another host.",
            )


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asked, for the record of a session. ``address`` is the client's on the network, if it has one."""

    account: str
    address: str | None = None
