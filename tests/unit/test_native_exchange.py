"""Numbers of the native API as they are written in addresses."""

from __future__ import annotations

import pytest

from restorium.native.exchange import whole


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("9", 9)])
def test_a_number_within_its_bounds_is_read(text: str, number: int) -> None:
    assert whole(text, 0, 9) == number


@pytest.mark.parametrize("text", ["", "10", "-1", "+1", "1.0", " 1", "٣", "²", "9" * 5000])
def test_anything_else_is_none_and_fails_over_nothing(text: str) -> None:
    assert whole(text, 0, 9) is None
