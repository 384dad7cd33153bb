"""A backup, a prune or a change of keys that dies at each of its steps on the storage in turn.

What was there stays, whatever arrived is of use, and doing it again works. The same with processes that are killed:
``python -m trials crash_points``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.dying import COURSES, Course


@pytest.mark.slow
@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("course", COURSES)
def test_it_may_die_at_any_step(tmp_path: Path, course: type[Course], half: bool) -> None:
    course(1).at_each_step(tmp_path, half=half)
