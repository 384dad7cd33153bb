"""Descriptions of VMs: whatever a restore point holds is written so that it reads back the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from restorium.hosts.image_folder.descriptions import (
    DescribedDisk,
    Description,
    read_description,
    render_description,
)
from restorium.vocabulary.errors import HostError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = TEXT.filter(str.strip)
VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
OWN = {"name", "disk", "restored_by", "key", "file", "format", "size"}
SETTINGS = st.dictionaries(TEXT.filter(lambda key: key not in OWN), VALUES, max_size=4)
DISKS = st.builds(
    DescribedDisk,
    NAMES,
    st.just("disks/web.raw"),
    st.sampled_from([None, "raw", "qcow2"]),
    st.none() | st.integers(0, 1 << 60),
    SETTINGS,
)


@given(
    st.builds(
        Description,
        NAMES,
        st.lists(DISKS, min_size=1, max_size=3, unique_by=lambda disk: disk.key).map(tuple),
        SETTINGS,
        st.none() | NAMES,
    )
)
def test_description_reads_back_as_it_was_written(description: Description) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "web.vm.toml"
        path.write_text(render_description(description), encoding="utf-8", newline="")
        assert read_description(path) == description


@given(st.binary() | TEXT.map(str.encode))
def test_any_file_is_a_description_or_an_error_that_names_it(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "web.vm.toml"
        path.write_bytes(content)
        try:
            read_description(path)
        except HostError as error:
            assert str(path) in error.message
