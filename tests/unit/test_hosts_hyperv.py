"""A Hyper-V host, emulated: connections, what is refused, and what is left when things go wrong.

The emulator is ours and knows what is documented; nothing here says how a real host behaves.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from restorium.disks.interface import Extent
from restorium.hosts import open_host
from restorium.hosts.hyperv.address import Address
from restorium.hosts.hyperv.files import Volumes
from restorium.hosts.interface import (
    Chain,
    DiskInfo,
    Firmware,
    Hardware,
    Host,
    Login,
    Nic,
    RestoreTarget,
    VmDescription,
)
from restorium.vocabulary.errors import (
    HostError,
    InvalidInput,
    RestoriumError,
    TargetExists,
    TargetFull,
    Unsupported,
    VmNotFound,
)
from restorium.vocabulary.restore import Placement
from tests.support.certificates import Certificate
from tests.support.disks import MIB, read_all
from tests.support.labs.hyperv.lab import PASSWORD, USERNAME, HyperVLab
from tests.support.labs.hyperv.machines import IDE, RUNNING, SCSI, Drive
from tests.support.labs.hyperv.winrm import WinRm

pytestmark = pytest.mark.slow

KEY = "scsi-0-0"
CONTENT = random.Random(1).randbytes(MIB) + bytes(2 * MIB)


@pytest.fixture(scope="module")
def running_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HyperVLab]:
    lab = HyperVLab(tmp_path_factory.mktemp("hyperv"))
    yield lab
    lab.close()


@pytest.fixture
def lab(running_lab: HyperVLab) -> Iterator[HyperVLab]:
    """Without VMs, whatever was there before."""
    yield running_lab
    running_lab.reset()


@pytest.fixture
def host(lab: HyperVLab) -> Iterator[Host]:
    opened = open_host("hyperv", lab.address, lab.login)
    yield opened
    opened.close()


def _reason(lab: HyperVLab, login: Login, address: str | None = None) -> RestoriumError:
    host = open_host("hyperv", address or lab.address, login)
    try:
        with pytest.raises(RestoriumError) as caught:
            host.check()
        return caught.value
    finally:
        host.close()


def _describe(host: Host, ref: str) -> VmDescription:
    with host.open_vm(ref) as opened:
        return opened.description


def _target(
    host: Host, description: VmDescription, ref: str, new_name: str | None = None, **more: Any
) -> RestoreTarget:
    return host.restore_target(description, attempt="a1", original_ref=ref, new_name=new_name, **more)


def _write(target: RestoreTarget, description: VmDescription, content: bytes = CONTENT) -> None:
    for disk in description.disks:
        with target.create_disk(disk, [Extent(0, disk.size, hole=False)]) as writer:
            writer.write(0, content)
            writer.flush()


@pytest.mark.parametrize(
    "address",
    [
        "host",
        "http://host",
        "https://",
        "https://u:p@host",
        "https://host/wsman",
        "https://host:x",
        "https://h?smb=0",
    ],
)
def test_addresses_that_are_none_are_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="address of a Hyper-V host"):
        Address.parse(address)


def test_addresses_are_read() -> None:
    assert Address.parse("https://[::1]:1?smb=2") == Address("::1", 1, 2)
    assert Address.parse("https://host") == Address("host", 5986, 445)


def test_a_library_that_is_not_installed_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "restorium.hosts.hyperv", None)
    with pytest.raises(Unsupported, match="library") as caught:
        open_host("hyperv", "https://host", Login("somebody", "secret"))
    assert "restorium[hyperv]" in caught.value.hint


@pytest.mark.parametrize("login", [Login(), Login("somebody")])
def test_an_account_is_needed(lab: HyperVLab, login: Login) -> None:
    with pytest.raises(InvalidInput, match="password"):
        open_host("hyperv", lab.address, login)


def test_a_wrong_password_is_the_reason_and_stands_nowhere(lab: HyperVLab) -> None:
    assert lab.login is not None
    error = _reason(lab, Login(USERNAME, "wrong secret", lab.login.thumbprint))
    assert USERNAME in error.message
    assert "wrong secret" not in f"{error.message} {error.hint}"


@pytest.mark.parametrize("thumbprint", [None, "00" * 32])
def test_a_certificate_that_is_not_trusted_is_refused_and_nothing_is_sent(
    lab: HyperVLab, thumbprint: str | None
) -> None:
    before = lab.winrm.received
    assert "certificate" in _reason(lab, Login(USERNAME, PASSWORD, thumbprint)).message
    assert lab.winrm.received == before


@pytest.mark.parametrize("pinned", [False, True])
def test_an_expired_certificate_is_refused_and_nothing_is_sent(
    lab: HyperVLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pinned: bool
) -> None:
    certificate = Certificate(tmp_path, expired=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.path))
    winrm = WinRm(certificate, tmp_path / "accounts", {USERNAME: PASSWORD}, lab.powershell)
    try:
        login = Login(USERNAME, PASSWORD, certificate.thumbprint if pinned else None)
        error = _reason(lab, login, f"https://127.0.0.1:{winrm.port}")
    finally:
        winrm.stop()
    assert "expired" in error.message
    assert winrm.received == 0


def test_a_certificate_that_this_machine_trusts_needs_no_thumbprint(
    lab: HyperVLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(lab.certificate.path))
    host = open_host("hyperv", lab.address, Login(USERNAME, PASSWORD))
    host.check()
    host.close()


def test_connections_are_made_anew(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    assert [vm.name for vm in host.inventory()] == ["web"]
    lab.winrm.forget_shells()
    assert [vm.name for vm in host.inventory()] == ["web"]
    with lab.cut(), pytest.raises(HostError, match="cannot be reached"):
        host.check()
    with host.open_vm(ref) as opened:
        with lab.cut():
            pass
        assert read_all(opened.readers[0]) == CONTENT
    assert not lab.leftovers()


def test_a_host_that_dies_in_mid_read_is_the_reason_and_its_checkpoint_goes_at_the_next_try(
    lab: HyperVLab, host: Host
) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    lab.start(ref)
    with lab.cut_later() as cut, host.open_vm(ref) as opened:
        cut()
        with pytest.raises(HostError, match="cannot be read"):
            read_all(opened.readers[0])
    assert lab.leftovers()
    with host.open_vm(ref) as opened:
        assert read_all(opened.readers[0]) == CONTENT
    assert not lab.leftovers()
    assert lab.runs(ref)


def test_a_checkpoint_is_merged_before_the_next_one_is_taken(
    lab: HyperVLab, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restorium.hosts.hyperv.checkpoints._LOOK_SECONDS", 0)
    ref = lab.add_vm("web", {KEY: CONTENT})
    lab.windows.merges_after = 3
    for _ in range(2):
        with host.open_vm(ref) as opened:
            assert read_all(opened.readers[0]) == CONTENT


def test_a_vm_with_checkpoints_of_somebody_else_is_read_and_they_stay(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    lab.start(ref)
    lab.windows.checkpoint(lab.windows.vm(ref), "before the update")
    lab.write(ref, KEY, MIB, b"updated" * 100)
    now = CONTENT[:MIB] + b"updated" * 100 + CONTENT[MIB + 700 :]
    with host.open_vm(ref) as opened:
        lab.write(ref, KEY, 0, b"later")
        assert read_all(opened.readers[0]) == now
    assert [snapshot.name for snapshot in lab.windows.vm(ref).snapshots] == ["before the update"]
    assert lab.contents(ref) == {KEY: b"later" + now[5:]}


def test_a_vm_with_checkpoints_is_replaced_and_its_checkpoints_stay(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    vm = lab.windows.vm(ref)
    description = _describe(host, ref)
    checkpoint = lab.windows.checkpoint(vm, "before the update")
    [later] = vm.drives
    target = _target(host, description, ref)
    _write(target, description, CONTENT[:MIB] + CONTENT[:MIB] + CONTENT[:MIB])
    assert target.finalise() == ref
    assert lab.contents(ref) == {KEY: CONTENT[:MIB] * 3}
    assert lab.windows.local(checkpoint.drives[0].path).exists()
    assert not lab.windows.local(later.path).exists()


def test_two_readers_of_one_vm_do_not_take_each_other_s_checkpoint(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    with host.open_vm(ref) as opened:
        with pytest.raises(HostError, match="being read"), host.open_vm(ref):
            pass
        assert read_all(opened.readers[0]) == CONTENT


def test_disks_that_cannot_be_read_are_the_reason(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    drive = lab.windows.vm(ref).drives[0]
    file = lab.windows.local(drive.path)
    whole = file.read_bytes()
    file.write_bytes(whole[: 5 * MIB])
    with pytest.raises(HostError, match="corrupted"), host.open_vm(ref):
        pass
    file.unlink()
    assert host.inventory()[0].disks == ()
    drive.path = r"C:\VMs\web\old.vhd"
    lab.windows.local(drive.path).write_bytes(whole)
    with pytest.raises(Unsupported, match="no VHDX file"), host.open_vm(ref):
        pass
    lab.windows.vm(ref).drives[0].disk_number = 3
    with pytest.raises(Unsupported, match="physical disk 3"), host.open_vm(ref):
        pass


def test_a_checkpoint_that_takes_its_time_keeps_nobody_else_waiting(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    taking, go_on = threading.Event(), threading.Event()

    def hold(names: list[str]) -> None:
        if "Checkpoint-VM" in names:
            taking.set()
            assert go_on.wait(30)

    lab.powershell.held = hold

    def read() -> bytes:
        with host.open_vm(ref) as opened:
            return read_all(opened.readers[0])

    with ThreadPoolExecutor(1) as thread:
        content = thread.submit(read)
        assert taking.wait(30)
        assert [vm.name for vm in host.inventory()] == ["web"]
        go_on.set()
        assert content.result() == CONTENT


def test_a_production_checkpoint_that_fails_is_the_reason(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    lab.powershell.fail["Checkpoint-VM"] = "Checkpoints have been disabled for 'web'."
    with pytest.raises(HostError, match="Checkpoints have been disabled"), host.open_vm(ref):
        pass


def test_a_disk_that_grew_is_told_of_by_its_new_size(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    with host.open_vm(ref, Chain("c", {})) as opened:
        tokens = {key: str(tracked.token) for key, tracked in opened.tracked.items()}
    lab.resize(ref, KEY, 4 * MIB)
    with host.open_vm(ref, Chain("c", tokens)) as opened:
        assert opened.readers[0].size == 4 * MIB
        assert read_all(opened.readers[0]) == CONTENT + bytes(MIB)


def test_reference_points_that_serve_no_backup_go(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    kept: dict[str, str] = {}
    for _ in range(2):
        with host.open_vm(ref, Chain("nightly", kept)) as opened:
            latest = {key: str(tracked.token) for key, tracked in opened.tracked.items()}
        with host.open_vm(ref, Chain("nightly", kept)):
            """A run that was not kept."""
        kept = latest
        with host.open_vm(ref, Chain("weekly", {})):
            """Another chain."""
    assert len(lab.windows.points) <= 3


@pytest.mark.parametrize("token", ["", "no token", "[]", '["a"]', '["a", "b"]', "{}"])
def test_what_is_no_token_is_told_and_the_disk_read_whole(lab: HyperVLab, host: Host, token: str) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    with host.open_vm(ref, Chain("c", {KEY: token})) as opened:
        tracked = opened.tracked[KEY]
        assert tracked.changed is None
        assert tracked.why
        assert tracked.token is not None


def test_an_original_that_could_not_be_exchanged_is_as_it_was(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    lab.start(ref)
    description = _describe(host, ref)
    lab.windows.vm(ref).nics[0].switch = None
    before = vars(lab.windows.vm(ref)) | {}
    target = _target(host, description, ref)
    _write(target, description, bytes(len(CONTENT)))
    lab.powershell.fail["Add-VMNetworkAdapter"] = "The switch is busy."
    with pytest.raises(HostError, match="The switch is busy"):
        target.finalise()
    assert not lab.runs(ref), "it is turned off, and only here"
    lab.powershell.fail.clear()
    again = _target(host, description, ref)
    assert again.finalised() is None
    again.discard()
    assert lab.contents(ref) == {KEY: CONTENT}
    assert lab.runs(ref)
    assert vars(lab.windows.vm(ref)) == before
    assert not lab.leftovers()


@pytest.mark.parametrize("new_name", [None, "copy"])
def test_a_finalising_that_was_cut_goes_on_in_another_process(
    lab: HyperVLab, host: Host, new_name: str | None
) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    description = _describe(host, ref)
    lab.windows.vm(ref).nics[0].switch = None
    target = _target(host, description, ref, new_name)
    other = bytes(MIB) + CONTENT[:MIB] + bytes(MIB)
    _write(target, description, other)
    for cmdlet in ("Stop-VM", "Add-VMHardDiskDrive", "Add-VMNetworkAdapter", "Set-VMFirmware"):
        lab.start(ref)
        lab.powershell.fail[cmdlet] = "cut"
        if cmdlet != "Stop-VM" or new_name is None:
            with pytest.raises(HostError, match="cut"):
                _target(host, description, ref, new_name).finalise()
        lab.powershell.fail.clear()
    made = _target(host, description, ref, new_name).finalise()
    assert (made == ref) == (new_name is None)
    assert lab.contents(made) == {KEY: other}
    assert [vm.name for vm in lab.windows.vms].count(new_name or "web") == 1
    assert not lab.leftovers()


@pytest.mark.parametrize("moved", [False, True])
def test_an_original_keeps_what_is_set_of_its_adapters_unless_they_are_others(
    lab: HyperVLab, host: Host, moved: bool
) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    description = _describe(host, ref)
    [nic] = lab.windows.vm(ref).nics
    nic.vlan = 7
    if moved:
        nic.switch = None
    target = _target(host, description, ref)
    _write(target, description)
    assert target.finalise() == ref
    [nic] = lab.windows.vm(ref).nics
    assert (nic.switch, nic.vlan) == ("External", None if moved else 7)


def test_a_restored_vm_has_the_hardware_of_the_original(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT, "scsi-0-1": CONTENT})
    original = lab.windows.vm(ref)
    original.drives[1].number, original.scsi_controllers = 1, 2
    original.dynamic, original.notes = True, "of the web team"
    description = _describe(host, ref)
    target = _target(host, description, ref, "copy")
    _write(target, description)
    copy = lab.windows.vm(target.finalise())
    assert (copy.cpus, copy.memory, copy.dynamic) == (original.cpus, original.memory, True)
    assert [(drive.type, drive.number, drive.location) for drive in copy.drives] == [
        (SCSI, 0, 0),
        (SCSI, 1, 1),
    ]
    assert copy.notes.startswith("of the web team\n")
    assert copy.boots_from == (0, 0)
    assert [nic.switch for nic in copy.nics] == ["External"]
    assert copy.nics[0].mac != original.nics[0].mac, "two VMs with one address cannot both be reached"
    restored = _describe(host, copy.id)
    assert restored.settings["Notes"] == "of the web team"
    assert not target.not_carried()


def test_a_vm_of_another_platform_gets_sensible_hardware(lab: HyperVLab, host: Host) -> None:
    disks = tuple(DiskInfo(f"disk{number}", MIB, "raw") for number in range(3))
    hardware = Hardware(
        memory_mib=1023,
        cpus=3,
        firmware=Firmware.BIOS,
        buses={"disk0": "virtio", "disk1": "ide"},
        nics=(Nic("52:54:00:00:00:01", "br0"), Nic(None, "External")),
    )
    description = VmDescription("web", disks, {"whatever": 1}, "image-folder", hardware)
    target = _target(host, description, "gone", "web")
    _write(target, description, bytes(MIB))
    made = lab.windows.vm(target.finalise())
    assert (made.generation, made.cpus, made.memory) == (1, 3, 1024 * MIB)
    assert [(drive.type, drive.number, drive.location) for drive in made.drives] == [
        (IDE, 0, 0),
        (IDE, 0, 1),
        (SCSI, 0, 2),
    ]
    assert [nic.switch for nic in made.nics] == [None, "External"]
    told = " ".join(target.not_carried())
    assert "br0" in told
    assert "disk0 had the controller virtio and has IDE" in told
    uefi = VmDescription("two", disks[:1], {}, "qemu", Hardware(firmware=Firmware.UEFI))
    target = host.restore_target(uefi, attempt="a2", original_ref="gone", new_name="two")
    _write(target, uefi, bytes(MIB))
    assert (vm := lab.windows.vm(target.finalise())).generation == 2
    assert vm.secure_boot == 1, "an unknown guest may not be signed"


def test_a_placement_names_folder_and_switches(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    lab.windows.switches = ["Inside"]
    lab.windows.local(r"C:\Other").mkdir()
    description = _describe(host, ref)
    placement = Placement(storage=r"C:\Other", networks={"External": "Inside"})
    target = _target(host, description, ref, "copy", placement=placement)
    _write(target, description)
    made = lab.windows.vm(target.finalise())
    assert made.drives[0].path.startswith("C:\\Other\\")
    assert [nic.switch for nic in made.nics] == ["Inside"]
    host.remove_restored(made.id, "a1")
    assert not lab.leftovers()
    with pytest.raises(InvalidInput, match="container"):
        _target(host, description, ref, "copy", placement=Placement(container="somewhere"))
    with pytest.raises(InvalidInput, match="Nowhere"):
        _target(host, description, ref, "copy", placement=Placement(storage=r"C:\Nowhere"))
    with pytest.raises(InvalidInput, match="Elsewhere"):
        _target(host, description, ref, "copy", placement=Placement(networks={"External": "Elsewhere"}))


def test_a_disk_that_is_lost_is_left_out_and_the_vm_says_so(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT, "scsi-0-1": CONTENT})
    description = _describe(host, ref)
    target = _target(host, description, ref, "part")
    _write(target, description)
    made = lab.windows.vm(target.finalise(["scsi-0-1"]))
    assert [drive.location for drive in made.drives] == [0]
    assert "scsi-0-1" in made.notes
    assert not lab.leftovers()
    with pytest.raises(InvalidInput):
        host.restore_target(description, attempt="a2", original_ref=ref, new_name=None).finalise(["scsi-0-1"])


def test_names_are_free_without_regard_to_case(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    description = _describe(host, ref)
    with pytest.raises(TargetExists, match="web"):
        _target(host, description, ref, "WEB")
    for name in ("", " ", "a/b", "..", "a\nb", "x" * 101, "\ud800"):
        with pytest.raises(InvalidInput):
            _target(host, description, ref, name)


def test_the_room_is_the_volume_s(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    lab.windows.free = 12345
    assert _target(host, _describe(host, ref), ref, "copy").free_bytes() == 12345


def test_a_file_server_that_knows_no_such_account_is_the_reason(lab: HyperVLab) -> None:
    """Its accounts are those of the host, but it may take a moment to know of a new password."""
    port = Address.parse(lab.address).smb_port
    volumes = Volumes(Address("127.0.0.1", 1, port), Login(USERNAME, "wrong secret"))
    with pytest.raises(HostError, match="does not accept the account") as caught:
        volumes.open(r"C:\Disks\any.vhdx")
    assert "wrong secret" not in f"{caught.value.message} {caught.value.hint}"


def test_a_volume_that_gets_full_is_the_reason_and_nothing_is_left(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    description = _describe(host, ref)
    target = _target(host, description, ref, "copy")
    with lab.full_after(5 * MIB), pytest.raises(TargetFull, match="the volume is full"):
        _write(target, description)
    target.discard()
    assert not lab.leftovers()
    assert lab.contents(ref) == {KEY: CONTENT}


def test_a_vm_that_runs_is_not_started_twice(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    host.power_on(ref)
    assert lab.windows.vm(ref).state == RUNNING
    lab.powershell.ran.clear()
    host.power_on(ref)
    assert "Start-VM" not in lab.powershell.ran
    with pytest.raises(VmNotFound):
        host.power_on("00000000-0000-0000-0000-000000000000")


def test_rights_that_lack_are_the_reason(lab: HyperVLab, host: Host) -> None:
    lab.powershell.fail["Get-VM"] = "You do not have the required permission to complete this task."
    with pytest.raises(HostError, match="required permission"):
        host.inventory()


def test_a_disk_in_two_places_of_one_name_keeps_its_place(lab: HyperVLab, host: Host) -> None:
    ref = lab.add_vm("web", {KEY: CONTENT})
    vm = lab.windows.vm(ref)
    vm.generation = 1
    vm.drives = [Drive(IDE, 0, 0, vm.drives[0].path)]
    assert [disk.key for disk in host.inventory()[0].disks] == ["ide-0-0"]
    description = _describe(host, ref)
    assert description.hardware.firmware is Firmware.BIOS
    target = _target(host, description, ref)
    _write(target, description)
    assert target.finalise() == ref
    assert [(drive.type, drive.location) for drive in vm.drives] == [(IDE, 0)]
