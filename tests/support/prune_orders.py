"""A vault on an object storage in memory, and all who work on it at once, operation by operation in a seeded order."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from restorium.disks.interface import Extent
from restorium.vault import PointDescription, PrunePolicy, PruneReport, Storage, Vault
from restorium.vocabulary.errors import ChunkMissing, NotFound, StorageUnavailable
from tests.support.stores import Objects, Store, Turns
from tests.support.vaults import CHUNK, CREATED, KEY, MemoryDisk, restored

POLICY = PrunePolicy(grace=timedelta(hours=6), youngest=timedelta(hours=24))
CASTS = {
    "backup and prunes": ["backup", "prunes"],
    "backup, prunes and prune": ["backup", "prunes", "prune"],
    "backup and prune": ["backup", "prune"],
    "two backups and prune": ["backup", "backup", "prune"],
    "backup and two prunes": ["backup", "prune", "prune"],
    "restore and prune": ["restore", "prune", "prune"],
    "verify and prune": ["verify", "prune"],
    "deletion, backup and prune": ["delete", "backup", "prune"],
    "everything": ["delete", "backup", "restore", "prune", "prune", "verify"],
}


def content_of(blocks: list[int]) -> bytes:
    return b"".join((block + 1).to_bytes(8, "little") * (CHUNK // 8) for block in blocks)


class World:
    """One vault on an object storage, and whoever works on it. ``lag``: of the storage's lists."""

    def __init__(self, folder: Path, seed: int, lag: timedelta) -> None:
        self.folder = folder
        self.seed = seed
        self.chance = random.Random(seed)
        self.objects = Objects(lag)
        self.committed: set[str] = set()
        self.deleted: set[str] = set()
        self.steps = 0
        self.first = Vault.create(
            self.storage("first"), KEY, cache=folder / "first", random_bytes=self.random("first")
        )

    def random(self, name: str) -> Callable[[int], bytes]:
        return random.Random(f"{self.seed} {name}").randbytes

    def storage(self, name: str, before: Callable[[str], None] = lambda operation: None) -> Storage:
        return Storage(
            Store(self.objects, before),
            "memory",
            sleep=lambda seconds: None,
            random_bytes=self.random(f"{name} parts"),
        )

    def open(self, name: str, before: Callable[[str], None]) -> Vault:
        """Some share a local index with what went before."""
        cache = "first" if self.random(f"{name} cache")(1)[0] % 2 else name
        return Vault.open(
            self.storage(name, before), KEY, cache=self.folder / cache, random_bytes=self.random(name)
        )

    def pass_time(self, hours: float) -> None:
        self.objects.now += timedelta(hours=hours)

    def blocks(self, chance: random.Random) -> list[int]:
        return [chance.randrange(12) for _ in range(chance.randrange(1, 8))]

    def backup(self, vault: Vault, chance: random.Random) -> None:
        """Sometimes as an increment that reads nothing but one chunk."""
        blocks, parent, changed = self.blocks(chance), None, None
        names = vault.points()
        if names and chance.random() < 0.5:
            try:
                point = vault.point(chance.choice(names))
                parent, blocks = point.disks[0], list(point.description.vm["blocks"])
                vault.extents(parent)
                at = chance.randrange(len(blocks))
                blocks[at] = chance.randrange(12)
                changed = [Extent(at * CHUNK, CHUNK, hole=False)]
            except (NotFound, ChunkMissing):
                parent = changed = None
        with vault.backup(threads=1) as writer:
            disk = MemoryDisk(content_of(blocks))
            record = writer.write_disk(
                "disk", disk, parent, lambda count: None, lambda: False, changed=changed
            )
            self.committed.add(writer.commit(PointDescription({"blocks": blocks}, CREATED, (record,))))

    def restore(self, vault: Vault, chance: random.Random) -> None:
        names = sorted(set(vault.points()) - self.deleted)
        if names:
            self.check_point(vault, chance.choice(names))

    def verify(self, vault: Vault, chance: random.Random) -> None:
        report = vault.verify(threads=1)
        gone = {f"points/{name}" for name in self.deleted}
        assert [each for each in report.findings if each.subject not in gone] == []

    def delete(self, vault: Vault, chance: random.Random) -> None:
        names = sorted(self.committed - self.deleted)
        if names:
            name = chance.choice(names)
            self.deleted.add(name)
            vault.delete_point(name)

    def prune(self, vault: Vault, chance: random.Random) -> PruneReport:
        return vault.prune(POLICY)

    def prunes(self, vault: Vault, chance: random.Random) -> None:
        """One that dooms, and one that removes what that doomed."""
        vault.prune(POLICY)
        self.pass_time(7)
        vault.prune(POLICY)

    def prelude(self) -> None:
        """Some points, some deleted again, some prunes, and time passing; at the end some packs may be doomed."""
        for _ in range(self.chance.randrange(3, 9)):
            act = self.chance.choice([self.backup, self.backup, self.delete, self.prune])
            act(self.first, self.chance)
            self.pass_time(self.chance.choice([1, 7, 30]))
        self.delete(self.first, self.chance)
        self.pass_time(30)

    def check_point(self, vault: Vault, name: str) -> None:
        try:
            point = vault.point(name)
            (disk,) = point.disks
            assert restored(vault, disk) == content_of(point.description.vm["blocks"]), name
        except (NotFound, ChunkMissing):
            if name not in self.deleted:
                raise

    def check(self, round_: str) -> None:
        self.pass_time(self.objects.lag / timedelta(hours=1))
        vault = self.open(f"check {round_}", lambda operation: None)
        names = set(vault.points())
        assert names >= self.committed - self.deleted
        for name in names - self.deleted:
            self.check_point(vault, name)
        vault.close()


def play(folder: Path, seed: int, cast: list[str], lag: timedelta, pause: int | None = None) -> World:
    """One order of the cast's operations; then two more prunes, after which all must still be there."""
    world = World(folder, seed, lag)
    world.prelude()
    turns = Turns(seed, pause)
    for number, role in enumerate(cast):
        name = f"{role} {number}"

        def work(before: Callable[[str], None], role: str = role, name: str = name) -> None:
            chance = random.Random(f"{seed} {name}")
            with world.open(name, before) as vault:
                getattr(world, role)(vault, chance)

        turns.actor(name, work)
    pace = random.Random(seed).choice([0.0, 0.02, 0.3])

    def between(chance: random.Random) -> None:
        if chance.random() < pace:
            world.pass_time(chance.choice([0.1, 3, 7]))

    failures = turns.run(between)
    world.steps = turns.steps
    for name, failure in failures.items():
        # A backup may have to be run again; nothing else may fail.
        late = (
            name.startswith("backup") and isinstance(failure, StorageUnavailable) and "prune" in str(failure)
        )
        if not late:
            raise AssertionError(f"seed {seed}: {name}") from failure
    world.check("after")
    for number in range(2):
        world.pass_time(31)
        world.prune(world.first, world.chance)
        world.check(f"prune {number}")
    world.first.close()
    return world


def removed(world: World) -> int:
    """How many packs were removed, not merely marked."""
    return len({path for path in world.objects._deleted if path.startswith("packs/")})
