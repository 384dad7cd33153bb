"""Image files that belong to no host, taken for the disks of a VM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from restorium.disks import detect_format, open_disk
from restorium.hosts.image_folder.locks import HeldStill
from restorium.hosts.interface import DiskInfo, OpenVm, VmDescription


@contextmanager
def open_images(name: str, files: Sequence[Path]) -> Iterator[OpenVm]:
    """A VM of that name whose disks, ``disk0`` and so on, are these files, in any format that is read.

    QEMU is kept from writing to them until the block is left. Raises DiskMissing, DiskDamaged, Unsupported, HostError.
    """
    with ExitStack() as stack:
        readers, infos = [], []
        for number, file in enumerate(files):
            image_format = detect_format(file)
            stack.callback(HeldStill(file).close)
            reader = stack.enter_context(open_disk(file, image_format))
            readers.append(reader)
            infos.append(DiskInfo(f"disk{number}", reader.size, image_format))
        yield OpenVm(VmDescription(name, tuple(infos)), readers)
