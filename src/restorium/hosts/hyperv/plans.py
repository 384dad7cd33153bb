"""How an original was before its disks are exchanged: noted before the first change, to go back after a crash."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from restorium.hosts.hyperv.building import Place
from restorium.hosts.hyperv.files import Volumes
from restorium.vocabulary.errors import DiskMissing, HostError

_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Original:
    """A VM. settings: as ``read_settings`` gives them. disks: of each its bus, number, location and path."""

    ref: str
    state: int
    settings: Mapping[str, Any]
    disks: Sequence[Sequence[Any]]

    @property
    def drives(self) -> list[tuple[Place, str]]:
        return [(Place(bus, number, location), path) for bus, number, location, path in self.disks]

    def write(self, volumes: Volumes, path: str) -> None:
        file = volumes.new(path)
        try:
            file.write(0, json.dumps(asdict(self)).encode())
            file.flush()
        finally:
            file.close()

    @classmethod
    def read(cls, volumes: Volumes, path: str) -> Original | None:
        """None if none was written to its end, and so nothing was changed. Raises HostError."""
        try:
            file = volumes.open(path)
        except DiskMissing:
            return None
        try:
            content = file.read(0, min(file.length, _LARGEST))
        finally:
            file.close()
        try:
            return cls(**json.loads(content))
        except TypeError as error:
            raise HostError(f"{path} is not the plan of a restore", hint="Remove it.") from error
        except ValueError:
            return None
