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
    lines behind it, ``mark`` the height of a value that is not to be passed, None if it is above all there is."""

    line: str
    area: str
    top: float
    steps: tuple[float, ...]
    mark: float | None = None
    width: int = WIDTH
    height: int = HEIGHT


def chart(points: Sequence[tuple[float, float]], *, mark: float | None = None) -> Chart | None:
    """A chart of at least two points (x, y) of growing x; y is 0 or more. None where there is nothing to draw."""
    if len(points) < 2 or points[-1][0] <= points[0][0]:
        return None
    first, last = points[0][0], points[-1][0]
    top = _round_up(max(y for _, y in points))

    def height(y: float) -> float:
        return HEIGHT - BOTTOM - y / top * (HEIGHT - 2 * BOTTOM)

    placed = [(LEFT + (x - first) / (last - first) * (WIDTH - 2 * LEFT), height(y)) for x, y in points]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)
    base = HEIGHT - BOTTOM
    area = f"{line}L{placed[-1][0]:.1f} {base}L{placed[0][0]:.1f} {base}Z"
    steps = tuple(base - part * (HEIGHT - 2 * BOTTOM) for part in (0, 0.25, 0.5, 0.75, 1))
    return Chart(line, area, top, steps, None if mark is None or mark > top else height(mark))


def _round_up(value: float) -> float:
    """The next power of two, which goes into bytes and into seconds alike."""
    if value <= 0:
        return 1.0
    return float(2 ** math.ceil(math.log2(value)))
