"""Charts as lines in a box of so many units, drawn by a template as SVG. What they show is told in words besides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 160
LEFT, BOTTOM = 4, 4
"""Room beside the lines, so that they are not cut at the edge."""


@dataclass(frozen=True, slots=True)
class Chart:
    """``line`` and ``area`` are what an SVG path draws; ``top`` is the value at the upper edge, ``steps`` heights of
    lines behind it."""

    line: str
    area: str
    top: float
    steps: tuple[float, ...]
    width: int = WIDTH
    height: int = HEIGHT


def chart(points: Sequence[tuple[float, float]]) -> Chart | None:
    """A chart of at least two points (x, y) of growing x; y is 0 or more. None where there is nothing to draw."""
    if len(points) < 2 or points[-1][0] <= points[0][0]:
        return None
    first, last = points[0][0], points[-1][0]
    top = _round_up(max(y for _, y in points))
    placed = [
        (
            LEFT + (x - first) / (last - first) * (WIDTH - 2 * LEFT),
            HEIGHT - BOTTOM - y / top * (HEIGHT - 2 * BOTTOM),
        )
        for x, y in points
    ]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)
    base = HEIGHT - BOTTOM
    area = f"{line}L{placed[-1][0]:.1f} {base}L{placed[0][0]:.1f} {base}Z"
    steps = tuple(base - part * (HEIGHT - 2 * BOTTOM) for part in (0, 0.25, 0.5, 0.75, 1))
    return Chart(line, area, top, steps)


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 8 times a power of 1024 and so on: values are bytes."""
    if value <= 0:
        return 1.0
    return float(2 ** math.ceil(math.log2(value)))
