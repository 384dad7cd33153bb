"""Full backup, increment and restore of a disk image: Restorium's vault against restic, borg and cp.

python -m bench.vault [--size 4GiB] [--rounds 3] [--out FILE] [--work FOLDER]

The tools take turns within each round, every restored image is compared byte for byte, and the result is the
median of all rounds. A tool's time is that of its whole process, its start and key derivation included. No tool
waits for a restored image to be on the medium; each waits for its repository to be.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.common import Measured, first_line, machine, measure, medians, parse_size, write
from bench.vault_image import BLOCK
from bench.vault_tools import TOOLS, Restorium

_LIBRARIES = ("obstore", "blake3", "zstandard", "cryptography")


class Round:
    """Times and peaks of one round, and what each tool's repository grew by."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.peak_mb: dict[str, float] = {}
        self.stored_mb: dict[str, float] = {}
        self.read_p99_ms = 0.0

    def note(self, operation: str, tool: str, measured: Measured) -> None:
        self.seconds[f"{operation}_{tool}"] = measured.seconds
        self.peak_mb[f"{operation}_{tool}"] = measured.peak_mb
        print(f"  {operation:10} {tool:10} {measured.seconds:8.2f} s {measured.peak_mb:7.0f} MB", flush=True)


class Benchmark:
    """One image in two states. ``image`` is the path that all tools see, whichever state is shown there."""

    def __init__(self, work: Path, size: int) -> None:
        self._work = work
        self._first, self._second = work / "first.img", work / "second.img"
        self.image = work / "disk.img"
        # In a process of its own: what is measured later would count this one's peak of memory as its own.
        maker = [sys.executable, "-m", "bench.vault_image", str(self._first), str(self._second), str(size)]
        self.changed: list[int] = json.loads(subprocess.run(maker, check=True, capture_output=True).stdout)
        self.data_bytes = self._first.stat().st_blocks * 512

    def round(self, number: int) -> Round:
        found = Round()
        folders = {tool.name: self._work / f"{number}-{tool.name}" for tool in TOOLS}
        for tool in TOOLS:
            folders[tool.name].mkdir()
            tool.create(folders[tool.name])
        self._show(self._first)
        for tool in TOOLS:
            before = _size(folders[tool.name])
            found.note("full", tool.name, tool.backup(self.image))
            found.stored_mb[f"full_{tool.name}"] = _size(folders[tool.name]) - before
        self._show(self._second)
        for tool in TOOLS:
            before = _size(folders[tool.name])
            found.note("increment", tool.name, tool.backup(self.image, self.changed))
            found.stored_mb[f"increment_{tool.name}"] = _size(folders[tool.name]) - before
        for tool in TOOLS:
            found.note("unchanged", tool.name, tool.backup(self.image))
        target = self._work / "restored.img"
        found.note("restore", "cp", self._copy(self.image, target))
        self._check(target, "cp")
        for tool in TOOLS:
            found.note("restore", tool.name, tool.restore(self.image, target))
            self._check(target, tool.name)
        self._scan(found, folders["restorium"])
        for folder in folders.values():
            shutil.rmtree(folder)
        return found

    def _scan(self, found: Round, folder: Path) -> None:
        """What Restorium alone is asked for, in a repository of its own."""
        scan, tool = folder / "scan", Restorium()
        scan.mkdir()
        tool.create(scan)
        self._show(self._first)
        tool.backup(self.image)
        found.note("read", tool.name, tool.read())
        found.note("verify", tool.name, tool.verify())
        found.read_p99_ms = float(tool.random_reads().output)
        print(f"  random reads: p99 {found.read_p99_ms:.1f} ms", flush=True)
        self._show(self._second)
        found.note("scan", tool.name, tool.backup(self.image))

    def _show(self, state: Path) -> None:
        self.image.unlink(missing_ok=True)
        self.image.hardlink_to(state)

    def _copy(self, source: Path, target: Path) -> Measured:
        return measure(["cp", "--sparse=always", source, target])

    def _check(self, target: Path, tool: str) -> None:
        if not filecmp.cmp(self.image, target, shallow=False):
            raise SystemExit(f"{tool} restored something else")
        target.unlink()
        for rest in self._work.glob("restored.*"):
            shutil.rmtree(rest)


def ratios(seconds: dict[str, float]) -> dict[str, float]:
    """The peer's time over ours; for cp ours over its; for a verification of all data that of reading it over its."""
    found = {
        f"{operation}_vs_{peer}": seconds[f"{operation}_{peer}"] / seconds[f"{operation}_restorium"]
        for operation in ("full", "increment", "restore")
        for peer in ("restic", "borg")
    }
    found["restore_time_vs_cp"] = seconds["restore_restorium"] / seconds["restore_cp"]
    found["verify_vs_read"] = seconds["read_restorium"] / seconds["verify_restorium"]
    return {name: round(value, 2) for name, value in found.items()}


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in (folder / "repository").rglob("*") if path.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=parse_size, default=parse_size("4GiB"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("bench/results/vault.json"))
    parser.add_argument("--work", type=Path, help="a folder on the disk to be measured")
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "machine": machine(),
        "versions": {
            "restic": first_line("restic", "version"),
            "borg": first_line("borg", "--version"),
            "cp": first_line("cp", "--version"),
            **{name: version(name) for name in ("restorium", *_LIBRARIES)},
        },
    }
    with tempfile.TemporaryDirectory(dir=arguments.work, prefix="restorium-bench-") as work:
        benchmark = Benchmark(Path(work), arguments.size)
        rounds = []
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", flush=True)
            rounds.append(benchmark.round(number))
        seconds = medians([each.seconds for each in rounds])
        result |= {
            "image": {
                "bytes": arguments.size,
                "data_bytes": benchmark.data_bytes,
                "changed_bytes": len(benchmark.changed) * BLOCK,
            },
            "rounds": arguments.rounds,
            "seconds": seconds,
            "peak_mb": medians([each.peak_mb for each in rounds]),
            "stored_mb": medians([each.stored_mb for each in rounds]),
            "read_4k_p99_ms": statistics.median(each.read_p99_ms for each in rounds),
            "ratios": ratios(seconds),
        }
    write(arguments.out, result)
    for name, value in result["ratios"].items():
        print(f"{name:24} {value:6.2f}")


if __name__ == "__main__":
    main()
