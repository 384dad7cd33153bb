"""An image folder: raw disks, VMs that are off."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tests.support.disks import image_contents, write_image
from tests.support.labs import away


class ImageFolderLab:
    kind = "image-folder"
    disk_format = "raw"
    tracks = False
    powers = False
    login = None
    resumes = True
    plain_formats = ("raw", "qcow2")

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "images"
        self.folder.mkdir()
        self.address = str(self.folder)

    def add_vm(
        self, name: str, contents: Mapping[str, bytes], formats: Mapping[str, str] | None = None
    ) -> str:
        lines = [f'name = "{name}"', "memory_mib = 64", "cpus = 1", 'firmware = "bios"']
        lines += ["[[nic]]", 'mac = "52:54:00:12:34:56"', 'network = "default"']
        for key, content in contents.items():
            image_format = (formats or {}).get(key, self.disk_format)
            image = self.folder / f"{name}-{key}.{image_format}"
            write_image(image, content, image_format)
            lines += [
                "[[disk]]",
                f'key = "{key}"',
                f'file = "{image.name}"',
                f'format = "{image_format}"',
                'bus = "scsi"',
            ]
        (self.folder / f"{name}.vm.toml").write_text("\n".join(lines))
        return name

    def add_plain_vm(self, name: str, contents: Mapping[str, bytes]) -> str:
        return self.add_vm(name, contents, dict(zip(contents, self.plain_formats, strict=False)))

    def keys(self, count: int) -> list[str]:
        return [f"disk{number}" for number in range(count)]

    def remove_vm(self, ref: str) -> None:
        described = tomllib.loads((self.folder / f"{ref}.vm.toml").read_text())
        for disk in described["disk"]:
            (self.folder / disk["file"]).unlink()
        (self.folder / f"{ref}.vm.toml").unlink()

    def start(self, ref: str) -> None:
        raise NotImplementedError

    def runs(self, ref: str) -> bool:
        return False

    def write(self, ref: str, key: str, offset: int, data: bytes) -> None:
        with (self.folder / f"{ref}-{key}.raw").open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def contents(self, ref: str) -> dict[str, bytes]:
        described = tomllib.loads((self.folder / f"{ref}.vm.toml").read_text())
        return {
            disk["key"]: image_contents(self.folder / disk["file"], disk["format"])
            for disk in described["disk"]
        }

    def leftovers(self) -> Sequence[str]:
        return [file.name for file in self.folder.iterdir() if file.name.startswith(".")]

    def forget_changes(self, ref: str) -> None:
        raise NotImplementedError

    def cut(self) -> AbstractContextManager[None]:
        return away(self.folder)

    def close(self) -> None:
        """Nothing runs."""
