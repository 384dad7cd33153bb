"""The repository on storage: chunks, packs, disk tables, manifests and keys; write, read and verify.

A disk is cut into chunks of 256 KiB. Each is named by a keyed digest, compressed, encrypted and put into a
pack, once for the whole vault. A disk table names a disk's chunks, a manifest the tables of a restore point.
Every point is a full view of its disks: there is no chain to replay. docs/vault-format.md has the bytes.

Invariants: no object is ever changed or written twice. A manifest is written after everything that it needs
is on the storage for good. What is read is held against its digest every time. Memory does not grow with a
disk or a vault. The local index is a cache that may be lost, stale or damaged.

What may be half done after a crash: packs that no manifest needs (the next backup finds and uses their
chunks), and in a local folder objects under parts/ that nothing names. Every restore point that could be seen
before still can be.
"""

from restorium.vault.backup import BackupStats, BackupWriter
from restorium.vault.config import KeySlot
from restorium.vault.keys import Key
from restorium.vault.manifests import PointDescription
from restorium.vault.opening import Keys
from restorium.vault.prune import PrunePolicy, PruneReport
from restorium.vault.restore import Missing
from restorium.vault.stats import PointStats, VaultStats
from restorium.vault.storage import Storage
from restorium.vault.tables import DiskRecord
from restorium.vault.trusted_time import Clocks
from restorium.vault.vault import WINDOW_BYTES, Point, Usage, Vault
from restorium.vault.verify import Finding, PointCheck, VerifyReport

__all__ = [
    "WINDOW_BYTES",
    "BackupStats",
    "BackupWriter",
    "Clocks",
    "DiskRecord",
    "Finding",
    "Key",
    "KeySlot",
    "Keys",
    "Missing",
    "Point",
    "PointCheck",
    "PointDescription",
    "PointStats",
    "PrunePolicy",
    "PruneReport",
    "Storage",
    "Usage",
    "Vault",
    "VaultStats",
    "VerifyReport",
]
