"""Evidence: what a restore did, as a document that is signed and can be checked with a public key alone.

Pure: it knows no database and no server, so that whoever checks a document needs neither. docs/evidence.md describes
the bytes for those who check without this program.

Invariants: the signature covers the canonical form of the record, so a document may be laid out anew, and no member
changed, added or left out. Everything a record says of its disks is also under its Merkle root.
"""

from restorium.evidence.canonical import canonical
from restorium.evidence.document import check, sign
from restorium.evidence.keys import PublicKey, SigningKey, read_public_keys
from restorium.evidence.record import Record

__all__ = ["PublicKey", "Record", "SigningKey", "canonical", "check", "read_public_keys", "sign"]
