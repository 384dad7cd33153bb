"""What is particular to an image folder: descriptions, links, QEMU's locks, and which file a disk becomes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from restorium.disks.interface import Extent
from restorium.hosts import open_host
from restorium.hosts.interface import Host, RestoreTarget, VmDescription
from restorium.vocabulary.errors import DiskDamaged, DiskMissing, HostError, TargetExists
from tests.support.disks import MIB, needs_qemu, qemu_img, read_all, write_image

CONTENT = b"d" * MIB


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return open_host("image-folder", str(tmp_path))


def _describe(folder: Path, ref: str, *disks: str, name: str | None = None) -> None:
    tables = "".join(f"\n[[disk]]\n{disk}\n" for disk in disks)
    (folder / f"{ref}.vm.toml").write_text(f'name = "{name or ref}"\n{tables}')


def _add(folder: Path, ref: str, image_format: str = "raw") -> Path:
    path = folder / f"{ref}.{image_format}"
    if image_format in ("raw", "qcow2"):
        write_image(path, CONTENT, image_format)
    else:
        write_image(folder / "plain", CONTENT, "raw")
        qemu_img("convert", "-f", "raw", "-O", image_format, folder / "plain", path)
        (folder / "plain").unlink()
    _describe(folder, ref, f'key = "disk0"\nfile = "{path.name}"\nformat = "{image_format}"')
    return path


def _backed_up(host: Host, ref: str) -> VmDescription:
    with host.open_vm(ref) as vm:
        return vm.description


def _restored(target: RestoreTarget, description: VmDescription, content: bytes = b"r" * MIB) -> str:
    for disk in description.disks:
        with target.create_disk(disk, [Extent(0, disk.size, hole=False)]) as writer:
            writer.write(0, content)
    return target.finalise()


def _restore(host: Host, description: VmDescription, new_name: str | None, original: str = "web") -> str:
    target = host.restore_target(description, attempt="a1", original_ref=original, new_name=new_name)
    return _restored(target, description)


def test_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    for address in (tmp_path / "nowhere", tmp_path / "file"):
        (tmp_path / "file").touch()
        host = open_host("image-folder", str(address))
        for ask in (host.check, host.inventory):
            with pytest.raises(HostError, match=str(address)):
                ask()
        with pytest.raises(HostError, match=str(address)):
            host.restore_target(VmDescription("web", ()), attempt="a1", original_ref="web", new_name=None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name = ", "not TOML"),
        (b"name = '\xff'", "not TOML"),
        ("a = " + "[" * 5000, "not TOML"),
        ("#" * (MIB + 1), "larger than"),
        ('name = "web"', "has no [[disk]]"),
        ('name = "web"\ndisk = 3', "has no [[disk]]"),
        ('name = "web"\ndisk = [3]', "no table for disk 1"),
        ('[[disk]]\nkey = "a"\nfile = "a"', "has no 'name'"),
        ('name = " "\n[[disk]]\nkey = "a"\nfile = "a"', "has no 'name'"),
        ('name = "web"\n[[disk]]\nfile = "a"', "no 'key' for disk 1"),
        ('name = "web"\n[[disk]]\nkey = "a"', "no 'file' for disk 1"),
        ('name = "web"\n' + '[[disk]]\nkey = "a"\nfile = "a"\n' * 2, "two disks of one key"),
        ('name = "web"\n[[disk]]\nkey = "a"\nfile = "a"\nformat = "vdi"', "'vdi'; known are raw"),
        ('name = "web"\n[[disk]]\nkey = "a"\nfile = "a"\nsize = "1G"', "no number of bytes"),
        ('name = "web"\n[[disk]]\nkey = "a"\nfile = "/etc/passwd"', "not inside its folder"),
        ('name = "web"\n[[disk]]\nkey = "a"\nfile = "../a"', "not inside its folder"),
        ('name = "web"\n[[disk]]\nkey = "a"\nfile = "b/../../a"', "not inside its folder"),
        ('name = "web"\n[[disk]]\nkey = "a"\nfile = "a\\u0000"', "not inside its folder"),
    ],
)
def test_description_that_cannot_be_used_is_listed_logged_and_explained(
    tmp_path: Path, host: Host, text: str | bytes, reason: str
) -> None:
    _add(tmp_path, "mail")
    (tmp_path / "web.vm.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with capture_logs() as logs:
        listed = host.inventory()
    assert [(vm.ref, len(vm.disks)) for vm in listed] == [("mail", 1), ("web", 0)]
    assert [entry["vm"] for entry in logs if reason in entry["reason"]] == ["web"]
    with pytest.raises(HostError) as caught, host.open_vm("web"):
        pass
    assert reason in caught.value.message
    assert "web.vm.toml" in caught.value.message


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(CONTENT)
    (folder / "web.raw").symlink_to(tmp_path / "secret")
    (folder / "loop").symlink_to("loop")
    (folder / "inside.raw").write_bytes(CONTENT)
    (folder / "link.raw").symlink_to("inside.raw")
    host = open_host("image-folder", str(folder))
    for file in ("web.raw", "loop"):
        _describe(folder, "web", f'key = "a"\nfile = "{file}"')
        with pytest.raises(HostError, match=file), host.open_vm("web"):
            pass
        assert host.inventory()[0].disks == ()
    _describe(folder, "web", 'key = "a"\nfile = "link.raw"')
    with host.open_vm("web") as vm:
        assert read_all(vm.readers[0]) == CONTENT


def test_missing_and_shortened_disks_are_reported_as_such(tmp_path: Path, host: Host) -> None:
    disk = _add(tmp_path, "web")
    _describe(tmp_path, "web", f'key = "disk0"\nfile = "web.raw"\nformat = "raw"\nsize = {MIB}')
    assert host.inventory()[0].disks[0].size == MIB
    os.truncate(disk, MIB - 1)
    with pytest.raises(DiskDamaged, match=rf"web\.raw holds a disk of {MIB - 1} bytes"), host.open_vm("web"):
        pass
    disk.unlink()
    with pytest.raises(DiskMissing, match=r"web\.raw"), host.open_vm("web"):
        pass
    with capture_logs() as logs:
        assert host.inventory()[0].disks == ()
    assert "web.raw" in logs[0]["reason"]


def test_format_is_found_where_it_is_not_declared(tmp_path: Path, host: Host) -> None:
    write_image(tmp_path / "disk.img", CONTENT, "qcow2")
    _describe(tmp_path, "web", 'key = "a"\nfile = "disk.img"')
    with host.open_vm("web") as vm:
        assert vm.description.disks[0].format == "qcow2"
        assert read_all(vm.readers[0]) == CONTENT


@needs_qemu
@pytest.mark.parametrize("image_format", ["raw", "qcow2"])
def test_qemu_cannot_write_to_a_vm_that_is_held_still(tmp_path: Path, host: Host, image_format: str) -> None:
    disk = _add(tmp_path, "web", image_format)
    write = ["qemu-io", "-f", image_format, "-c", "write 0 4k", str(disk)]
    with host.open_vm("web"), host.open_vm("web"):
        assert "lock" in subprocess.run(write, capture_output=True, text=True, check=False).stderr
    assert subprocess.run(write, capture_output=True, check=False).returncode == 0


@needs_qemu
def test_vm_that_runs_is_neither_backed_up_nor_replaced(tmp_path: Path, host: Host) -> None:
    disk = _add(tmp_path, "web")
    description = _backed_up(host, "web")
    early = host.restore_target(description, attempt="a0", original_ref="web", new_name=None)
    with subprocess.Popen(
        ["qemu-io", "-f", "raw", str(disk)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write("write 0 4k\n")
        running.stdin.flush()
        assert "wrote" in running.stdout.readline()
        with pytest.raises(HostError, match=r"web\.raw is in use"), host.open_vm("web"):
            pass
        with pytest.raises(HostError, match=r"web\.raw is in use"):
            host.restore_target(description, attempt="a1", original_ref="web", new_name=None)
        with pytest.raises(HostError, match=r"web\.raw is in use"):
            _restored(early, description)
        running.stdin.close()
    assert _restored(early, description) == "web"


def test_every_setting_comes_back(tmp_path: Path, host: Host) -> None:
    text = """name = "Web \\"1\\" \\u007f é"
born = 1979-05-27T07:32:00Z
day = 1979-05-27
at = 07:32:00
ratio = inf
memory = 4096
"odd key" = [1, "two", { three = 3.5, four = [] }]
toml = { toml = "true" }

[net]
mac = "52:54:00:00:00:01"
on = true
none = {}

[[disk]]
key = "disk0"
file = "web.raw"
bus = "virtio"
queues = { count = 4 }
"""
    write_image(tmp_path / "web.raw", CONTENT, "raw")
    (tmp_path / "web.vm.toml").write_text(text)
    before = _backed_up(host, "web")
    _restore(host, before, None)
    assert _backed_up(host, "web") == before
    restored = (tmp_path / "web.vm.toml").read_text()
    for line in ("born = 1979-05-27T07:32:00+00:00", "day = 1979-05-27", "at = 07:32:00", "ratio = inf"):
        assert line in restored.splitlines()


def test_restored_description_says_how_long_the_disk_must_be(tmp_path: Path, host: Host) -> None:
    _add(tmp_path, "web")
    _restore(host, _backed_up(host, "web"), "web2")
    os.truncate(tmp_path / "web2.raw", 512)
    with pytest.raises(DiskDamaged), host.open_vm("web2"):
        pass


@needs_qemu
@pytest.mark.parametrize("image_format", ["vmdk", "vhdx"])
def test_disk_is_restored_in_its_own_format(tmp_path: Path, host: Host, image_format: str) -> None:
    _add(tmp_path, "web", image_format)
    description = _backed_up(host, "web")
    _restore(host, description, "web2")
    _restore(host, description, None)
    assert {path.name for path in tmp_path.iterdir()} >= {f"web2.{image_format}", "web2.vm.toml"}
    for vm in ("web", "web2"):
        assert _backed_up(host, vm).disks[0].format == image_format


def test_restore_over_keeps_file_name_mode_and_place(tmp_path: Path, host: Host) -> None:
    (tmp_path / "disks").mkdir()
    disk = tmp_path / "disks" / "odd name.img"
    write_image(disk, CONTENT, "raw")
    disk.chmod(0o640)
    _describe(tmp_path, "web", 'key = "a"\nfile = "disks/odd name.img"\nformat = "raw"')
    _restore(host, _backed_up(host, "web"), None)
    assert disk.read_bytes() == b"r" * MIB
    assert disk.stat().st_mode & 0o777 == 0o640
    assert {path.name for path in tmp_path.rglob("*")} == {"disks", "odd name.img", "web.vm.toml"}


def test_file_that_two_vms_name_is_not_replaced(tmp_path: Path, host: Host) -> None:
    disk = _add(tmp_path, "web")
    _describe(tmp_path, "mail", 'key = "a"\nfile = "web.raw"\nformat = "raw"')
    _restore(host, _backed_up(host, "web"), None)
    assert disk.read_bytes() == CONTENT
    with host.open_vm("web") as vm:
        assert read_all(vm.readers[0]) == b"r" * MIB
    with host.open_vm("mail") as vm:
        assert read_all(vm.readers[0]) == CONTENT


def test_restore_over_a_description_that_cannot_be_read_deletes_no_disk(tmp_path: Path, host: Host) -> None:
    disk = _add(tmp_path, "web")
    description = _backed_up(host, "web")
    (tmp_path / "web.vm.toml").write_text("name = ")
    _restore(host, description, None)
    assert disk.read_bytes() == CONTENT
    with host.open_vm("web") as vm:
        assert read_all(vm.readers[0]) == b"r" * MIB


def test_original_whose_disk_is_lost_is_restored_under_the_same_name(tmp_path: Path, host: Host) -> None:
    disk = _add(tmp_path, "web")
    description = _backed_up(host, "web")
    disk.unlink()
    _restore(host, description, None)
    assert disk.read_bytes() == b"r" * MIB


def test_disk_of_another_origin_is_never_overwritten(tmp_path: Path, host: Host) -> None:
    _add(tmp_path, "web")
    (tmp_path / "web2.raw").write_bytes(b"another's")
    with pytest.raises(TargetExists, match=r"web2\.raw"):
        _restore(host, _backed_up(host, "web"), "web2")
    (tmp_path / "web3.vm.toml").symlink_to("nowhere")
    with pytest.raises(TargetExists, match=r"web3\.vm\.toml"):
        _restore(host, _backed_up(host, "web"), "web3")
    assert (tmp_path / "web2.raw").read_bytes() == b"another's"


def test_disks_with_keys_that_make_no_file_names_get_names_all_the_same(tmp_path: Path, host: Host) -> None:
    write_image(tmp_path / "a.img", CONTENT, "raw")
    keys = ["../x", "..?x", "x" * 300]
    _describe(tmp_path, "web", *[f'key = "{key}"\nfile = "a.img"\nformat = "raw"' for key in keys])
    assert _restore(host, _backed_up(host, "web"), "web2") == "web2"
    with host.open_vm("web2") as vm:
        assert [disk.key for disk in vm.description.disks] == keys
    assert len([path for path in tmp_path.iterdir() if path.name.endswith(".raw")]) == 3


def test_restores_do_not_touch_each_others_hidden_files(tmp_path: Path, host: Host) -> None:
    _add(tmp_path, "web")
    description = _backed_up(host, "web")
    short, longer = (
        host.restore_target(description, attempt=attempt, original_ref="web", new_name=f"web-{attempt}")
        for attempt in ("a", "a-1")
    )
    disk = description.disks[0]
    longer.create_disk(disk, [Extent(0, disk.size, hole=False)]).close()
    short.discard()
    assert longer.reopen_disk(disk) is not None


@pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="mkfs.ext4 is not installed")
def test_file_system_of_a_vm_survives_a_restore(tmp_path: Path, host: Host) -> None:
    disk = tmp_path / "web.raw"
    subprocess.run(["mkfs.ext4", "-q", "-F", str(disk), "8M"], check=True)
    _describe(tmp_path, "web", 'key = "a"\nfile = "web.raw"\nformat = "raw"')
    with host.open_vm("web") as vm:
        content, extents = read_all(vm.readers[0]), list(vm.readers[0].extents())
        target = host.restore_target(vm.description, attempt="a1", original_ref="web", new_name="web2")
        with target.create_disk(vm.description.disks[0], extents) as writer:
            for extent in extents:
                if not extent.hole:
                    writer.write(extent.offset, content[extent.offset : extent.end])
    target.finalise()
    subprocess.run(["e2fsck", "-fn", str(tmp_path / "web2.raw")], check=True, capture_output=True)
    assert (tmp_path / "web2.raw").stat().st_blocks < 8 * MIB // 512
