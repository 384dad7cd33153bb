"""What all benchmarks share: processes measured, machine and versions told, results written."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


@dataclass(frozen=True, slots=True)
class Measured:
    """Wall-clock seconds of a whole process, its start included, its peak of resident memory in MB, and its output."""

    seconds: float
    peak_mb: float
    output: str


def measure(
    command: Sequence[str | Path], *, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> Measured:
    """Run a command to its end. What others wrote is on the disk first. Raises CalledProcessError."""
    os.sync()
    started = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=cwd,
        env=os.environ | dict(environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, process.args, output)
    return Measured(seconds, usage.ru_maxrss / 1024, output.decode(errors="replace"))


def parse_size(text: str) -> int:
    """Bytes of ``4GiB``, ``256MiB`` or a plain number."""
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return int(text.removesuffix(unit)) * factor
    return int(text)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "cores": len(os.sched_getaffinity(0)),
        "processor": model,
        "memory_gib": round(pages / (1 << 30), 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_at_start": os.getloadavg()[0],
    }


def first_line(*command: str) -> str:
    """The first line that a command prints: a program's version."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.partition("\n")[0]


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each name over all rounds, to milliseconds."""
    return {name: round(statistics.median(each[name] for each in rounds), 3) for name in rounds[0]}


def write(path: Path, result: Mapping[str, Any]) -> None:
    """One JSON object, with the date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dated = {"date": datetime.now(UTC).isoformat(timespec="seconds"), **result}
    path.write_text(json.dumps(dated, indent=2) + "\n")
