"""What a restore notes in the metadata of the VM that it made: which restore it was, and which image is which disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lxml import etree

_NAMESPACE = "urn:restorium:libvirt"
_MADE = f"{{{_NAMESPACE}}}made"
_DISK = f"{{{_NAMESPACE}}}disk"
_STAGE = "stage"
_LEFT_OUT = f"{{{_NAMESPACE}}}left-out"


class Stage(StrEnum):
    """Where a VM that a restore made has got to.

    One that runs from its restore point is STARTING until its guest has begun, then MOVING; POWERED_OFF if the guest
    has ended by itself meanwhile, and QEMU is there for its disks alone.
    """

    STARTING = "starting"
    MOVING = "moving"
    POWERED_OFF = "powered-off"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Mark:
    """attempt: the restore. files: the image of each disk by the key that the restore point knows it by."""

    attempt: str
    files: Mapping[str, Path]
    stage: Stage = Stage.WHOLE


def put_mark(domain: etree._Element, mark: Mark, left_out: Sequence[str]) -> None:
    """In the place of an earlier restore's."""
    remove_mark(domain)
    metadata = domain.find("metadata")
    if metadata is None:
        metadata = etree.SubElement(domain, "metadata")
    noted = {"by": mark.attempt, _STAGE: mark.stage.value}
    made = etree.SubElement(metadata, _MADE, noted, nsmap={"restorium": _NAMESPACE})
    for key, file in mark.files.items():
        etree.SubElement(made, _DISK, {"key": key, "file": str(file)})
    for key in left_out:
        etree.SubElement(made, _LEFT_OUT, {"key": key})


def read_mark(domain: etree._Element) -> Mark | None:
    """None for a VM that no restore made."""
    made = domain.find(f"metadata/{_MADE}")
    if made is None:
        return None
    files = {disk.get("key", ""): Path(disk.get("file", "")) for disk in made.iterfind(_DISK)}
    stage = made.get(_STAGE)
    return Mark(made.get("by", ""), files, Stage(stage) if stage in set(Stage) else Stage.WHOLE)


def remove_mark(domain: etree._Element) -> None:
    metadata = domain.find("metadata")
    if metadata is not None:
        for made in metadata.findall(_MADE):
            metadata.remove(made)
        if not len(metadata):
            domain.remove(metadata)
