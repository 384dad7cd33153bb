"""vSphere by leases: who is trusted, how a stream is read out of order, and what an import leaves behind.

Against govmomi's simulator with a front of ours. What every host does is held in tests/conformance.
"""

from __future__ import annotations

import hashlib
import random
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyVmomi import vim

from restorium.disks.interface import Extent
from restorium.disks.vmdk.stream import encoded
from restorium.hosts import open_host
from restorium.hosts.interface import Host, RestoreTarget, VmDescription
from restorium.hosts.pinning import vouched_for
from restorium.hosts.vsphere import leases, streaming
from restorium.hosts.vsphere.leases import Device
from restorium.hosts.vsphere.opening import stream_of
from restorium.hosts.vsphere.streaming import StreamReader
from restorium.vocabulary.errors import DiskDamaged, HostError, TargetExists
from tests.support.certificates import Certificate
from tests.support.disks import MIB, read_all
from tests.support.labs.vsphere import VsanLab
from tests.support.listening import listening
from tests.support.waiting import wait_until

KEY = "scsi0:0"
CONTENT = random.Random(1).randbytes(MIB) + bytes(MIB)
SIZE = 3 * MIB
DISK = random.Random(2).randbytes(2 * MIB) + bytes(MIB // 2) + random.Random(3).randbytes(MIB // 2)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[VsanLab]:
    made = VsanLab(tmp_path)
    yield made
    made.close()


@pytest.fixture
def host(lab: VsanLab) -> Iterator[Host]:
    opened = open_host(lab.kind, lab.address, lab.login)
    yield opened
    opened.close()


@pytest.fixture
def ref(lab: VsanLab) -> str:
    return lab.add_vm("web", {KEY: CONTENT})


@pytest.fixture
def description(host: Host, ref: str) -> VmDescription:
    with host.open_vm(ref) as opened:
        return opened.description


def _target(host: Host, ref: str, description: VmDescription, new_name: str | None) -> RestoreTarget:
    return host.restore_target(description, attempt="a1", original_ref=ref, new_name=new_name)


def _write(target: RestoreTarget, description: VmDescription, content: bytes = CONTENT) -> None:
    [disk] = description.disks
    extents = [Extent(0, MIB, hole=False), Extent(MIB, MIB, hole=True)]
    with target.create_disk(disk, extents) as writer:
        for at in (MIB // 2, 0):
            writer.write(at, content[at : at + MIB // 2])
        writer.flush()


def _vms(lab: VsanLab) -> list[str]:
    view = lab.content.viewManager.CreateContainerView(lab.content.rootFolder, [vim.VirtualMachine], True)
    names = [lab.read(vm, "name") for vm in lab.read(view, "view") or ()]
    view.Destroy()
    return sorted(names)


@pytest.mark.slow
def test_a_disk_in_the_making_is_shown_to_nobody_and_is_gone_with_the_restore(
    lab: VsanLab, host: Host, ref: str, description: VmDescription
) -> None:
    target = _target(host, ref, description, "web2")
    target.probe()
    assert _vms(lab) == ["web"]
    _write(target, description)
    assert len(_vms(lab)) == 2
    assert [vm.name for vm in host.inventory()] == ["web"]
    with target.read_disk(description.disks[0]) as reader:
        assert read_all(reader) == CONTENT
    target.discard()
    assert (_vms(lab), lab.leftovers()) == (["web"], [])


@pytest.mark.slow
@pytest.mark.parametrize("gone", [False, True], ids=["given up", "the server gone too"])
def test_a_disk_that_is_written_again_takes_the_place_of_what_an_interrupted_import_left(
    lab: VsanLab, host: Host, ref: str, description: VmDescription, gone: bool
) -> None:
    target = _target(host, ref, description, "web2")
    [disk] = description.disks
    whole = [Extent(0, 2 * MIB, hole=False)]
    with ExitStack() as away, pytest.raises(HostError), target.create_disk(disk, whole) as writer:
        writer.write(0, b"x" * MIB)
        wait_until(lambda: len(_vms(lab)) == 2)
        if gone:
            away.enter_context(lab.cut())
    left = 1 + gone  # which the server keeps for the time of the lease that nobody gave back
    assert len(_vms(lab)) == left
    with pytest.raises(HostError, match="was not written"):
        target.finalise()
    _write(target, description)
    assert len(_vms(lab)) == left + 1
    made = target.finalise()
    assert lab.contents(made) == {KEY: CONTENT}
    assert len(_vms(lab)) == left + 1
    assert [vm.name for vm in host.inventory()] == ["web", "web2"]
    assert gone or not lab.leftovers()


@pytest.mark.slow
def test_a_disk_is_read_back_once_the_lease_of_another_process_has_ended(
    host: Host, ref: str, description: VmDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = _target(host, ref, description, "web2")
    _write(target, description)
    [disk] = description.disks
    with target.read_disk(disk) as killed, target.read_disk(disk) as reader:
        killed.read_into(0, memoryview(bytearray(1)))
        monkeypatch.setattr("restorium.hosts.vsphere.leases.time.sleep", lambda _: killed.close())
        assert read_all(reader) == CONTENT


@pytest.mark.slow
def test_disks_that_no_vm_got_in_the_end_are_removed_too(
    lab: VsanLab, host: Host, ref: str, description: VmDescription
) -> None:
    target = _target(host, ref, description, "web2")
    _write(target, description)
    lab.add_vm("web2", {KEY: bytes(512)})
    with pytest.raises(TargetExists):
        target.finalise()
    target.discard()
    assert (_vms(lab), lab.leftovers()) == (["web", "web2"], [])


@pytest.mark.slow
def test_what_is_restored_over_the_original_can_be_finished_by_another_process(
    lab: VsanLab, host: Host, ref: str, description: VmDescription
) -> None:
    other = random.Random(5).randbytes(MIB) + bytes(MIB)
    _write(_target(host, ref, description, None), description, other)
    assert _target(host, ref, description, None).finalise() == ref
    assert _target(host, ref, description, None).finalise() == ref
    assert lab.contents(ref) == {KEY: other}
    assert (_vms(lab), lab.leftovers()) == (["web"], [])


@pytest.mark.slow
def test_a_disk_that_is_all_holes_is_made(
    lab: VsanLab, host: Host, ref: str, description: VmDescription
) -> None:
    target = _target(host, ref, description, "empty")
    [disk] = description.disks
    target.create_disk(disk, [Extent(0, 2 * MIB, hole=True)]).close()
    assert lab.contents(target.finalise()) == {KEY: bytes(2 * MIB)}


@pytest.mark.slow
def test_a_lease_is_renewed_while_it_is_held_and_given_back(
    lab: VsanLab, host: Host, ref: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEWAL_SECONDS", 0.05)
    lease = lab.managed(vim.HttpNfcLease, "lease-1")
    with host.open_vm(ref) as opened:
        assert [name for name in lab.leftovers() if name.startswith("lease-1-")]
        assert lab.read(lease, "transferProgress") == 0
        opened.readers[0].read_into(0, memoryview(bytearray(MIB // 2)))
        wait_until(lambda: lab.read(lease, "transferProgress") == 25)
        assert read_all(opened.readers[0]) == CONTENT
    assert lab.leftovers() == []


@pytest.mark.slow
def test_disks_come_only_from_the_host_that_vcenter_vouches_for(
    lab: VsanLab, host: Host, ref: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Device

    def another(key: str, url: str, thumbprint: str | None) -> Device:
        assert thumbprint is not None
        return real(key, url, ":".join(["00"] * 20))

    monkeypatch.setattr(leases, "Device", another)
    with (
        host.open_vm(ref) as opened,
        pytest.raises(HostError, match="not the one with the thumbprint"),
    ):
        read_all(opened.readers[0])
    assert lab.leftovers() == []


def test_a_host_of_which_another_told_the_thumbprint_is_that_one_or_is_sent_nothing(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    sha1 = hashlib.sha1(certificate.der, usedforsecurity=False).hexdigest().upper()
    told = ":".join(sha1[at : at + 2] for at in range(0, 40, 2))
    with listening(certificate) as (address, got):
        port = int(address.rpartition(":")[2])
        assert vouched_for("127.0.0.1", port, told, timeout=5).verify_mode is ssl.CERT_REQUIRED
        with pytest.raises(HostError, match="nothing was sent"):
            vouched_for("127.0.0.1", port, told.replace(told[:2], "00"), timeout=5)
    assert got == []


def _reader(
    monkeypatch: pytest.MonkeyPatch, *, kept: int = MIB, ends: int | None = None
) -> tuple[StreamReader, list[int]]:
    """Of DISK, keeping ``kept`` bytes, and how often its stream was begun. ends: where the stream breaks off, once."""
    monkeypatch.setattr(streaming, "_KEPT_BYTES", kept)
    monkeypatch.setattr(streaming, "_PIECE_BYTES", kept // 4)
    begun: list[int] = []
    pieces = [(at, DISK[at : at + 4096]) for at in range(0, SIZE, 4096) if any(DISK[at : at + 4096])]
    sent = b"".join(encoded(SIZE, pieces))

    @contextmanager
    def stream() -> Iterator[tuple[Any, Iterator[bytes]]]:
        whole = sent if begun or ends is None else sent[:ends]
        begun.append(1)
        yield SimpleNamespace(percent=0), iter([whole[at : at + 9999] for at in range(0, len(whole), 9999)])

    return StreamReader(stream, "disk 0", SIZE), begun


def test_a_stream_is_read_in_any_order_and_begun_anew_only_for_what_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader, begun = _reader(monkeypatch)
    choose = random.Random(4)

    def read(at: int, length: int) -> None:
        buffer = bytearray(b"x" * length)
        reader.read_into(at, memoryview(buffer))
        assert buffer == DISK[at : at + length]

    with reader:
        for near in range(0, SIZE, MIB // 2):  # as several threads do
            for at in (3, 0, 2, 1):
                read(near + at * MIB // 8, MIB // 8)
        assert len(begun) == 1
        read(0, SIZE)
        assert len(begun) == 2
        for _ in range(20):
            at = choose.randrange(SIZE)
            read(at, choose.randrange(SIZE - at))


def test_of_a_stream_no_more_is_kept_than_is_out_of_order(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, begun = _reader(monkeypatch, kept=MIB // 4)
    with reader:
        assert read_all(reader) == DISK
        assert len(begun) == 1
        assert reader._received is not None
        assert reader._received._kept_bytes == 0


def test_a_stream_that_broke_off_is_an_error_and_never_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, begun = _reader(monkeypatch, ends=MIB)
    with reader:
        with pytest.raises(DiskDamaged, match="ends in the middle"):
            read_all(reader)
        assert read_all(reader) == DISK
    assert len(begun) == 2


def test_a_lease_without_the_disk_is_refused_with_what_it_has() -> None:
    lease: Any = SimpleNamespace(
        entity="vm-7", disks=(Device("/vm-7/ParaVirtualSCSIController0:1", "https://*/nfc/1/a.vmdk", None),)
    )
    place: Any = SimpleNamespace(controller="ParaVirtualSCSIController", info=SimpleNamespace(key="scsi0:0"))
    with pytest.raises(HostError, match=r"no disk ParaVirtualSCSIController0:0, but /vm-7/.*0:1"):
        stream_of(lease, place)
