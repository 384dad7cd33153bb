"""What a backup leaves of each VM, as it is handed to the catalog."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from restorium.vocabulary.backups import Algorithm, BackupFileType, PointType


@dataclass(frozen=True, slots=True)
class NewVmPoint:
    """One VM as a backup left it. Sizes in bytes, ratios in percent.

    vault_point: the manifest's name in the repository. vapp: ref and name of the vApp that it is one of. data_size:
    what the VM's disks hold; backup_size: what this point added to the repository.
    """

    host_id: UUID
    vm_ref: str
    vm_name: str
    algorithm: Algorithm
    point_type: PointType
    vault_point: str
    file_name: str
    file_path: str
    file_type: BackupFileType
    backup_size: int
    data_size: int
    deduplication_ratio: int
    compress_ratio: int
    vapp: tuple[str, str] | None = None
