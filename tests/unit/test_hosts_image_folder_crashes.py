"""A restore into an image folder that is cut at each step of its end: it can go on, and it can go back."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from restorium.disks.interface import Extent
from restorium.hosts import open_host
from restorium.hosts.interface import DiskInfo, Host, RestoreTarget, VmDescription
from restorium.vocabulary.errors import HostError, TargetExists

OLD = {"a": b"old a" + bytes(507), "b": b"old b" + bytes(507), "c": b"old c" + bytes(507)}
NEW = {"a": b"new a" + bytes(507), "b": b"new b" + bytes(507), "d": b"new d" + bytes(507)}
RESTORED = VmDescription("web", tuple(DiskInfo(key, 512, "raw") for key in NEW))
STEPS = ("link", "replace", "unlink", "fsync")

Folder = dict[str, bytes]


class PowerCut(BaseException):
    """Nothing may catch it."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = 'name = "web"\n'
    for key, content in OLD.items():
        (tmp_path / f"{key}.img").write_bytes(content)
        text += f'[[disk]]\nkey = "{key}"\nfile = "{key}.img"\nformat = "raw"\n'
    (tmp_path / "web.vm.toml").write_text(text)
    (tmp_path / "notes.txt").write_bytes(b"not ours")
    return tmp_path


def _state(folder: Path) -> Folder:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _target(folder: Path, new_name: str | None) -> RestoreTarget:
    host: Host = open_host("image-folder", str(folder))
    return host.restore_target(RESTORED, attempt="a1", original_ref="web", new_name=new_name)


def _write(target: RestoreTarget) -> RestoreTarget:
    for disk in RESTORED.disks:
        with target.create_disk(disk, [Extent(0, 512, hole=False)]) as writer:
            writer.write(0, NEW[disk.key])
    return target


def _cut_after(steps: int, work: Callable[[], object]) -> bool:
    """Do the work until so many steps on the file system are done; whether it was cut."""
    done = 0

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **options: object) -> object:
            nonlocal done
            if done == steps:
                raise PowerCut
            done += 1
            return real(*arguments, **options)

        return step

    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, counted(getattr(os, name)))
        try:
            work()
        except PowerCut:
            return True
    return False


def _disks(folder: Path, ref: str) -> Folder:
    with open_host("image-folder", str(folder)).open_vm(ref) as vm:
        found = {}
        for disk, reader in zip(vm.description.disks, vm.readers, strict=True):
            content = bytearray(reader.size)
            reader.read_into(0, memoryview(content))
            found[disk.key] = bytes(content)
    return found


def _expected(folder: Path, new_name: str | None) -> Folder:
    """What an undisturbed restore leaves."""
    _write(_target(folder, new_name)).finalise()
    return _state(folder)


def _reset(folder: Path, state: Folder) -> None:
    for path in folder.iterdir():
        path.unlink()
    for name, content in state.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("new_name", ["web2", None])
def test_finalise_cut_anywhere_and_repeated_ends_as_if_never_cut(folder: Path, new_name: str | None) -> None:
    original = _state(folder)
    expected = _expected(folder, new_name)
    assert _disks(folder, new_name or "web") == NEW
    for steps in range(200):
        _reset(folder, original)
        target = _write(_target(folder, new_name))
        if not _cut_after(steps, target.finalise):
            break
        assert _target(folder, new_name).finalise() == (new_name or "web")
        assert _state(folder) == expected
    assert steps > 10


@pytest.mark.parametrize("new_name", ["web2", None])
def test_finalise_cut_again_and_again_still_comes_to_its_end(folder: Path, new_name: str | None) -> None:
    original = _state(folder)
    expected = _expected(folder, new_name)
    _reset(folder, original)
    _write(_target(folder, new_name))
    cuts = 0
    while _cut_after(4 + cuts % 5, lambda: _target(folder, new_name).finalise()):
        cuts += 1
        assert cuts < 100
    assert cuts > 1
    assert _state(folder) == expected


@pytest.mark.parametrize("new_name", ["web2", None])
def test_restore_cut_while_it_finalises_can_be_discarded(folder: Path, new_name: str | None) -> None:
    """All or nothing: the folder is as it was, or as a whole restore leaves it, and discard may be cut too."""
    original = _state(folder)
    expected = _expected(folder, new_name)
    seen = []
    for steps in range(200):
        _reset(folder, original)
        target = _write(_target(folder, new_name))
        if not _cut_after(steps, target.finalise):
            break
        _cut_after(steps % 7, lambda: _target(folder, new_name).discard())
        _target(folder, new_name).discard()
        seen.append(_state(folder))
        assert seen[-1] in (original, expected)
    assert original in seen
    assert expected in seen


def test_at_every_moment_the_original_name_holds_a_whole_disk(folder: Path) -> None:
    original = _state(folder)
    for steps in range(200):
        _reset(folder, original)
        target = _write(_target(folder, None))
        cut = _cut_after(steps, target.finalise)
        for key in ("a", "b"):
            assert (folder / f"{key}.img").read_bytes() in (OLD[key], NEW[key])
        assert (folder / "web.vm.toml").read_bytes()
        if not cut:
            break


@pytest.mark.parametrize("new_name", ["web2", None])
def test_disks_can_be_verified_or_written_anew_after_a_cut(folder: Path, new_name: str | None) -> None:
    original = _state(folder)
    expected = _expected(folder, new_name)
    for steps in range(200):
        _reset(folder, original)
        target = _write(_target(folder, new_name))
        if not _cut_after(steps, target.finalise):
            break
        again = _target(folder, new_name)
        for disk in RESTORED.disks:
            writer = again.reopen_disk(disk)
            assert writer is not None
            writer.close()
            with again.read_disk(disk) as reader:
                content = bytearray(512)
                reader.read_into(0, memoryview(content))
            assert content == NEW[disk.key]
        _write(again).finalise()
        assert _state(folder) == expected


def test_name_that_is_taken_in_the_last_moment_is_left_alone(folder: Path) -> None:
    target = _write(_target(folder, "web2"))
    before = _state(folder)
    for name in ("web2.vm.toml", "web2-b.raw"):
        (folder / name).write_bytes(b"another's")
        with pytest.raises(TargetExists, match=name):
            target.finalise()
        assert _state(folder) == before | {name: b"another's"}
        (folder / name).unlink()
    assert target.finalise() == "web2"


def test_name_that_is_taken_between_two_moves_is_left_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = _write(_target(folder, "web2"))
    real = os.link

    def link(source: Path, place: Path, **options: bool) -> None:
        if place.name == "web2.vm.toml":
            place.write_bytes(b"another's")
        real(source, place, **options)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(TargetExists, match=r"web2\.vm\.toml"):
        target.finalise()
    assert {path.name for path in folder.glob("web2*")} == {"web2.vm.toml"}
    target.discard()
    assert not list(folder.glob(".*"))
    assert _disks(folder, "web") == OLD


@pytest.mark.parametrize("new_name", ["web2", None])
def test_every_disk_is_on_storage_for_good_before_the_first_takes_its_name(
    folder: Path, new_name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = _write(_target(folder, new_name))
    real_fsync, real_link = os.fsync, os.link
    flushed: set[str] = set()
    at_first_link: list[set[str]] = []

    def fsync(file: int) -> None:
        flushed.add(Path(f"/proc/self/fd/{file}").readlink().name)
        real_fsync(file)

    def link(*arguments: str, **options: bool) -> None:
        at_first_link.append(set(flushed))
        real_link(*arguments, **options)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", link)
    target.finalise()
    assert {f".restorium-a1.{number}.raw" for number in range(3)} <= at_first_link[0]


def test_folder_without_hard_links_is_refused_before_anything_is_copied(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    target = _target(folder, "web2")
    monkeypatch.setattr(os, "link", link)
    with pytest.raises(HostError, match="hard links"):
        target.probe()


def test_plan_that_leads_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder / ".restorium-a1.plan").write_text(
        '{"moves": [{"temporary": "x", "final": "../y", "old": null}], "removes": [], '
        '"description": "", "replaces": false}'
    )
    target = _target(folder, "web2")
    for step in (target.finalise, target.discard):
        with pytest.raises(HostError, match="leads out"):
            step()
