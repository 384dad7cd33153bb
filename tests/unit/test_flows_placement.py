"""Restores that say where on its host the VM goes: told to the host, or refused before anything begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from restorium import hosts
from restorium.flows import restore_plan
from restorium.hosts.image_folder import ImageFolder
from restorium.hosts.interface import RestoreTarget, VmDescription
from restorium.vocabulary.errors import InvalidInput, Unsupported
from restorium.vocabulary.restore import Placement, RestoreSpec
from restorium.vocabulary.sessions import SessionResult
from tests.support.flows import Site, make_vm

_THERE = Placement(container="vdc-2", storage="gold", networks={"office": "lab"})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = Site(tmp_path, f"sqlite:///{tmp_path}/catalog.db")
    yield opened
    opened.close()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Placement]:
    """What image folders that let one choose are told by restores."""
    placements = []
    plain = ImageFolder.restore_target

    def telling(
        folder: ImageFolder, description: VmDescription, *, placement: Placement, **others: Any
    ) -> RestoreTarget:
        placements.append(placement)
        return plain(folder, description, **others)

    monkeypatch.setattr(ImageFolder, "restore_target", telling)
    monkeypatch.setitem(hosts._KINDS, "image-folder", replace(hosts.kind_of("image-folder"), places=True))
    return placements


def test_a_vm_over_the_original_stays_where_it_is() -> None:
    with pytest.raises(InvalidInput, match="over the original"):
        RestoreSpec(uuid4(), placement=_THERE)


@pytest.mark.slow
def test_the_host_is_told_where_the_vm_goes(site: Site, told: list[Placement]) -> None:
    make_vm(site.images, "web")
    job_id = site.set_up(["web"])
    site.engine.start()
    site.back_up(job_id)
    [point] = site.points()
    spec = RestoreSpec(point.id, keep_original=True, placement=_THERE)
    planned = restore_plan.plan(site.engine, spec, lambda *_: None, lambda: False)
    assert planned.ok
    assert set(map(repr, told)) == {repr(_THERE)}, "a plan asks for what the restore would"
    told.clear()
    session = site.restore(point.id, keep_original=True, placement=_THERE)
    assert session.result is SessionResult.SUCCESS
    assert told
    assert set(map(repr, told)) == {repr(_THERE)}


@pytest.mark.slow
def test_a_host_that_offers_no_choice_refuses_before_a_session_is_made(site: Site) -> None:
    make_vm(site.images, "web")
    job_id = site.set_up(["web"])
    site.engine.start()
    site.back_up(job_id)
    [point] = site.points()
    with pytest.raises(Unsupported, match="host lab offers no choice"):
        site.start_restore(point.id, keep_original=True, placement=Placement(storage="gold"))
