"""VMs of plain QEMU: qcow2 disks, real machines under TCG that run their BIOS and find nothing to boot."""

from __future__ import annotations

import os
import signal
import subprocess
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from restorium.hosts.qemu.qmp import NotRunning, Qmp
from tests.support.disks import image_contents
from tests.support.labs import away
from tests.support.waiting import wait_until


class QemuLab:
    kind = "qemu"
    disk_format = "qcow2"
    tracks = True
    powers = True
    login = None
    resumes = True
    plain_formats = ("raw", "qcow2")

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "machines"
        self.folder.mkdir()
        self.address = str(self.folder)

    def add_vm(
        self, name: str, contents: Mapping[str, bytes], formats: Mapping[str, str] | None = None
    ) -> str:
        lines = [f'name = "{name}"', "memory_mib = 32", "cpus = 1", 'firmware = "bios"']
        lines += ["[[nic]]", 'mac = "52:54:00:12:34:56"', 'network = "user"']
        for key, content in contents.items():
            image_format = (formats or {}).get(key, self.disk_format)
            image = self.folder / f"{name}-{key}.{image_format}"
            plain = self.folder / "plain"
            plain.write_bytes(content)
            _run("qemu-img", "convert", "-f", "raw", "-O", image_format, plain, image)
            plain.unlink()
            lines += [
                "[[disk]]",
                f'key = "{key}"',
                f'file = "{image.name}"',
                f'format = "{image_format}"',
                'bus = "virtio"',
            ]
        (self.folder / f"{name}.vm.toml").write_text("\n".join(lines))
        return name

    def add_plain_vm(self, name: str, contents: Mapping[str, bytes]) -> str:
        return self.add_vm(name, contents, dict(zip(contents, self.plain_formats, strict=False)))

    def keys(self, count: int) -> list[str]:
        return [f"disk{number}" for number in range(count)]

    def remove_vm(self, ref: str) -> None:
        files = self._files(ref).values()
        (self.folder / f"{ref}.vm.toml").unlink()
        for file in files:
            file.unlink()

    def start(self, ref: str, *options: str) -> None:
        command: list[str | Path] = [
            "qemu-system-x86_64",
            "-machine",
            "pc,accel=tcg",
            "-m",
            "32",
            "-nodefaults",
        ]
        command += ["-display", "none", "-daemonize", "-pidfile", f"{ref}.pid"]
        command += ["-qmp", f"unix:{ref}.qmp,server=on,wait=off", *options]
        for file in self._files(ref).values():
            command += ["-drive", f"if=virtio,format={file.suffix[1:]},file={file}"]
        _run(*command, folder=self.folder)

    def runs(self, ref: str) -> bool:
        try:
            with self.qmp(ref) as qmp:
                return bool(qmp.execute("query-status")["running"])
        except NotRunning:
            return False

    def write(self, ref: str, key: str, offset: int, data: bytes) -> None:
        patterned = self.folder.parent / "written"
        patterned.write_bytes(data)
        command = f"write -s {patterned} {offset} {len(data)}"
        if not self.runs(ref):
            _run("qemu-io", "-f", self._files(ref)[key].suffix[1:], "-c", command, self._files(ref)[key])
            return
        with self.qmp(ref) as qmp:
            device = self.device(qmp, self._files(ref)[key])
            for each in (command, "flush"):
                line = f'qemu-io {device} "{each}"'
                said = qmp.execute("human-monitor-command", {"command-line": line})
                assert not said, said

    def contents(self, ref: str) -> dict[str, bytes]:
        return {key: image_contents(file, file.suffix[1:]) for key, file in self._files(ref).items()}

    def leftovers(self) -> Sequence[str]:
        left = [file.name for file in self.folder.iterdir() if file.name.startswith(".")]
        for ref in self._refs():
            with suppress(NotRunning), self.qmp(ref) as qmp:
                status = qmp.execute("query-status")["status"]
                left += [] if status == "running" else [f"{ref} is {status}"]
                left += [job["id"] for job in qmp.execute("query-jobs")]
                left += [export["id"] for export in qmp.execute("query-block-exports")]
                for node in qmp.execute("query-named-block-nodes"):
                    left += [node["node-name"]] if node["node-name"].startswith("restorium-") else []
                    left += [
                        bitmap.get("name", "a bitmap without a name")
                        for bitmap in node.get("dirty-bitmaps", [])
                        if bitmap["busy"] or not bitmap["persistent"]
                    ]
        return left

    def forget_changes(self, ref: str) -> None:
        for file, name in self.bitmaps(ref):
            _run("qemu-img", "bitmap", "--remove", "-f", "qcow2", file, name)

    def bitmaps(self, ref: str) -> list[tuple[Path, str]]:
        """Of a VM that is off: each image with the name of one of its bitmaps."""
        found = []
        for file in self._files(ref).values():
            told = _run("qemu-img", "info", "-f", "qcow2", file)
            names = [line.split()[-1] for line in told.splitlines() if line.strip().startswith("name: ")]
            found += [(file, name) for name in names]
        return found

    def cut(self) -> AbstractContextManager[None]:
        return away(self.folder)

    def qmp(self, ref: str) -> Qmp:
        return Qmp.connect(self.folder / f"{ref}.qmp", ref)

    def stop(self, ref: str) -> None:
        with self.qmp(ref) as qmp:
            qmp.execute("quit")
            qmp.wait_closed(10)

    def files(self, ref: str) -> list[Path]:
        return list(self._files(ref).values())

    def file(self, ref: str, key: str) -> Path:
        return self._files(ref)[key]

    def kill(self, ref: str) -> None:
        """QEMU, as a crash of it would."""
        pid = int((self.folder / f"{ref}.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.runs(ref))

    def close(self) -> None:
        for ref in self._refs():
            with suppress(NotRunning):
                self.stop(ref)

    def _refs(self) -> list[str]:
        return [path.name.removesuffix(".vm.toml") for path in self.folder.glob("*.vm.toml")]

    def _files(self, ref: str) -> dict[str, Path]:
        described = tomllib.loads((self.folder / f"{ref}.vm.toml").read_text())
        return {disk["key"]: self.folder / disk["file"] for disk in described["disk"]}

    def device(self, qmp: Qmp, file: Path) -> str:
        """What QEMU's monitor calls the drive, or the device where it has no drive."""
        devices: list[dict[str, Any]] = qmp.execute("query-block")
        [device] = [each for each in devices if Path(each["inserted"]["file"]).samefile(file)]
        return str(device["device"] or f"-d {device['qdev']}")


def _run(*command: str | Path, folder: Path | None = None) -> str:
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, f"{command} {ran.returncode} {ran.stdout} {ran.stderr}"
    return ran.stdout
