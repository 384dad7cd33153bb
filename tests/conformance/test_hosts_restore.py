"""What every host does: list VMs, hold one still and read it, and make one again beside or over the original."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from restorium.disks.interface import Extent
from restorium.hosts import open_host
from restorium.hosts.interface import Host, RestoreTarget, VmDescription
from restorium.vocabulary.errors import Conflict, HostError, InvalidInput, TargetExists, VmNotFound
from tests.support.disks import MIB, copy_bytes, read_all
from tests.support.labs import Lab, add_plain_vm, lab_params, open_lab, open_lab_host, plain_formats, resumes

FIRST = random.Random(1).randbytes(MIB)
SECOND = random.Random(2).randbytes(MIB // 2) + bytes(2 * MIB)


Contents = Mapping[str, bytes]
"""Of a VM's disks, by their keys."""


@pytest.fixture(params=lab_params())
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    made = open_lab(request.param, tmp_path)
    yield made
    made.close()


@pytest.fixture
def host(lab: Lab) -> Iterator[Host]:
    opened = open_lab_host(lab)
    yield opened
    opened.close()


@pytest.fixture
def contents(lab: Lab) -> Contents:
    return dict(zip(lab.keys(2), (FIRST, SECOND), strict=True))


@pytest.fixture
def vm(lab: Lab, contents: Contents) -> str:
    return add_plain_vm(lab, "web", contents)


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


def test_inventory_has_each_vm_with_its_disks(lab: Lab, host: Host, vm: str, contents: Contents) -> None:
    host.check()
    lab.add_vm("mail", {lab.keys(1)[0]: b"m" * 4096})
    listed = {each.ref: each for each in host.inventory()}
    assert {each.name for each in listed.values()} == {"web", "mail"}
    assert {disk.key: disk.size for disk in listed[vm].disks} == {
        key: len(content) for key, content in contents.items()
    }
    assert {disk.key: disk.format for disk in listed[vm].disks} == plain_formats(lab, list(contents))


def test_opened_vm_reads_as_its_disks_are(host: Host, vm: str, contents: Contents) -> None:
    assert _contents(host, vm) == contents


def test_vm_that_is_not_there_is_not_found(host: Host, vm: str) -> None:
    for ref in ("nobody", "", "../web", "web\0", "/etc/passwd", "x" * 300):
        with pytest.raises(VmNotFound), host.open_vm(ref):
            pytest.fail(f"{ref!r} was opened")


@pytest.mark.parametrize("new_name", ["web2", "Web, the second", "wéb.2", None])
def test_restored_vm_is_the_one_that_was_backed_up(
    host: Host, vm: str, contents: Contents, new_name: str | None
) -> None:
    description = _describe(host, vm)
    target = _target(host, vm, description, new_name)
    assert (target.free_bytes() or MIB) > 0
    _write(target, description, contents)
    ref = target.finalise()
    assert (ref == vm) == (new_name is None)
    assert _contents(host, ref) == contents
    restored = _describe(host, ref)
    assert restored.name == (new_name or "web")
    assert restored.disks == description.disks
    assert restored.settings == description.settings
    assert sorted(each.ref for each in host.inventory()) == sorted({vm, ref})


def test_restoring_beside_leaves_the_original_alone(host: Host, vm: str, contents: Contents) -> None:
    description = _describe(host, vm)
    target = _target(host, vm, description, "web2")
    others = {key: content[:99] * 3 + bytes(len(content) - 297) for key, content in contents.items()}
    _write(target, description, others)
    assert _contents(host, target.finalise()) == others
    assert _contents(host, vm) == contents
    assert _describe(host, vm) == description


def test_vm_that_is_gone_is_made_anew(lab: Lab, host: Host, vm: str, contents: Contents) -> None:
    description = _describe(host, vm)
    lab.remove_vm(vm)
    target = _target(host, vm, description, None)
    _write(target, description, contents)
    assert _contents(host, target.finalise()) == contents


@pytest.mark.parametrize("new_name", ["web2", None])
def test_nothing_is_seen_before_the_end_nor_after_a_discard(
    host: Host, vm: str, contents: Contents, new_name: str | None
) -> None:
    description = _describe(host, vm)
    before = host.inventory()
    target = _target(host, vm, description, new_name)
    _write(target, description, contents)
    assert host.inventory() == before
    target.discard()
    target.discard()
    assert host.inventory() == before
    assert _contents(host, vm) == contents
    assert target.reopen_disk(description.disks[0]) is None
    with pytest.raises(HostError):
        _target(host, vm, description, new_name).finalise()


def test_interrupted_restore_goes_on_in_another_process(
    lab: Lab, host: Host, vm: str, contents: Contents
) -> None:
    description = _describe(host, vm)
    disk = description.disks[0]
    content, half = contents[disk.key], disk.size // 2
    target = _target(host, vm, description, "web2")
    assert target.reopen_disk(disk) is None
    unfinished = nullcontext() if resumes(lab) else pytest.raises(HostError)
    with unfinished, target.create_disk(disk, _extents(content)) as writer:
        writer.write(0, content[:half])
        writer.flush()
    again = _target(host, vm, description, "web2")
    writer_again = again.reopen_disk(disk)
    assert (writer_again is not None) == resumes(lab)
    if writer_again is None:
        writer_again = again.create_disk(disk, _extents(content))
        writer_again.write(0, content[:half])
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
    assert _contents(host, again.finalise()) == contents


@pytest.mark.parametrize("new_name", ["web2", None])
def test_finalising_again_changes_nothing(
    host: Host, vm: str, contents: Contents, new_name: str | None
) -> None:
    description = _describe(host, vm)
    target = _target(host, vm, description, new_name)
    _write(target, description, contents)
    ref = target.finalise()
    again = _target(host, vm, description, new_name)
    assert (target.finalise(), again.finalise()) == (ref, ref)
    again.discard()
    assert _contents(host, ref) == contents


def test_two_restores_to_one_name_cannot_both_be(host: Host, vm: str, contents: Contents) -> None:
    description = _describe(host, vm)
    first, second = (_target(host, vm, description, "web2", attempt) for attempt in ("a1", "a2"))
    _write(first, description, contents)
    _write(second, description, contents)
    ref = first.finalise()
    with pytest.raises(TargetExists, match="web2"):
        second.finalise()
    second.discard()
    assert _contents(host, ref) == contents
    with pytest.raises(TargetExists, match="web2"):
        _target(host, vm, description, "web2", "a3")


def test_names_that_cannot_be_are_refused(host: Host, vm: str) -> None:
    description = _describe(host, vm)
    wrong = ("", " ", "a/b", "a\0b", "a\\b", "a\nb", " a", "x" * 300, "é" * 120, "\ud800")
    for new_name in wrong:
        with pytest.raises(InvalidInput):
            pytest.fail(f"{new_name!r}: {_target(host, vm, description, new_name)}")


@pytest.mark.parametrize("new_name", ["..", ".hidden"])
def test_name_with_a_dot_in_front_is_refused_or_kept(
    host: Host, vm: str, contents: Contents, new_name: str
) -> None:
    description = _describe(host, vm)
    try:
        target = _target(host, vm, description, new_name)
    except InvalidInput:
        return
    _write(target, description, contents)
    ref = target.finalise()
    assert {each.ref: each.name for each in host.inventory()} == {vm: "web", ref: new_name}
    assert _contents(host, ref) == contents


def test_vm_is_not_restored_without_all_of_its_disks(host: Host, vm: str, contents: Contents) -> None:
    description = _describe(host, vm)
    target = _target(host, vm, description, "web2")
    _write(target, replace(description, disks=description.disks[:1]), contents)
    with pytest.raises(HostError, match=description.disks[1].key):
        target.finalise()
    assert [each.ref for each in host.inventory()] == [vm]


def test_unknown_kind_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(InvalidInput, match=r"'nutanix'.*image-folder"):
        open_host("nutanix", "somewhere")


def test_what_a_restore_made_is_removed_and_nothing_else(
    lab: Lab, host: Host, vm: str, contents: Contents
) -> None:
    description, before = _describe(host, vm), _contents(host, vm)
    target = _target(host, vm, description, "drill")
    _write(target, description, contents)
    ref = target.finalise()
    with pytest.raises(Conflict):
        host.remove_restored(vm, "a1")
    with pytest.raises(Conflict):
        host.remove_restored(ref, "a2")
    images = host.local_images(ref)
    assert images is None or [image.path.exists() for image in images] == [True, True]
    host.remove_restored(ref, "a1")
    host.remove_restored(ref, "a1")
    with pytest.raises(Conflict):
        host.remove_restored(vm, "a1")
    assert [each.ref for each in host.inventory()] == [vm]
    assert _contents(host, vm) == before
    assert images is None or not any(image.path.exists() for image in images)
    assert not lab.leftovers()


def test_what_a_restore_left_without_a_final_name_is_removed(
    lab: Lab, host: Host, vm: str, contents: Contents
) -> None:
    description = _describe(host, vm)
    _write(_target(host, vm, description, "drill"), description, contents)
    host.remove_restored("drill", "a1")
    assert not lab.leftovers()
    again = _target(host, vm, description, "drill")
    assert [again.reopen_disk(disk) for disk in description.disks] == [None, None]
    assert _contents(host, vm) == contents
