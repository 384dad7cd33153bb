"""Sizes on the command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restorium.cli.sizes import format_size, parse_size
from restorium.vocabulary.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("500GB", 500 * 10**9),
        ("2TiB", 2 * 2**40),
        ("2tib", 2 * 2**40),
        ("1.5 G", 3 * 2**29),
        (" 10 MB ", 10 * 10**6),
    ],
)
def test_size_is_read_in_decimal_and_binary_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "ten", "1XB", "-1", "1 2", "1e9"])
def test_what_is_no_size_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_size(text)
    assert repr(text) in refused.value.message


@given(st.integers(0, 2**60))
def test_formatted_size_reads_back_to_within_its_digits(size: int) -> None:
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.06, abs=0.5)


def test_unknown_size_is_shown_as_unknown() -> None:
    assert format_size(-1) == "?"
