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


@pytest.mark.parametrize(
    ("known", "asked", "found"),
    [
        ("/srv/images", "/srv/images", True),
        ("/srv/images", "/srv/image", False),
        ("https://vc.example", "https://VC.example:443/", True),
        ("vc.example", "https://vc.example", True),
        ("https://vc.example:8443", "https://vc.example", False),
        ("https://vc.example", "https://vc.example:99999", False),
        ("qemu:///system", "https://vc.example", False),
    ],
)
def test_addresses_are_compared_by_what_they_mean(
    site: Site, monkeypatch: pytest.MonkeyPatch, known: str, asked: str, found: bool
) -> None:
    with site.database.write() as connection:
        row = hosts.add(connection, name="lab", kind="image-folder", address=known, platform=Platform.VMWARE)
    opened: list[object] = []
    monkeypatch.setattr(site.engine, "host", opened.append)
    if found:
        site.engine.host_at(asked)
        assert opened == [row.id]
    else:
        with pytest.raises(HostError, match="no host with the address"):
            site.engine.host_at(asked)
