"""The programs that the vault benchmark compares, each with a fresh repository a round."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from bench.common import Measured, measure

_PASSPHRASE = "benchmark"


class Tool(Protocol):
    """Backs one image up and restores it. ``changed`` are offsets of 64 KiB blocks, for who can use them."""

    name: str

    def create(self, folder: Path) -> None: ...
    def backup(self, image: Path, changed: Sequence[int] | None = None) -> Measured: ...
    def restore(self, image: Path, target: Path) -> Measured: ...


class Restorium:
    name = "restorium"

    def create(self, folder: Path) -> None:
        self._folder = folder
        self._run("create")

    def backup(self, image: Path, changed: Sequence[int] | None = None) -> Measured:
        if changed is None:
            return self._run("backup", image)
        offsets = self._folder / "changed.json"
        offsets.write_text(json.dumps(list(changed)))
        return self._run("backup-changed", image, offsets)

    def restore(self, image: Path, target: Path) -> Measured:
        return self._run("restore", target)

    def read(self) -> Measured:
        """A restore that writes nothing."""
        return self._run("read")

    def verify(self) -> Measured:
        return self._run("verify")

    def random_reads(self) -> Measured:
        """Prints the 99th percentile in milliseconds."""
        return self._run("random-reads")

    def _run(self, *arguments: str | Path) -> Measured:
        return measure([sys.executable, "-m", "bench.vault_worker", self._folder, *arguments])


class Restic:
    """Encryption cannot be switched off; compression "auto" is zstd at its default speed."""

    name = "restic"

    def create(self, folder: Path) -> None:
        self._environment = {
            "RESTIC_REPOSITORY": str(folder / "repository"),
            "RESTIC_PASSWORD": _PASSPHRASE,
            "RESTIC_CACHE_DIR": str(folder / "cache"),
        }
        self._run("init", "--repository-version", "2")

    def backup(self, image: Path, changed: Sequence[int] | None = None) -> Measured:
        return self._run("backup", "--compression", "auto", image)

    def restore(self, image: Path, target: Path) -> Measured:
        folder = target.with_suffix(".restic")
        measured = self._run("restore", "latest", "--target", folder)
        (folder / image.relative_to("/")).rename(target)
        return measured

    def _run(self, *arguments: str | Path) -> Measured:
        return measure(["restic", "--quiet", *arguments], environment=self._environment)


class Borg:
    """Authenticated encryption, zstd at level 1, chunks of 1 MiB at fixed places, as suits disk images."""

    name = "borg"

    def create(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._environment = {
            "BORG_REPO": str(folder / "repository"),
            "BORG_PASSPHRASE": _PASSPHRASE,
            "BORG_BASE_DIR": str(folder),
        }
        self._run("init", "--encryption", "repokey-blake2")

    def backup(self, image: Path, changed: Sequence[int] | None = None) -> Measured:
        self._count += 1
        options = ("--compression", "zstd,1", "--chunker-params", "fixed,1048576", "--sparse")
        return self._run("create", *options, f"::{self._count}", image)

    def restore(self, image: Path, target: Path) -> Measured:
        folder = target.with_suffix(".borg")
        folder.mkdir()
        measured = self._run("extract", "--sparse", f"::{self._count}", cwd=folder)
        (folder / image.relative_to("/")).rename(target)
        return measured

    def _run(self, *arguments: str | Path, cwd: Path | None = None) -> Measured:
        return measure(["borg", *arguments], cwd=cwd, environment=self._environment)


TOOLS: tuple[Tool, ...] = (Restorium(), Restic(), Borg())
