"""R6: the bytes of all that a vault has on its storage, with one bit flipped: what verify says, what a restore does."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from pathlib import Path

from restorium.vault import DiskRecord, PointDescription, Vault
from restorium.vocabulary.errors import DataCorrupt, RestoriumError
from tests.support.vaults import CHUNK, CREATED, MemoryDisk, new_vault, open_vault, restored
from trials.common import Trial

_STRIDE = 9


def case(folder: Path, seed: int) -> Counter[str]:
    """A vault with two disks in one point and a third in another; a ninth of its bytes, by the seed."""
    chance = random.Random(seed)
    contents = {
        "same": bytes([seed % 255 + 1]) * CHUNK,
        "text": (b"%d " % seed) * 2000 + chance.randbytes(300),
        "other": chance.randbytes(500),
    }
    with new_vault(folder) as vault:
        names = [_point(vault, contents, keys) for keys in (["same", "text"], ["other"])]
    counts: Counter[str] = Counter()
    for path in sorted((folder / "vault").rglob("*")):
        if path.is_file():
            whole = path.read_bytes()
            kind = path.relative_to(folder / "vault").parts[0]
            for at in range(seed % _STRIDE, len(whole), _STRIDE):
                flipped = bytearray(whole)
                flipped[at] ^= 1 << chance.randrange(8)
                path.write_bytes(flipped)
                try:
                    counts += _look(folder, kind, names, contents)
                except AssertionError as error:
                    raise AssertionError(f"{path.name}, byte {at}: {error}") from error
            path.write_bytes(whole)
    return counts


def _point(vault: Vault, contents: dict[str, bytes], keys: list[str]) -> str:
    with vault.backup() as writer:
        records: list[DiskRecord] = [
            writer.write_disk(key, MemoryDisk(contents[key]), None, lambda count: None, lambda: False)
            for key in keys
        ]
        return writer.commit(PointDescription({"name": "web"}, CREATED, tuple(records)))


def _look(folder: Path, kind: str, names: list[str], contents: dict[str, bytes]) -> Counter[str]:
    shutil.rmtree(folder / "cache", ignore_errors=True)
    refused = whole = 0
    with open_vault(folder) as vault:
        found = bool(vault.verify().findings)
        for name in names:
            try:
                disks = vault.point(name).disks
            except RestoriumError as error:
                assert isinstance(error, DataCorrupt), repr(error)
                assert name in error.message, "the error does not name the point"
                refused += 1
                continue
            for disk in disks:
                try:
                    content = restored(vault, disk)
                except RestoriumError as error:
                    assert disk.key in error.message, f"the error does not name the disk: {error.message}"
                    refused += 1
                else:
                    assert content == contents[disk.key], "wrong bytes were restored"
                    whole += 1
    assert whole, "nothing else restores"
    assert found or not refused, "a restore fails of what verify finds right"
    counts = Counter({"bits": 1, f"bits in {kind}": 1, "found at verify": int(found)})
    counts["found at restore"] = int(refused > 0)
    if not found:
        # White space and the case of digits mean nothing there, and intents are kept for prunes alone.
        assert kind in ("config", "config.copy", "intents"), "a verification finds nothing"
        counts[f"that change nothing in {kind}"] = 1
    return counts


TRIAL = Trial(
    "bit_flips",
    "R6",
    "A verification finds every bit; a restore fails naming point or disk, or gives the right bytes; others restore.",
    case,
    short=1,
    long=27,
)
