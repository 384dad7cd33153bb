"""vSphere: logging on, what a backup leaves alone, what a restore refuses, and what the interface shows of it.

Against govmomi's simulator. What every host does is held in tests/conformance.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyVmomi import vim

from restorium import em
from restorium.catalog import accounts, job_sessions
from restorium.flows import hosts, jobs, repositories
from restorium.hosts import open_host
from restorium.hosts.interface import Chain, Host, Login
from restorium.vocabulary.errors import HostError, InvalidInput, RestoriumError, Unsupported, VmNotFound
from restorium.vocabulary.restore import Placement
from restorium.vocabulary.roles import Role
from restorium.vocabulary.sessions import SessionResult
from tests.support.certificates import Certificate
from tests.support.disks import MIB, read_all
from tests.support.em import PASSWORD as EM_PASSWORD
from tests.support.em import EmClient
from tests.support.flows import KEY, Site
from tests.support.labs import open_lab
from tests.support.labs.vsphere import PASSWORD, USER, VsphereLab
from tests.support.listening import listening

pytestmark = pytest.mark.slow

CONTENT = random.Random(1).randbytes(MIB) + bytes(MIB)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[VsphereLab]:
    made = VsphereLab(tmp_path)
    yield made
    made.close()


@pytest.fixture
def host(lab: VsphereLab) -> Iterator[Host]:
    opened = open_host(lab.kind, lab.address, lab.login)
    yield opened
    opened.close()


@pytest.fixture
def ref(lab: VsphereLab) -> str:
    return lab.add_vm("web", {"scsi0:0": CONTENT})


@pytest.mark.parametrize(
    ("expired", "pinned", "said"),
    [
        (False, None, "not trusted, and nothing was sent"),
        (False, "00" * 32, "nothing was sent"),
        (True, "its own", "expired"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_refused_before_anything_is_sent(
    tmp_path: Path, expired: bool, pinned: str | None, said: str
) -> None:
    certificate = Certificate(tmp_path, expired=expired)
    with listening(certificate) as (address, got):
        thumbprint = certificate.thumbprint if pinned == "its own" else pinned
        with pytest.raises(HostError, match=said):
            open_host("vsphere", address, Login(USER, PASSWORD, thumbprint)).check()
    assert got == []


def test_a_wrong_password_is_said_without_saying_it(lab: VsphereLab) -> None:
    with pytest.raises(HostError, match=f"does not let {USER} in") as refused:
        open_host(lab.kind, lab.address, Login(USER, "guessed wrong", lab.login.thumbprint)).check()
    assert "guessed wrong" not in f"{refused.value}{refused.value.hint}"


@pytest.mark.parametrize(
    "address", ["http://vc.example", "https://", "https://vc.example/sdk", "https://vc:99999"]
)
def test_an_address_that_is_none_is_refused_by_name(address: str) -> None:
    with pytest.raises(InvalidInput, match="address of a vCenter"):
        open_host("vsphere", address, Login(USER, PASSWORD))


def test_a_server_that_does_not_answer_is_named(lab: VsphereLab, host: Host) -> None:
    with lab.cut(), pytest.raises(HostError, match=r"127\.0\.0\.1 cannot be reached"):
        host.check()
    host.check()


def test_a_session_that_ran_out_is_made_anew(lab: VsphereLab, host: Host, ref: str) -> None:
    host.check()
    manager = lab.content.sessionManager
    own = lab.read(manager, "currentSession").key
    others = [each.key for each in lab.read(manager, "sessionList") if each.key != own]
    assert others
    manager.TerminateSession(others)
    assert [vm.name for vm in host.inventory()] == ["web"]
    manager.TerminateSession([each.key for each in lab.read(manager, "sessionList") if each.key != own])
    with host.open_vm(ref) as opened:
        assert read_all(opened.readers[0]) == CONTENT


def test_what_a_crash_left_of_a_backup_is_removed_by_the_next_one_of_its_job(
    lab: VsphereLab, host: Host, ref: str
) -> None:
    for name in ("restorium-backup-nightly", "before the update"):
        lab.wait(lab.vm(ref).CreateSnapshot_Task(name=name, description="", memory=False, quiesce=False))
    with host.open_vm(ref, Chain("nightly", {})):
        pass
    tree = lab.read(lab.vm(ref), "snapshot").rootSnapshotList
    assert [node.name for node in tree] == ["before the update"], "the user's own stays"


def test_an_independent_disk_is_refused_by_name_and_leaves_no_snapshot(
    lab: VsphereLab, host: Host, ref: str
) -> None:
    [disk] = lab.disks(lab.vm(ref))
    disk.backing.diskMode = "independent_persistent"
    change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)
    lab.wait(lab.vm(ref).ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
    with pytest.raises(Unsupported, match=r"scsi0:0 of web is independent"), host.open_vm(ref):
        pass
    assert lab.leftovers() == []


def test_a_flat_file_that_is_shorter_than_its_disk_is_damage(lab: VsphereLab, host: Host, ref: str) -> None:
    lab.flat(ref)["scsi0:0"].write_bytes(CONTENT[:-5000])
    with host.open_vm(ref) as opened, pytest.raises(HostError, match="ends at byte"):
        read_all(opened.readers[0])
    lab.flat(ref)["scsi0:0"].unlink()
    with host.open_vm(ref) as opened, pytest.raises(HostError, match="no flat file"):
        read_all(opened.readers[0])
    assert lab.leftovers() == []


def test_a_vm_with_snapshots_is_not_replaced(lab: VsphereLab, host: Host, ref: str) -> None:
    with host.open_vm(ref) as opened:
        description = opened.description
    lab.wait(lab.vm(ref).CreateSnapshot_Task(name="mine", description="", memory=False, quiesce=False))
    target = host.restore_target(description, attempt="a1", original_ref=ref, new_name=None)
    with pytest.raises(HostError, match="has snapshots"):
        target.probe()


@pytest.mark.parametrize(
    "placement",
    [
        Placement(storage="nowhere"),
        Placement(container="nowhere"),
        Placement(networks={"VM Network": "nowhere"}),
    ],
)
def test_a_place_that_is_not_there_is_refused_by_name(
    lab: VsphereLab, host: Host, ref: str, placement: Placement
) -> None:
    with host.open_vm(ref) as opened:
        description = opened.description
    target = host.restore_target(
        description, attempt="a1", original_ref=ref, new_name="web2", placement=placement
    )
    with pytest.raises(InvalidInput, match="'nowhere'"):
        target.probe()


def test_nothing_is_known_of_a_vm_that_is_not_there(host: Host, ref: str) -> None:
    for unknown in ("vm-9999", "", "group-v1", "a\0b"):
        with pytest.raises(VmNotFound), host.open_vm(unknown):
            pass


def test_the_interface_shows_the_vcenter_its_vms_and_what_was_restored(
    lab: VsphereLab, tmp_path: Path
) -> None:
    ref = lab.add_vm("web", {"scsi0:0": CONTENT})
    site = Site(tmp_path, f"sqlite:///{tmp_path}/catalog.db")
    try:
        host_id = hosts.add(site.engine, lab.kind, "vc", lab.address, lab.login)
        repository_id = repositories.add(site.engine, "main", (tmp_path / "vault").as_uri(), KEY)
        job_id = jobs.add(site.engine, "nightly", repository_id, [(host_id, ref)])
        with site.database.write() as connection:
            accounts.add(
                connection,
                "administrator",
                EM_PASSWORD,
                roles=frozenset([Role.PORTAL_ADMINISTRATOR]),
                restore_all=True,
            )
        site.engine.start()
        assert site.back_up(job_id).result is SessionResult.SUCCESS
        session = site.restore(site.points()[0].id, keep_original=True, new_name="web2")
        assert session.result is SessionResult.SUCCESS, session.reason
        client = EmClient(em.app.create(site.engine)).log_on("administrator")
        json = {"Accept": "application/json"}
        root = client.get(f"/hierarchyRoots/{host_id}?format=Entity", json).json
        assert root["HostType"] == "VC"
        managed = client.get("/managedServers?format=Entity", json).json["ManagedServers"]
        assert [each["ManagedServerType"] for each in managed] == ["VC"]
        found = client.get(f"/lookup?host=urn:veeam:HierarchyRoot:{host_id}&type=Vm&name=web2", json).json
        [item] = found["HierarchyItems"]
        restored = client.get(f"/restoreSessions/{session.id}?format=Entity", json).json
        assert restored["Result"] == "Success"
        assert (
            restored["RestoredObjRef"]
            == item["ObjectRef"]
            == f"urn:VMware:Vm:{host_id}.{session.restored_ref}"
        )
        secrets = str(client.get("/backupServers", json).json) + str(root) + str(managed)
        assert PASSWORD not in secrets
    finally:
        site.close()


def test_without_its_library_the_kind_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "restorium.hosts.vsphere", None)
    with pytest.raises(RestoriumError, match="library") as refused:
        open_host("vsphere", "https://vc.example", Login(USER, PASSWORD))
    assert "restorium[vsphere]" in refused.value.hint


@pytest.mark.parametrize("kind", ["vsphere", "vsphere on vSAN"])
def test_a_disk_that_grew_is_read_whole_and_the_session_says_why(tmp_path: Path, kind: str) -> None:
    lab = open_lab(kind, tmp_path)
    assert isinstance(lab, VsphereLab)
    site = Site(tmp_path, f"sqlite:///{tmp_path}/catalog.db")
    try:
        ref = lab.add_vm("web", {"scsi0:0": CONTENT})
        host_id = hosts.add(site.engine, lab.kind, "vc", lab.address, lab.login)
        repository_id = repositories.add(site.engine, "main", (tmp_path / "vault").as_uri(), KEY)
        job_id = jobs.add(site.engine, "nightly", repository_id, [(host_id, ref)])
        site.engine.start()
        assert site.back_up(job_id).result is SessionResult.SUCCESS
        lab.grow(ref, "scsi0:0", 3 * MIB)
        session = site.back_up(job_id)
        assert session.result is SessionResult.SUCCESS
        with site.database.read() as connection:
            told = "\n".join(event.message for event in job_sessions.events(connection, session.id))
        assert "read whole" in told
        restored = site.restore(site.points()[-1].id, keep_original=True)
        assert lab.contents(restored.restored_ref) == {"scsi0:0": CONTENT + bytes(MIB)}
    finally:
        site.close()
        lab.close()
