"""Drills: VMs are restored into the sandbox, checked there and removed, whatever becomes of them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from restorium.catalog import drill_vms, protection
from restorium.catalog.listing import Row, Visibility
from restorium.emulator import find_qemu
from restorium.evidence import PublicKey
from restorium.flows import drill_checks, drills, evidence, jobs
from restorium.flows.drilling import Drilling
from restorium.hosts.image_folder import ImageFolder
from restorium.vault import Vault
from restorium.vocabulary.drills import BootCheck, CheckKind, CheckResult, Checks, FileCheck
from restorium.vocabulary.errors import Conflict, HostError, IllegalTransition
from restorium.vocabulary.sessions import SessionResult, SessionState
from tests.support import evidence as independent
from tests.support.boots import MARKER, make_bootable
from tests.support.drills import Drills
from tests.support.flows import CALLER, MIB, Site, digest, files, make_vm
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

ALL = Visibility.everything()
FILE = random.Random("web").randbytes(MIB)
"""What is in the VM's file-0."""


@pytest.fixture
def kind() -> str:
    """Both databases are for the test that says so: each drill takes seconds."""
    return "sqlite"


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    opened = Site(tmp_path, database_url)
    yield opened
    opened.close()


@pytest.fixture
def lab(site: Site) -> Drills:
    return Drills(site)


@pytest.fixture
def job(site: Site, lab: Drills) -> UUID:
    """Of a VM web, which boots and has files, and a VM mail of random bytes, both backed up. An engine runs."""
    make_bootable(make_vm(site.images, "web"))
    (site.images / "mail.raw").write_bytes(random.Random(3).randbytes(MIB))
    (site.images / "mail.vm.toml").write_text(
        'name = "mail"\n[[disk]]\nkey = "disk0"\nfile = "mail.raw"\nformat = "raw"\n'
    )
    job_id = site.set_up(["web", "mail"])
    site.engine.start()
    assert site.back_up(job_id).result is SessionResult.SUCCESS
    return job_id


def _outcomes(vm: Row) -> dict[str, CheckResult]:
    return {f"{each.kind} {each.subject or ''}".strip(): each.result for each in drill_vms.outcomes_of(vm)}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.skipif(find_qemu() is None, reason="QEMU for x86 is not installed")
def test_a_drill_restores_checks_and_removes(
    site: Site, lab: Drills, job: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, around = digest(site.images / "web.raw"), []
    look = drill_checks.check_all

    def watched(*arguments: Any) -> Any:
        def copies() -> list[tuple[str, str]]:
            return [(path.name, digest(path)) for path in lab.sandbox.glob("*.raw")]

        around.append(copies())
        found = look(*arguments)
        around.append(copies())
        return found

    monkeypatch.setattr("restorium.flows.drilling.check_all", watched)
    checks = Checks(
        filesystems=True,
        files=(
            FileCheck("/file-0", not_empty=True, sha256=hashlib.sha256(FILE).hexdigest()),
            FileCheck("Volume$0:/lost+found"),
        ),
        boot=BootCheck(MARKER, seconds=60, memory_mib=64),
    )
    run = lab.run(lab.plan(lab.named(job, "web"), checks=checks))
    assert (run.state, run.result, run.reason) == (SessionState.STOPPED, SessionResult.SUCCESS, None)
    [vm] = lab.vms(run.id)
    assert (vm.result, vm.point_name) == (SessionResult.SUCCESS, site.points("web")[0].name)
    assert _outcomes(vm) == dict.fromkeys(
        ["digest", "filesystems Volume$0:", "file /file-0", "file Volume$0:/lost+found", "boot"],
        CheckResult.PASSED,
    )
    assert vm.recovery_ms == vm.restore_ms + vm.boot_ms
    assert around == [[(f"{vm.copy_name}.raw", before)]] * 2, "the checks change nothing"
    assert vm.copy_name.startswith("drill-web-")
    assert lab.left() == set()
    assert digest(site.images / "web.raw") == before
    assert files(site.images) == {"web.raw", "web.vm.toml", "mail.raw", "mail.vm.toml"}

    session = site.restore_session(vm.session_id)
    assert (session.requested_by, session.result) == ("the drill plan weekly", SessionResult.SUCCESS)
    assert (session.target_host_id, session.vm_ref) == (lab.host_id, "web")
    pem = PublicKey(evidence.keys(site.engine)[0].public_key).pem
    record = independent.read(evidence.document_of(site.engine, vm.session_id, ALL), pem)
    assert record["merkle_root"] == vm.merkle_root is not None
    assert (record["target"]["host_name"], record["target"]["power_on"]) == ("sandbox", False)
    with site.database.read() as connection:
        proven = {each.vm_name: each for each in protection.of_vms(connection, ALL)}
    assert proven["web"].drilled_at == vm.ended_at
    assert proven["mail"].drilled_at is proven["mail"].restored_at is None


def test_what_does_not_hold_fails_and_does_not_stop_the_others(site: Site, lab: Drills, job: UUID) -> None:
    checks = Checks(
        filesystems=True,
        files=(
            FileCheck("/missing"),
            FileCheck("/file-0", sha256="0" * 64),
            FileCheck("/lost+found", not_empty=True),
        ),
    )
    run = lab.run(lab.plan(lab.named(job, "mail", "web"), checks=checks))
    assert (run.result, run.reason_code) == (SessionResult.FAILED, "drill-failed")
    assert "mail: " in run.reason and "web: " in run.reason
    mail, web = lab.vms(run.id)
    assert _outcomes(mail) == {"digest": CheckResult.PASSED, "filesystems": CheckResult.FAILED} | {
        f"file {name}": CheckResult.FAILED for name in ("/missing", "/file-0", "/lost+found")
    }
    assert _outcomes(web) == {
        "digest": CheckResult.PASSED,
        "filesystems Volume$0:": CheckResult.PASSED,
        "file /missing": CheckResult.FAILED,
        "file /file-0": CheckResult.FAILED,
        "file /lost+found": CheckResult.FAILED,
    }
    assert web.reason_code == "drill-failed" and "SHA-256" in web.reason
    assert lab.left() == set()


def test_warnings_for_a_missed_objective_and_for_what_is_not_possible_here(
    site: Site, lab: Drills, job: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = drill_vms.record_restore
    monkeypatch.setattr(
        drill_vms, "record_restore", lambda connection, vm_id, ms: real(connection, vm_id, 1001)
    )
    run = lab.run(lab.plan(lab.named(job, "web"), objective_seconds=1))
    assert (run.result, run.reason_code) == (SessionResult.WARNING, "objective-missed")
    assert lab.vms(run.id)[0].recovery_ms == 1001

    monkeypatch.setenv("PATH", "/nowhere")
    boots = Checks(boot=BootCheck(MARKER))
    run = lab.run(lab.plan(lab.named(job, "web"), "boots", checks=boots))
    assert (run.result, run.reason_code) == (SessionResult.WARNING, "unsupported")
    [vm] = lab.vms(run.id)
    assert _outcomes(vm) == {"digest": CheckResult.PASSED, "boot": CheckResult.NOT_POSSIBLE}
    assert vm.recovery_ms is None, "nobody has seen it boot"
    assert lab.left() == set()


@pytest.mark.skipif(find_qemu() is None, reason="QEMU for x86 is not installed")
def test_a_vm_that_does_not_boot_fails(site: Site, lab: Drills, job: UUID) -> None:
    checks = Checks(boot=BootCheck(MARKER, seconds=1, memory_mib=64))
    run = lab.run(lab.plan(lab.named(job, "mail"), checks=checks))
    [mail] = lab.vms(run.id)
    assert (mail.result, run.result) == (SessionResult.FAILED, SessionResult.FAILED)
    assert [each.kind for each in drill_vms.outcomes_of(mail)] == [CheckKind.DIGEST, CheckKind.BOOT]
    assert " s without" in mail.reason
    assert mail.recovery_ms is None


def test_a_restore_that_fails_is_the_drills_failure(
    site: Site, lab: Drills, job: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = Vault.verify_disk

    def spoilt(vault: Vault, disk: Any, reader: Any, **options: Any) -> str:
        if reader.size == MIB:
            [written] = lab.sandbox.glob(".*.raw")
            with written.open("r+b") as file:
                file.write(b"bad sector")
        return verify(vault, disk, reader, **options)

    monkeypatch.setattr(Vault, "verify_disk", spoilt)
    run = lab.run(lab.plan(lab.named(job, "mail", "web")))
    mail, web = lab.vms(run.id)
    assert (mail.result, mail.reason_code, mail.merkle_root is None) == (
        SessionResult.FAILED,
        "verification-failed",
        False,
    )
    assert web.result is SessionResult.SUCCESS
    assert lab.left() == set()


def test_cancel_stops_the_restore_and_removes_what_is_there(
    site: Site, lab: Drills, job: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelling(drilling: Drilling, vm_id: UUID) -> Any:
        drills.cancel(site.engine, drilling._run_id)
        return look(drilling, vm_id)

    look = Drilling.check
    monkeypatch.setattr(Drilling, "check", cancelling)
    run = lab.run(lab.plan(lab.named(job, "web", "mail")))
    assert (run.result, run.reason_code) == (SessionResult.FAILED, "cancelled")
    web, mail = lab.vms(run.id)
    assert (web.reason_code, mail.reason_code) == ("cancelled", "cancelled")
    assert mail.session_id is None, "it was never come to"
    assert lab.left() == set()
    with pytest.raises(IllegalTransition):
        drills.cancel(site.engine, run.id)

    monkeypatch.undo()
    waits = Drilling.await_restore

    def cancelled_at_once(drilling: Drilling, vm_id: UUID) -> Any:
        drills.cancel(site.engine, drilling._run_id)
        return waits(drilling, vm_id)

    monkeypatch.setattr(Drilling, "await_restore", cancelled_at_once)
    run = lab.run(lab.plan(lab.named(job, "web"), "other"))
    [vm] = lab.vms(run.id)
    assert (run.result, run.reason_code) == (SessionResult.FAILED, "cancelled")
    assert site.restore_session(vm.session_id).state is SessionState.STOPPED
    assert lab.left() == set()


def test_what_cannot_be_removed_is_told_and_removed_later(
    site: Site, lab: Drills, job: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(host: ImageFolder, ref: str, attempt: str) -> None:
        raise HostError("the sandbox is gone")

    monkeypatch.setattr(ImageFolder, "remove_restored", refuses)
    run = lab.run(lab.plan(lab.named(job, "web")))
    assert (run.result, run.reason_code) == (SessionResult.WARNING, "host")
    assert "could not be removed from the sandbox" in run.reason
    assert lab.left()
    monkeypatch.undo()
    monkeypatch.setattr(drills, "_TIDY_SECONDS", 0.0)
    monkeypatch.setattr(drills._sandboxes, "_next", 0.0)
    wait_until(lambda: lab.vms(run.id)[0].copy_removed_at is not None)
    assert lab.left() == set()


def test_a_vm_without_a_restore_point_fails(site: Site, lab: Drills, job: UUID) -> None:
    (site.images / "new.raw").write_bytes(b"new")
    (site.images / "new.vm.toml").write_text('name = "new"\n[[disk]]\nkey = "disk0"\nfile = "new.raw"\n')
    host_id = site.points()[0].host_id
    jobs.add_vm(site.engine, job, host_id, "new")
    run = lab.run(lab.plan(lab.named(job, "new", "web")))
    assert [(vm.result, vm.reason_code) for vm in lab.vms(run.id)] == [
        (SessionResult.FAILED, "not-found"),
        (SessionResult.SUCCESS, None),
    ]


def test_a_plan_runs_once_at_a_time(site: Site, lab: Drills, job: UUID) -> None:
    plan_id = lab.plan(lab.named(job, "web"))
    site.engine.stop()
    site.renew()
    run_id = drills.start(site.engine, plan_id, CALLER)
    with pytest.raises(Conflict, match="running already"):
        drills.start(site.engine, plan_id, CALLER)
    drills.cancel(site.engine, run_id)
    [vm] = lab.vms(run_id)
    assert (vm.result, vm.reason_code, vm.session_id) == (SessionResult.FAILED, "cancelled", None)
    drills.start(site.engine, plan_id, CALLER)
