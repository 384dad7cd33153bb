"""The disk image that the vault benchmark backs up, and its next state: the same on one machine each time.

python -m bench.vault_image FIRST SECOND SIZE: makes both and prints where they differ, as JSON.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REGION = 4 * 1024 * 1024
BLOCK = 64 * 1024
CHANGED_SHARE = 0.03
_SHARES = {"hole": 0.28, "noise": 0.2, "text": 0.15, "files": 0.37}
_FOLDERS = ("/usr/lib", "/usr/bin", "/usr/share", "/usr/local")


def make_image(path: Path, size: int) -> list[int]:
    """Write an image of holes, noise, text and system files; returns the offsets of blocks that hold data."""
    chance = random.Random(1)
    files = _system_files()
    blocks: list[int] = []
    with path.open("wb") as image:
        image.truncate(size)
        for start in range(0, size, REGION):
            length = min(REGION, size - start)
            (kind,) = chance.choices(list(_SHARES), list(_SHARES.values()))
            if kind != "hole":
                content = next(files) if kind == "files" else _content(chance, kind)
                os.pwrite(image.fileno(), content[:length], start)
                blocks += range(start, start + length, BLOCK)
    return blocks


def change_image(path: Path, blocks: list[int]) -> list[int]:
    """Overwrite 3 % of the blocks, scattered, with noise and text in turn; returns their offsets in order."""
    chance = random.Random(2)
    changed = sorted(chance.sample(blocks, max(1, int(len(blocks) * CHANGED_SHARE))))
    size = path.stat().st_size
    with path.open("r+b") as image:
        for number, start in enumerate(changed):
            content = _content(chance, "noise" if number % 2 else "text", BLOCK)
            os.pwrite(image.fileno(), content[: size - start], start)
    return changed


def _content(chance: random.Random, kind: str, length: int = REGION) -> bytes:
    if kind == "noise":
        return chance.randbytes(length)
    words = [chance.randbytes(chance.randrange(1, 6)).hex() for _ in range(2000)]
    lines = (
        f"2026-01-{number % 28 + 1:02} {' '.join(chance.choices(words, k=9))}\n"
        for number in range(length // 40)
    )
    return "".join(lines).encode().ljust(length, b"\n")[:length]


def _system_files() -> Iterator[bytes]:
    """Files of the system one behind the other, in pieces of a region; noise when they end."""
    pending = bytearray()
    for folder in _FOLDERS:
        for parent, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                path = Path(parent, name)
                if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK):
                    pending += path.read_bytes()
                while len(pending) >= REGION:
                    yield bytes(pending[:REGION])
                    del pending[:REGION]
    chance = random.Random(3)
    while True:
        yield chance.randbytes(REGION)


def main(first: Path, second: Path, size: int) -> None:
    blocks = make_image(first, size)
    subprocess.run(["cp", "--sparse=always", first, second], check=True)
    print(json.dumps(change_image(second, blocks)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
