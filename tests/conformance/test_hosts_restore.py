"""What every host does: list VMs, hold one still and read it, and make one again beside or over the original.

A host joins by a class like ``ImageFolderLab`` in LABS.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Protocol

import pytest

from restorium.disks.interface import Extent
from restorium.hosts import open_host
from restorium.hosts.interface import Host, RestoreTarget, VmDescription
from restorium.vocabulary.errors import Conflict, HostError, InvalidInput, TargetExists, VmNotFound
from tests.support.disks import MIB, copy_bytes, read_all, write_image
from tests.support.labs import open_lab_host
from tests.support.labs.cloud_director import CloudDirectorLab as EmulatedCloudDirector
from tests.support.labs.hyperv.lab import HyperVLab as EmulatedHyperV
from tests.support.labs.hyperv.machines import Nic
from tests.support.labs.libvirt import LibvirtLab as RealLibvirt

FIRST = random.Random(1).randbytes(MIB)
SECOND = random.Random(2).randbytes(MIB // 2) + bytes(2 * MIB)


Contents = Mapping[str, bytes]
"""Of a VM's disks, by their keys."""


class Lab(Protocol):
    """A host with a way to put VMs there. formats: of its VMs' two disks, by their keys."""

    formats: Mapping[str, str]

    @property
    def host(self) -> Host: ...
    def add_vm(self, name: str, contents: Mapping[str, bytes]) -> str:
        """Gives its ref."""
        ...

    def remove_vm(self, ref: str) -> None: ...


class ImageFolderLab:
    kind = "image-folder"
    formats: ClassVar[Mapping[str, str]] = {"disk0": "raw", "data": "qcow2"}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = open_host(self.kind, str(folder))

    def add_vm(self, name: str, contents: Mapping[str, bytes]) -> str:
        lines = [f'name = "{name}"', "memory = 4096"]
        for key, content in contents.items():
            file = f"{name}-{key}.img"
            write_image(self.folder / file, content, self.formats[key])
            lines += [
                "[[disk]]",
                f'key = "{key}"',
                f'file = "{file}"',
                f'format = "{self.formats[key]}"',
                'bus = "scsi"',
            ]
        (self.folder / f"{name}.vm.toml").write_text("\n".join(lines))
        return name

    def remove_vm(self, ref: str) -> None:
        (self.folder / f"{ref}.vm.toml").unlink()
        for file in self.folder.glob(f"{ref}-*.img"):
            file.unlink()


class QemuLab(ImageFolderLab):
    """VMs of QEMU that are off."""

    kind = "qemu"


class HyperVLab:
    """An emulated Hyper-V host that is emptied between tests."""

    formats: ClassVar[Mapping[str, str]] = {"scsi-0-0": "vhdx", "scsi-0-1": "vhdx"}

    def __init__(self, emulated: EmulatedHyperV) -> None:
        emulated.reset()
        self._emulated = emulated
        self.host = open_host(emulated.kind, emulated.address, emulated.login)

    def add_vm(self, name: str, contents: Mapping[str, bytes]) -> str:
        ref = self._emulated.add_vm(name, contents)
        self._emulated.windows.vm(ref).nics = [Nic(switch="External")]
        return ref

    def remove_vm(self, ref: str) -> None:
        self._emulated.remove_vm(ref)


class LibvirtLab:
    """VMs of a libvirt that are off, without network cards, for each card has an address of its own."""

    formats: ClassVar[Mapping[str, str]] = {"vda": "raw", "vdb": "qcow2"}

    def __init__(self, folder: Path) -> None:
        self._real = RealLibvirt(folder)
        self.host = open_host(self._real.kind, self._real.address)

    def add_vm(self, name: str, contents: Mapping[str, bytes]) -> str:
        return self._real.add_vm(name, contents, self.formats, nics="")

    def remove_vm(self, ref: str) -> None:
        self._real.remove_vm(ref)

    def close(self) -> None:
        self._real.close()


class CloudDirectorLab:
    """An emulated Cloud Director in front of a folder of images."""

    formats: ClassVar[Mapping[str, str]] = {"disk0": "raw", "disk1": "raw"}

    def __init__(self, folder: Path) -> None:
        self._emulated = EmulatedCloudDirector(folder)
        self.host = open_lab_host(self._emulated)

    def add_vm(self, name: str, contents: Mapping[str, bytes]) -> str:
        return self._emulated.add_vm(name, contents)

    def remove_vm(self, ref: str) -> None:
        self._emulated.remove_vm(ref)

    def close(self) -> None:
        self._emulated.close()


LABS = (
    "image-folder",
    "qemu",
    pytest.param("hyperv", marks=pytest.mark.slow),
    pytest.param("libvirt", marks=pytest.mark.slow),
    pytest.param("cloud-director", marks=pytest.mark.slow),
)


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatedHyperV]:
    lab = EmulatedHyperV(tmp_path_factory.mktemp("hyperv"))
    yield lab
    lab.close()


@pytest.fixture(params=LABS)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    made: Lab
    if request.param == "hyperv":
        made = HyperVLab(request.getfixturevalue("emulated"))
    elif request.param == "libvirt":
        made = LibvirtLab(tmp_path)
        request.addfinalizer(made.close)
    elif request.param == "cloud-director":
        made = CloudDirectorLab(tmp_path)
        request.addfinalizer(made.close)
    else:
        made = {"image-folder": ImageFolderLab, "qemu": QemuLab}[request.param](tmp_path)
    yield made
    made.host.close()


@pytest.fixture
def contents(lab: Lab) -> Contents:
    return dict(zip(lab.formats, (FIRST, SECOND), strict=True))


@pytest.fixture
def vm(lab: Lab, contents: Contents) -> str:
    return lab.add_vm("web", contents)


def _contents(host: Host, ref: str) -> dict[str, bytes]:
    with host.open_vm(ref) as opened:
        keys = [disk.key for disk in opened.description.disks]
        return {key: read_all(reader) for key, reader in zip(keys, opened.readers, strict=True)}


def _describe(host: Host, ref: str) -> VmDescription:
    """As it comes out of a restore point, where it was JSON."""
    with host.open_vm(ref) as opened:
        found = opened.description
        return VmDescription(
            found.name, found.disks, json.loads(json.dumps(found.settings)), found.kind, found.hardware
        )


def _target(
    host: Host, vm: str, description: VmDescription, new_name: str | None, attempt: str = "a1"
) -> RestoreTarget:
    return host.restore_target(description, attempt=attempt, original_ref=vm, new_name=new_name)


def _write(target: RestoreTarget, description: VmDescription, contents: Contents) -> None:
    for disk in description.disks:
        with target.create_disk(disk, _extents(contents[disk.key])) as writer:
            copy_bytes(contents[disk.key], _extents(contents[disk.key]), writer)
            writer.flush()


def _extents(content: bytes) -> Iterator[Extent]:
    used = len(content.rstrip(b"\0"))
    yield Extent(0, used, hole=False)
    if used < len(content):
        yield Extent(used, len(content) - used, hole=True)


def test_inventory_has_each_vm_with_its_disks(lab: Lab, vm: str, contents: Contents) -> None:
    lab.host.check()
    lab.add_vm("mail", {next(iter(lab.formats)): b"m" * 512})
    listed = {each.ref: each for each in lab.host.inventory()}
    assert {each.name for each in listed.values()} == {"web", "mail"}
    assert {disk.key: (disk.size, disk.format) for disk in listed[vm].disks} == {
        key: (len(content), lab.formats[key]) for key, content in contents.items()
    }


def test_opened_vm_reads_as_its_disks_are(lab: Lab, vm: str, contents: Contents) -> None:
    assert _contents(lab.host, vm) == contents


def test_vm_that_is_not_there_is_not_found(lab: Lab, vm: str) -> None:
    for ref in ("nobody", "", "../web", "web\0", "/etc/passwd", "x" * 300):
        with pytest.raises(VmNotFound), lab.host.open_vm(ref):
            pytest.fail(f"{ref!r} was opened")


@pytest.mark.parametrize("new_name", ["web2", "Web, the second", "wéb.2", None])
def test_restored_vm_is_the_one_that_was_backed_up(
    lab: Lab, vm: str, contents: Contents, new_name: str | None
) -> None:
    description = _describe(lab.host, vm)
    target = _target(lab.host, vm, description, new_name)
    assert (target.free_bytes() or MIB) > 0
    _write(target, description, contents)
    ref = target.finalise()
    assert (ref == vm) == (new_name is None)
    assert _contents(lab.host, ref) == contents
    restored = _describe(lab.host, ref)
    assert restored.name == (new_name or "web")
    assert restored.disks == description.disks
    assert restored.settings == description.settings
    assert sorted(each.ref for each in lab.host.inventory()) == sorted({vm, ref})


def test_restoring_beside_leaves_the_original_alone(lab: Lab, vm: str, contents: Contents) -> None:
    description = _describe(lab.host, vm)
    target = _target(lab.host, vm, description, "web2")
    others = {key: content[:99] * 3 + bytes(len(content) - 297) for key, content in contents.items()}
    _write(target, description, others)
    assert _contents(lab.host, target.finalise()) == others
    assert _contents(lab.host, vm) == contents
    assert _describe(lab.host, vm) == description


def test_vm_that_is_gone_is_made_anew(lab: Lab, vm: str, contents: Contents) -> None:
    description = _describe(lab.host, vm)
    lab.remove_vm(vm)
    target = _target(lab.host, vm, description, None)
    _write(target, description, contents)
    assert _contents(lab.host, target.finalise()) == contents


@pytest.mark.parametrize("new_name", ["web2", None])
def test_nothing_is_seen_before_the_end_nor_after_a_discard(
    lab: Lab, vm: str, contents: Contents, new_name: str | None
) -> None:
    description = _describe(lab.host, vm)
    before = lab.host.inventory()
    target = _target(lab.host, vm, description, new_name)
    _write(target, description, contents)
    assert lab.host.inventory() == before
    target.discard()
    target.discard()
    assert lab.host.inventory() == before
    assert _contents(lab.host, vm) == contents
    assert target.reopen_disk(description.disks[0]) is None
    with pytest.raises(HostError):
        _target(lab.host, vm, description, new_name).finalise()


def test_interrupted_restore_goes_on_in_another_process(lab: Lab, vm: str, contents: Contents) -> None:
    description = _describe(lab.host, vm)
    disk = description.disks[0]
    content, half = contents[disk.key], disk.size // 2
    target = _target(lab.host, vm, description, "web2")
    assert target.reopen_disk(disk) is None
    with target.create_disk(disk, _extents(content)) as writer:
        writer.write(0, content[:half])
        writer.flush()
    again = _target(lab.host, vm, description, "web2")
    writer_again = again.reopen_disk(disk)
    assert writer_again is not None
    with writer_again as writer:
        writer.write(half, content[half:])
        writer.flush()
    with again.read_disk(disk) as reader:
        assert read_all(reader) == content
    rest = description.disks[1]
    with again.create_disk(rest, _extents(contents[rest.key])) as writer, ThreadPoolExecutor(4) as threads:
        used = len(contents[rest.key].rstrip(b"\0"))
        places = range(0, used, 100_000)
        list(
            threads.map(lambda at: writer.write(at, contents[rest.key][at : min(at + 100_000, used)]), places)
        )
    assert _contents(lab.host, again.finalise()) == contents


@pytest.mark.parametrize("new_name", ["web2", None])
def test_finalising_again_changes_nothing(
    lab: Lab, vm: str, contents: Contents, new_name: str | None
) -> None:
    description = _describe(lab.host, vm)
    target = _target(lab.host, vm, description, new_name)
    _write(target, description, contents)
    ref = target.finalise()
    again = _target(lab.host, vm, description, new_name)
    assert (target.finalise(), again.finalise()) == (ref, ref)
    again.discard()
    with again.read_disk(description.disks[0]) as reader:
        assert read_all(reader) == FIRST
    assert _contents(lab.host, ref) == contents


def test_two_restores_to_one_name_cannot_both_be(lab: Lab, vm: str, contents: Contents) -> None:
    description = _describe(lab.host, vm)
    first, second = (_target(lab.host, vm, description, "web2", attempt) for attempt in ("a1", "a2"))
    _write(first, description, contents)
    _write(second, description, contents)
    ref = first.finalise()
    with pytest.raises(TargetExists, match="web2"):
        second.finalise()
    second.discard()
    assert _contents(lab.host, ref) == contents
    with pytest.raises(TargetExists, match="web2"):
        _target(lab.host, vm, description, "web2", "a3")


def test_names_that_cannot_be_are_refused(lab: Lab, vm: str) -> None:
    description = _describe(lab.host, vm)
    wrong = ("", " ", "a/b", "..", ".hidden", "a\0b", "a\\b", "a\nb", " a", "x" * 300, "é" * 120, "\ud800")
    for new_name in wrong:
        with pytest.raises(InvalidInput):
            pytest.fail(f"{new_name!r}: {_target(lab.host, vm, description, new_name)}")


def test_vm_is_not_restored_without_all_of_its_disks(lab: Lab, vm: str, contents: Contents) -> None:
    description = _describe(lab.host, vm)
    target = _target(lab.host, vm, description, "web2")
    disk = description.disks[0]
    target.create_disk(disk, _extents(contents[disk.key])).close()
    with pytest.raises(HostError, match=description.disks[1].key):
        target.finalise()
    assert [each.ref for each in lab.host.inventory()] == [vm]


def test_unknown_kind_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidInput, match=r"'nutanix'.*image-folder"):
        open_host("nutanix", "somewhere")


def test_what_a_restore_made_is_removed_and_nothing_else(lab: Lab, vm: str, contents: Contents) -> None:
    description, before = _describe(lab.host, vm), _contents(lab.host, vm)
    target = _target(lab.host, vm, description, "drill")
    _write(target, description, contents)
    ref = target.finalise()
    with pytest.raises(Conflict):
        lab.host.remove_restored(vm, "a1")
    with pytest.raises(Conflict):
        lab.host.remove_restored(ref, "a2")
    images = lab.host.local_images(ref)
    assert images is None or [image.path.exists() for image in images] == [True, True]
    lab.host.remove_restored(ref, "a1")
    lab.host.remove_restored(ref, "a1")
    assert [each.ref for each in lab.host.inventory()] == [vm]
    assert _contents(lab.host, vm) == before
    assert images is None or not any(image.path.exists() for image in images)


def test_what_a_restore_left_without_a_final_name_is_removed(lab: Lab, vm: str, contents: Contents) -> None:
    description = _describe(lab.host, vm)
    _write(_target(lab.host, vm, description, "drill"), description, contents)
    lab.host.remove_restored("drill", "a1")
    again = _target(lab.host, vm, description, "drill")
    assert [again.reopen_disk(disk) for disk in description.disks] == [None, None]
    assert _contents(lab.host, vm) == contents
