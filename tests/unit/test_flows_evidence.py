"""Restores leave evidence that stands up to an independent reader: one record each, however they end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from cryptography.exceptions import InvalidSignature

from restorium.catalog import evidence as rows
from restorium.catalog import repositories as repository_rows
from restorium.catalog.listing import Row, Visibility
from restorium.catalog.tables import evidence as table
from restorium.catalog.tables import repositories, restore_sessions
from restorium.evidence import PublicKey
from restorium.flows import evidence, restore
from restorium.vault import Vault
from restorium.vocabulary.errors import NotFound
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support import evidence as independent
from tests.support.flows import MIB, Site, make_vm, overwrite

ALL = Visibility.everything()


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    opened = Site(tmp_path, database_url)
    yield opened
    opened.close()


@pytest.fixture
def point(site: Site) -> Row:
    """A restore point of the VM web; an engine runs."""
    make_vm(site.images, "web", disk_format="qcow2")
    job_id = site.set_up(["web"])
    site.engine.start()
    assert site.back_up(job_id).result is SessionResult.SUCCESS
    return site.points("web")[0]


def _pem(site: Site) -> str:
    return PublicKey(evidence.keys(site.engine)[0].public_key).pem


def _record(site: Site, session_id: UUID, pem: str | None = None) -> dict[str, Any]:
    return independent.read(evidence.document_of(site.engine, session_id, ALL), pem or _pem(site))


def _raw_digest(image: Path, raw: Path) -> str:
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    return independent.digest_of_raw(raw)


@pytest.mark.slow
def test_record_says_what_was_restored_where_and_for_whom(site: Site, point: Row, tmp_path: Path) -> None:
    session = site.restore(point.id, keep_original=True, new_name="copy")
    record = _record(site, session.id)
    assert record["result"] == "Success"
    assert record["reason"] is None
    assert record["session"]["id"] == str(session.id)
    assert (record["session"]["requested_by"], record["session"]["requested_from"]) == (
        "operator",
        "192.0.2.7",
    )
    took = session.ended_at - session.created_at
    assert record["session"]["duration_ms"] == took.total_seconds() * 1000 // 1
    assert record["point"]["id"] == str(point.id)
    assert record["point"]["manifest"] == point.vault_point
    assert record["point"]["repository"]["name"] == "main"
    assert (record["target"]["host_name"], record["target"]["restored_ref"]) == ("lab", "copy")
    [disk] = record["disks"]
    assert (disk["key"], disk["size"], disk["result"]) == ("disk0", 16 * MIB, "Success")
    assert disk["digest"] == _raw_digest(site.images / "copy.qcow2", tmp_path / "copy.raw")
    assert record["events"][-1]["message"] == "The restore ended with Success."

    overwrite(site.images / "copy.qcow2", "qcow2", 5 * MIB, b"changed since")
    assert disk["digest"] != _raw_digest(site.images / "copy.qcow2", tmp_path / "copy.raw")


@pytest.mark.slow
def test_restores_that_do_not_succeed_have_records_too(
    site: Site, point: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned = site.restore(point.id, keep_original=True, new_name="copy", power_on=True)
    record = _record(site, warned.id)
    assert (record["result"], record["reason"]["code"]) == ("Warning", "unsupported")
    assert record["disks"][0]["digest"] is not None

    (site.images / "taken.vm.toml").write_text("another's\n")
    failed = site.restore(point.id, keep_original=True, new_name="taken")
    record = _record(site, failed.id)
    assert (record["result"], record["reason"]["code"]) == ("Failed", "target-exists")
    assert (record["disks"], record["merkle_root"], record["target"]["restored_ref"]) == ([], None, None)

    verify = Vault.verify_disk

    def spoilt(vault: Vault, disk: Any, reader: Any, **options: Any) -> str:
        [written] = [path for path in site.images.rglob(".*") if path.suffix != ".toml"]
        overwrite(written, "qcow2", 0, b"bad sector")
        return verify(vault, disk, reader, **options)

    monkeypatch.setattr(Vault, "verify_disk", spoilt)
    spoiled = site.restore(point.id, keep_original=True, new_name="spoilt")
    record = _record(site, spoiled.id)
    assert (record["result"], record["reason"]["code"]) == ("Failed", "verification-failed")
    [disk] = record["disks"]
    assert (disk["result"], disk["digest"]) == ("Failed", None)
    assert disk["reason"]


@pytest.mark.slow
def test_record_of_a_restore_cancelled_before_it_began(site: Site, point: Row) -> None:
    site.engine.stop()
    site.renew()
    session_id = site.start_restore(point.id)
    with pytest.raises(NotFound, match="no evidence"):
        evidence.document_of(site.engine, session_id, ALL)
    restore.cancel(site.engine, session_id)
    record = _record(site, session_id)
    assert (record["result"], record["reason"]["code"]) == ("Failed", "cancelled")


@pytest.mark.slow
def test_rotation_keeps_what_was_signed_and_the_key_to_check_it(site: Site, point: Row) -> None:
    first_pem = _pem(site)
    first = site.restore(point.id, keep_original=True, new_name="one")
    evidence.rotate(site.engine)
    second = site.restore(point.id, keep_original=True, new_name="two")
    new, old = evidence.keys(site.engine)
    assert (new.retired_at, old.secret) == (None, None)
    assert PublicKey(old.public_key).pem == first_pem
    _record(site, first.id, first_pem)
    _record(site, second.id)
    with pytest.raises(InvalidSignature):
        _record(site, second.id, first_pem)


@pytest.mark.slow
def test_record_goes_with_its_session_and_is_seen_as_it_is(site: Site, point: Row) -> None:
    session = site.restore(point.id, keep_original=True, new_name="copy")
    nothing = Visibility(UUID(int=1))
    with pytest.raises(NotFound, match="no restore session"):
        evidence.document_of(site.engine, session.id, nothing)
    with site.database.write() as connection:
        connection.execute(sa.delete(restore_sessions).where(restore_sessions.c.id == session.id))
    with site.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0


@pytest.mark.slow
def test_without_the_master_key_a_restore_ends_and_says_that_it_has_no_evidence(
    site: Site, point: Row
) -> None:
    evidence.ensure_key(site.engine)
    with site.database.read() as connection:
        repository = repository_rows.get(connection, point.repository_id)
    secret = site.engine.secrets.open(repository.id, repository.secret)
    site.engine.stop()
    (site.settings.data / "master.key").unlink()
    site.renew()
    with site.database.write() as connection:
        connection.execute(
            sa.update(repositories)
            .where(repositories.c.id == repository.id)
            .values(secret=site.engine.secrets.seal(repository.id, secret))
        )
    site.engine.start()
    session = site.restore(point.id, keep_original=True, new_name="copy")
    assert (session.state, session.result) == (SessionState.STOPPED, SessionResult.SUCCESS)
    assert any("no evidence" in event and "master.key" in event for event in site.events(session.id))
    evidence.rotate(site.engine)
    again = site.restore(point.id, keep_original=True, new_name="again")
    _record(site, again.id)


def test_first_key_is_made_once(site: Site) -> None:
    evidence.ensure_key(site.engine)
    evidence.ensure_key(site.engine)
    [key] = evidence.keys(site.engine)
    with site.database.read() as connection:
        assert rows.current_key(connection) == key
    assert key.public_key not in key.secret
