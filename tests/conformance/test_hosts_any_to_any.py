"""A restore point of one platform made a VM on another: the same bytes, hardware as far as it can be, the rest told."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from restorium.flows import jobs, repositories
from restorium.hosts.interface import Hardware
from restorium.vocabulary.sessions import SessionResult
from tests.support.flows import KEY, MIB, Site
from tests.support.labs import KINDS, Lab, add_host, open_lab, open_lab_host

pytestmark = pytest.mark.slow

_OTHERS = [kind for kind in KINDS if kind != "image-folder"]
_PLATFORMS = [kind for kind in _OTHERS if " " not in kind]
_PAIRS = [
    *(("image-folder", kind) for kind in _PLATFORMS),
    *((kind, "image-folder") for kind in _PLATFORMS),
    *pairwise(_OTHERS),
]


@pytest.fixture
def labs(tmp_path: Path) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _opened(stack: ExitStack, kind: str, folder: Path) -> Lab:
    folder.mkdir()
    lab = open_lab(kind, folder)
    stack.callback(lab.close)
    return lab


def _hardware(lab: Lab, ref: str) -> Hardware:
    host = open_lab_host(lab)
    try:
        with host.open_vm(ref) as opened:
            return opened.description.hardware
    finally:
        host.close()


@pytest.mark.parametrize(("source_kind", "target_kind"), _PAIRS, ids=["-to-".join(pair) for pair in _PAIRS])
def test_a_point_of_one_platform_becomes_a_vm_of_another(
    labs: ExitStack, tmp_path: Path, source_kind: str, target_kind: str
) -> None:
    source = _opened(labs, source_kind, tmp_path / "source")
    target = _opened(labs, target_kind, tmp_path / "target")
    site = Site(tmp_path, f"sqlite:///{tmp_path}/catalog.db")
    labs.callback(site.close)
    contents = [random.Random(1).randbytes(3 * MIB) + bytes(5 * MIB), random.Random(2).randbytes(MIB)]
    ref = source.add_vm("web", dict(zip(source.keys(2), contents, strict=True)))
    host_ids = [add_host(site.engine, lab, role) for role, lab in (("from", source), ("to", target))]
    repository_id = repositories.add(site.engine, "main", (tmp_path / "vault").as_uri(), KEY)
    job_id = jobs.add(site.engine, "nightly", repository_id, [(host_ids[0], ref)])
    site.engine.start()
    assert site.back_up(job_id).result is SessionResult.SUCCESS
    [point] = site.points()

    session = site.restore(point.id, keep_original=True, host_id=host_ids[1])

    assert session.result is SessionResult.SUCCESS, session.reason
    assert list(target.contents(session.restored_ref).values()) == contents
    assert not target.leftovers()
    before, after = _hardware(source, ref), _hardware(target, session.restored_ref)
    told = "\n".join(site.events(session.id)).lower()
    for what, old, new in (
        ("memory", before.memory_mib, after.memory_mib),
        ("processor", before.cpus, after.cpus),
        ("firmware", before.firmware, after.firmware),
        ("network", len(before.nics), len(after.nics)),
        ("controller", list(before.buses.values()), list(after.buses.values())),
    ):
        assert not old or old == new or what in told, f"{what} was {old}, is {new}, and nobody says so"
    if target.powers:
        powered = site.restore(
            point.id, keep_original=True, host_id=host_ids[1], new_name="started", power_on=True
        )
        assert powered.result is SessionResult.SUCCESS, powered.reason
        assert target.runs(powered.restored_ref)
