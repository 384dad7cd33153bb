"""Restores to another host than the VM's own: the original is left alone, and records say where the VM went."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from restorium.catalog import restore_sessions
from restorium.catalog.listing import Visibility
from restorium.catalog.tables import hosts as host_rows
from restorium.evidence import PublicKey
from restorium.flows import evidence, hosts
from restorium.vocabulary.errors import InvalidInput, NotFound
from restorium.vocabulary.hierarchy import Platform
from restorium.vocabulary.restore import RestoreSpec
from restorium.vocabulary.sessions import SessionResult
from tests.support import evidence as independent
from tests.support.flows import MIB, Site, digest, files, make_vm, overwrite


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    opened = Site(tmp_path, database_url)
    yield opened
    opened.close()


def test_a_restore_to_another_host_keeps_the_original() -> None:
    with pytest.raises(InvalidInput, match="original"):
        RestoreSpec(uuid4(), host_id=uuid4())


@pytest.mark.slow
def test_vm_is_made_anew_on_the_other_host_and_records_name_it(site: Site, tmp_path: Path) -> None:
    disk = make_vm(site.images, "web")
    before = digest(disk)
    job_id = site.set_up(["web"])
    other = tmp_path / "other"
    other.mkdir()
    other_id = hosts.add(site.engine, "image-folder", "other", str(other))
    site.engine.start()
    assert site.back_up(job_id).result is SessionResult.SUCCESS
    overwrite(disk, "raw", 3 * MIB, b"changed since")
    changed = digest(disk)
    [point] = site.points()
    session = site.restore(point.id, keep_original=True, host_id=other_id)
    assert (session.result, session.restored_ref, session.target_host_id) == (
        SessionResult.SUCCESS,
        "web",
        other_id,
    )
    assert (digest(other / "web.raw"), digest(disk)) == (before, changed)
    assert files(site.images) == {"web.raw", "web.vm.toml"}
    document = evidence.document_of(site.engine, session.id, Visibility.everything())
    pem = PublicKey(evidence.keys(site.engine)[0].public_key).pem
    target = independent.read(document, pem)["target"]
    assert (target["host_id"], target["host_name"]) == (str(other_id), "other")

    with site.database.write() as connection:
        connection.execute(
            sa.update(host_rows).values(platform=Platform.HYPERV).where(host_rows.c.id == other_id)
        )
    with site.database.read() as connection:
        listed = restore_sessions.listing.one(connection, session.id, Visibility.everything())
    assert listed is not None
    assert listed.platform is Platform.HYPERV, "the reference to the VM is of the host that has it"

    again = site.restore(point.id, keep_original=True, host_id=other_id)
    assert again.restored_ref == "web-2"
    with pytest.raises(NotFound):
        site.start_restore(point.id, keep_original=True, host_id=uuid4())
