"""The files on the demo's disks: photographs of noise, logs, and space set aside but never written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_MIB = 1 << 20
_NOISE_FILES = 96
_NOISE_BYTES = _MIB
_TEXT_FILES = 192
_TEXT_BYTES = _MIB // 2
_ZERO_FILES = 24
_ZERO_BYTES = 2 * _MIB

FILES = _NOISE_FILES + _TEXT_FILES + _ZERO_FILES


def write_tree(root: Path) -> list[Path]:
    """Make the folders and files under ``root``; gives those of noise, which no other file resembles.

    All names are short FAT names, so that the same tree goes on every file system.
    """
    for folder in ("PHOTOS", "LOGS", "SPARE"):
        (root / folder).mkdir(parents=True)
    noise = [root / "PHOTOS" / f"IMG{number:04}.RAW" for number in range(_NOISE_FILES)]
    for path in noise:
        path.write_bytes(os.urandom(_NOISE_BYTES))
    for number in range(_TEXT_FILES):
        (root / "LOGS" / f"LOG{number:04}.TXT").write_bytes(_log(number))
    for number in range(_ZERO_FILES):
        (root / "SPARE" / f"ZERO{number:04}.BIN").write_bytes(bytes(_ZERO_BYTES))
    return noise


def _log(number: int) -> bytes:
    text = "".join(_lines(number))
    return (text * (_TEXT_BYTES // len(text) + 1))[:_TEXT_BYTES].encode()


def _lines(number: int) -> Iterator[str]:
    for line in range(512):
        moment = f"2031-02-03 04:{line // 60:02}:{line % 60:02}"
        yield f"{moment} host-{number} service[{line * 7919 % 9973}]: request {number * line} done\n"
