"""What a caller asks for when asking for a restore."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from restorium.vocabulary.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Placement:
    """Where on its host a restored VM goes, in the host's own refs or names; what is not named, the host chooses.

    container: the folder, resource pool, VDC or vApp. storage: the datastore or storage profile of all disks.
    networks: by the network's name in the restore point, the one to connect to instead.
    """

    container: str | None = None
    storage: str | None = None
    networks: Mapping[str, str] = field(default_factory=dict)

    @property
    def chooses(self) -> bool:
        """Whether anything is named."""
        return self != ANYWHERE


ANYWHERE = Placement()
"""The host chooses everything."""


@dataclass(frozen=True, slots=True)
class RestoreSpec:
    """A whole-VM restore, as the API's RestoreSpec and the native API both mean it.

    keep_original: restore beside the original under ``new_name`` (or a name made from the point), the
        original untouched. Otherwise the original is replaced, at the very end and in one step a disk.
    quick_rollback: only blocks that differ need be written; excludes ``keep_original``.
    host_id: restore to this host and not to the VM's own; always under a name that is free there.
    placement: where on the host; a VM restored over the original stays where it is.
    instant: run the VM from the restore point at once, beside the original, and move it off while it runs.
    """

    vm_restore_point_id: UUID
    power_on: bool = False
    quick_rollback: bool = False
    keep_original: bool = False
    new_name: str | None = None
    host_id: UUID | None = None
    placement: Placement = field(default_factory=Placement)
    instant: bool = False

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
        if self.placement.chooses and not self.keep_original:
            raise InvalidInput(
                "a VM restored over the original stays on its storage and networks",
                hint="Keep the original, or give a new name, to choose where the VM goes.",
            )
        if self.instant and not self.keep_original:
            raise InvalidInput(
                "a VM that runs from its restore point at once is made beside the original",
                hint="Keep the original, or give a new name.",
            )


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asked, for the record of a session. ``address`` is the client's on the network, if it has one."""

    account: str
    address: str | None = None
