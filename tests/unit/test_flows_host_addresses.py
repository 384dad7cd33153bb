"""A host that stands in front of others finds them by address, however that is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from restorium.catalog import hosts
from restorium.vocabulary.errors import HostError
from restorium.vocabulary.hierarchy import Platform
from tests.support.flows import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = Site(tmp_path, f"sqlite:///{tmp_path}/catalog.db")
    yield opened
    opened.close()


@pytest.mark.parametrize(("asked", "found"), [("https://VC.example:443/", True), ("https://other", False)])
def test_host_is_found_however_its_address_is_written(
    site: Site, monkeypatch: pytest.MonkeyPatch, asked: str, found: bool
) -> None:
    with site.database.write() as connection:
        row = hosts.add(
            connection, name="lab", kind="vsphere", address="vc.example", platform=Platform.VMWARE
        )
    opened: list[object] = []
    monkeypatch.setattr(site.engine, "host", opened.append)
    if found:
        site.engine.host_at(asked)
        assert opened == [row.id]
    else:
        with pytest.raises(HostError, match="no host with the address"):
            site.engine.host_at(asked)
