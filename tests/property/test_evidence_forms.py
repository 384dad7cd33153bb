"""The canonical form has one way to write a value; the digest of a disk is that of its bytes, wherever holes are."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from restorium.disks import digest as digests
from restorium.disks.digest import Tree, disk_digest
from restorium.evidence.canonical import LARGEST, canonical, parse
from tests.support import evidence as independent
from tests.support.vaults import MemoryDisk

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-LARGEST, LARGEST) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_canonical_form_is_read_back_and_does_not_depend_on_the_layout(value: Any) -> None:
    written = canonical(value)
    assert parse(written) == value
    assert canonical(parse(json.dumps(_reversed(value), indent=1).encode())) == written
    assert written == independent.canonical(value)


@given(VALUES, VALUES)
def test_different_values_have_different_forms(one: Any, other: Any) -> None:
    same_json = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (canonical(one) == canonical(other)) == same_json


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40)), min_size=1, max_size=12))
def test_runs_of_leaves_make_the_same_tree(runs: list[tuple[int, int]]) -> None:
    by_one, by_run, leaves = Tree(), Tree(), []
    for number, count in runs:
        leaf = bytes([number]) * 32
        by_run.repeat(leaf, count)
        leaves += [leaf] * count
    for leaf in leaves:
        by_one.add(leaf)
    assert by_one.root() == by_run.root() == independent.root(leaves)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 9), st.integers(0, 3), st.randoms(use_true_random=False))
def test_digest_of_a_disk_is_that_of_its_bytes(parts: int, tail: int, chance: random.Random) -> None:
    size = parts * independent.PART + tail
    content = bytearray(size)
    holes = []
    for number in range(parts):
        start = number * independent.PART
        match chance.randrange(3):
            case 0:
                holes.append(range(start, start + independent.PART))
            case 1:
                holes.append(range(start, start + 4096))
                content[start + 4096 : start + 4100] = b"data"
            case _:
                content[start : start + 2] = b"go"
    disk = MemoryDisk(bytes(content), holes=tuple(holes))
    read: list[int] = []
    assert disk_digest(disk, progress=read.append) == independent.digest(bytes(content))
    assert sum(read) <= size


def test_huge_hole_takes_no_time() -> None:
    tree = digests.DiskTree(1 << 60)
    tree.skip(1 << 60)
    assert len(tree.digest()) == 64


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _reversed(value[name]) for name in reversed(value)}
    return [_reversed(each) for each in value] if isinstance(value, list) else value
