"""A real libvirtd of the tests' own, with VMs under TCG that run their BIOS and find nothing to boot.

Root starts it in namespaces of its own, where libvirt's folders are the lab's: so it is the system's libvirt, but for
its place and for KVM, which may be there and not work. QEMU runs as libvirt-qemu. Others get the session's libvirt. One
serves all labs of a process, one after the other.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cache
from pathlib import Path
from uuid import uuid4

from lxml import etree

from restorium.programs import leashed
from tests.support.disks import image_contents, qemu_img, write_image
from tests.support.labs import away
from tests.support.waiting import wait_until

_START = """
for pair in $PAIRS; do mkdir -p "${pair#*:}" && mount --bind "${pair%%:*}" "${pair#*:}"; done
for node in null zero full random urandom tty; do
    touch "$DEVICES/$node" && mount --bind "/dev/$node" "$DEVICES/$node"
done
mkdir "$DEVICES/pts" "$DEVICES/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$DEVICES/pts" && ln -s pts/ptmx "$DEVICES/ptmx"
mount --rbind "$DEVICES" /dev
libvirtd -f "$CONFIG" -p "$PID_FILE" &
wait
"""
_CONFIG = 'unix_sock_dir = "{sockets}"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n'
_QEMU_CONFIG = 'cgroup_controllers = []\nnamespaces = []\nsecurity_driver = "none"\nstdio_handler = "file"\n'
_PLACES = {
    "etc": "/etc/libvirt",
    "var": "/var/lib/libvirt",
    "run": "/run/libvirt",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
}
_WITH_ALL = ("--checkpoints-metadata", "--snapshots-metadata", "--managed-save", "--nvram")
_NIC = "<interface type='user'><mac address='52:54:00:12:34:56'/><model type='virtio'/></interface>"


class LibvirtLab:
    kind = "libvirt"
    disk_format = "qcow2"
    tracks = True
    powers = True
    login = None
    resumes = True
    plain_formats = ("raw", "qcow2")

    def __init__(self, folder: Path) -> None:
        self._daemon = _daemon()
        self.address = self._daemon.address
        self.folder = self._daemon.folder / "images"
        self.folder.mkdir()
        if not self._daemon.has_pool:
            self.virsh("pool-define-as", "default", "dir", "--target", str(self.folder))
            self._daemon.has_pool = True

    def add_vm(
        self,
        name: str,
        contents: Mapping[str, bytes],
        formats: Mapping[str, str] | None = None,
        nics: str = _NIC,
    ) -> str:
        disks = ""
        for key, content in contents.items():
            image_format = (formats or {}).get(key, "qcow2")
            image = self.folder / f"{name}-{key}.{image_format}"
            write_image(image, content, image_format)
            disks += disk(key, image_format, image)
        return self.define(name, disks + nics)

    def add_plain_vm(self, name: str, contents: Mapping[str, bytes]) -> str:
        return self.add_vm(name, contents, dict(zip(contents, self.plain_formats, strict=False)), nics="")

    def define(self, name: str, devices: str) -> str:
        ref = str(uuid4())
        xml = self.folder / "domain.xml"
        xml.write_text(
            f"<domain type='qemu'><name>{name}</name><uuid>{ref}</uuid><memory unit='MiB'>32</memory><vcpu>1</vcpu>"
            "<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features><devices>"
            f"{devices}</devices></domain>"
        )
        self.virsh("define", str(xml))
        xml.unlink()
        return ref

    def keys(self, count: int) -> list[str]:
        return [f"vd{'abcdefgh'[number]}" for number in range(count)]

    def remove_vm(self, ref: str) -> None:
        files = self.files(ref).values()
        if self.runs(ref):
            self.virsh("destroy", ref)
        self.virsh("undefine", ref, *_WITH_ALL)
        for file, _ in files:
            file.unlink()

    def start(self, ref: str) -> None:
        self.virsh("start", ref)

    def runs(self, ref: str) -> bool:
        return self.virsh("domstate", ref).strip() == "running"

    def write(self, ref: str, key: str, offset: int, data: bytes) -> None:
        written = self.folder / "written"
        written.write_bytes(data)
        written.chmod(0o644)
        command = f"write -s {written} {offset} {len(data)}"
        file, image_format = self.files(ref)[key]
        if self.runs(ref):
            said = self.virsh(
                "qemu-monitor-command", ref, "--hmp", f'qemu-io -d {self._device(ref, key)} "{command}"'
            )
            assert "wrote" in said or not said.strip(), said
        else:
            subprocess.run(
                ["qemu-io", "-f", image_format, "-c", command, file], check=True, capture_output=True
            )
        written.unlink()

    def contents(self, ref: str) -> dict[str, bytes]:
        return {
            key: image_contents(file, image_format) for key, (file, image_format) in self.files(ref).items()
        }

    def leftovers(self) -> Sequence[str]:
        left = [file.name for file in self.folder.iterdir() if file.name.startswith(".")]
        for ref in self.virsh("list", "--uuid").split():
            state = self.virsh("domstate", ref).strip()
            left += [] if state == "running" else [f"{ref} is {state}"]
            left += [f"{ref} has a job"] if self.has_job(ref) else []
        return left

    def kill(self, ref: str) -> None:
        """End the VM's QEMU without a word; libvirt has noticed when this returns."""
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                words = process.read_bytes().split(b"\0")
                if b"-uuid" in words and ref.encode() in words:
                    os.kill(int(process.parent.name), signal.SIGKILL)
        wait_until(lambda: not self.runs(ref))

    def has_job(self, ref: str) -> bool:
        return self._run("backup-dumpxml", ref).returncode == 0

    def forget_changes(self, ref: str) -> None:
        for file, image_format in self.files(ref).values():
            for name in bitmaps(file, image_format):
                qemu_img("bitmap", "--remove", "-f", image_format, file, name)

    def cut(self) -> AbstractContextManager[None]:
        return away(self._daemon.socket)

    def close(self) -> None:
        for ref in self.virsh("list", "--uuid").split():
            self.virsh("destroy", ref)
        for ref in self.virsh("list", "--all", "--uuid").split():
            self.virsh("undefine", ref, *_WITH_ALL)
        shutil.rmtree(self.folder)

    def files(self, ref: str) -> dict[str, tuple[Path, str]]:
        """Image and format of each disk."""
        found = {}
        for disk in etree.fromstring(self.virsh("dumpxml", ref).encode()).iterfind("devices/disk"):
            key, path, kind = (
                disk.find(tag).get(name)
                for tag, name in (("target", "dev"), ("source", "file"), ("driver", "type"))
            )
            found[key] = Path(path), kind
        return found

    def virsh(self, *arguments: str) -> str:
        done = self._run(*arguments)
        assert done.returncode == 0, f"{arguments} {done.stderr}"
        return done.stdout

    def works(self, *arguments: str, seconds: float = 60) -> bool:
        """Whether virsh did it in that time."""
        try:
            return self._run(*arguments, seconds=seconds).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def _run(self, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["virsh", "-q", "-c", self.address, *arguments],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )

    def _device(self, ref: str, key: str) -> str:
        domain = etree.fromstring(self.virsh("dumpxml", ref).encode())
        [disk] = domain.xpath(f"devices/disk[target/@dev='{key}']")
        return f"/machine/peripheral/{disk.find('alias').get('name')}/virtio-backend"


def disk(key: str, image_format: str, image: Path, order: int | None = None) -> str:
    """order: among those that the BIOS sees; where no disk has one, it sees the first alone."""
    boot = "" if order is None else f"<boot order='{order}'/>"
    return (
        f"<disk type='file' device='disk'><driver name='qemu' type='{image_format}'/>"
        f"<source file='{image}'/><target dev='{key}' bus='virtio'/>{boot}</disk>"
    )


def bitmaps(file: Path, image_format: str) -> list[str]:
    told = json.loads(qemu_img("info", "-U", "--output=json", "-f", image_format, file))
    return [each["name"] for each in told.get("format-specific", {}).get("data", {}).get("bitmaps", [])]


class _Daemon:
    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lv-"))
        self.folder.chmod(0o755)
        for name in (*_PLACES, "sockets", "devices"):
            (self.folder / name).mkdir()
        config = self.folder / "etc" / "libvirtd.conf"
        config.write_text(_CONFIG.format(sockets=self.folder / "sockets"))
        is_root = os.geteuid() == 0
        qemu_config = self.folder / "etc" / ("" if is_root else "libvirt") / "qemu.conf"
        qemu_config.parent.mkdir(exist_ok=True)
        qemu_config.write_text(_QEMU_CONFIG)
        self.socket = self.folder / "sockets" / "libvirt-sock"
        self.address = f"qemu+unix:///{'system' if is_root else 'session'}?socket={self.socket}"
        environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        environment |= {"CONFIG": str(config), "PID_FILE": str(self.folder / "pid")}
        environment["DEVICES"] = str(self.folder / "devices")
        environment["PAIRS"] = " ".join(f"{self.folder / name}:{place}" for name, place in _PLACES.items())
        command = [shutil.which("libvirtd", path=environment["PATH"]) or "libvirtd", "-f", str(config)]
        if is_root:
            namespaces = (
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "--propagation=private",
            )
            command = [shutil.which("unshare") or "unshare", *namespaces, "/bin/sh", "-c", _START]
        else:
            for variable, name in (
                ("XDG_CONFIG_HOME", "etc"),
                ("XDG_RUNTIME_DIR", "run"),
                ("XDG_CACHE_HOME", "cache"),
            ):
                environment[variable] = str(self.folder / name)
        self.has_pool = False
        self._log = (self.folder / "out").open("wb")
        self._process = subprocess.Popen(
            leashed(command), env=environment, stdout=self._log, stderr=self._log, start_new_session=True
        )
        wait_until(lambda: self.socket.exists() or self._process.poll() is not None, timeout=30)
        assert self._process.poll() is None, (self.folder / "out").read_text()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def _daemon() -> _Daemon:
    daemon = _Daemon()
    atexit.register(daemon.stop)
    return daemon
