"""What dies at each of its steps on the storage: a backup, a prune, a change of keys; and what must hold then."""

from __future__ import annotations

import random
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from obstore.store import LocalStore

from restorium.vault import Key, PrunePolicy, Storage, Vault, packs
from restorium.vocabulary.errors import StorageUnavailable, WrongKey
from tests.support.vaults import CHUNK, KEY, MemoryDisk, back_up, new_vault, open_vault, restored

STEPS = ("put", "rename", "delete")
SECOND = Key.raw(b"another key, of more than 32 bytes")
_NOTHING_WAITS = PrunePolicy(grace=timedelta(), youngest=timedelta(), mark_age=timedelta())
_ENDLESS = 1_000_000


def _cut_off() -> NoReturn:
    raise OSError(5, "the machine is gone")


class Dying:
    """A folder whose ``last`` step is the end; of what is being written then, half arrives, or all.

    die: called at the end. If it comes back by an exception, every later step meets the same.
    """

    def __init__(
        self, folder: Path, last: int, *, half: bool, die: Callable[[], NoReturn] = _cut_off
    ) -> None:
        self.store = LocalStore(folder)
        self.left = last
        self.half = half
        self.steps = 0
        self._die = die

    def __getattr__(self, name: str) -> Callable[..., Any]:
        real = getattr(self.store, name)
        return real if name not in STEPS else lambda *args, **kwargs: self._step(name, real, *args, **kwargs)

    def _step(self, name: str, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.steps += 1
        if self.left <= 0:
            self._die()
        self.left -= 1
        if self.left == 0:
            if name == "put":
                real(args[0], bytes(args[1])[: len(args[1]) // (2 if self.half else 1)], **kwargs)
            elif name == "delete" or not self.half:
                real(*args, **kwargs)
            self._die()
        return real(*args, **kwargs)


def dying_vault(
    folder: Path, last: int, *, half: bool, die: Callable[[], NoReturn] = _cut_off
) -> tuple[Vault, Dying]:
    dying = Dying(folder / "vault", last, half=half, die=die)
    storage = Storage(dying, "dying", folder=folder / "vault", sleep=lambda seconds: None)
    return Vault.open(storage, KEY, cache=folder / "cache"), dying


@contextmanager
def small_packs(chunks: int) -> Iterator[None]:
    """Packs of so many chunks, so that little data takes many steps."""
    usual = packs.PACK_BYTES
    packs.PACK_BYTES = chunks * CHUNK
    try:
        yield
    finally:
        packs.PACK_BYTES = usual


class Course(ABC):
    """Something that may die at any of its steps. The seed decides about all content."""

    pack_chunks = 2
    least_steps = 4
    """So many steps are there at least."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @abstractmethod
    def prepare(self, folder: Path) -> None:
        """What is there before."""

    @abstractmethod
    def work(self, vault: Vault) -> None:
        """What dies. Any other object of the same seed may be asked to do it, in another process too."""

    @abstractmethod
    def check(self, folder: Path) -> None:
        """What must hold after."""

    def die(self, folder: Path, step: int, *, half: bool) -> None:
        """Work until the end at that step, and come back."""
        vault, _ = dying_vault(folder, step, half=half)
        with suppress(StorageUnavailable):  # what only tidies up may be left to the next time
            self.work(vault)
        vault.close()

    def at_each_step(self, folder: Path, *, half: bool, passed: Callable[[], None] = lambda: None) -> int:
        """Die at each step in turn, from the same start, and check; gives how many steps there were."""
        template, place = folder / "template", folder / "place"
        with small_packs(self.pack_chunks):
            template.mkdir()
            self.prepare(template)
            shutil.copytree(template, place)
            vault, whole = dying_vault(place, _ENDLESS, half=half)
            self.work(vault)
            vault.close()
            step = 0
            while step < whole.steps:
                step += 1
                shutil.rmtree(place)
                shutil.copytree(template, place)
                self.die(place, step, half=half)
                try:
                    self.check(place)
                except Exception as error:
                    raise AssertionError(f"step {step} of {whole.steps}, half={half}: {error!r}") from error
                passed()
        assert step >= self.least_steps, f"only {step} steps"
        return step


class BackupCourse(Course):
    """An increment beside an older point."""

    least_steps = 30

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        chance = random.Random(seed)
        self.old = chance.randbytes(10 * CHUNK)
        self.new = self.old[: 4 * CHUNK] + chance.randbytes(30 * CHUNK)

    def prepare(self, folder: Path) -> None:
        with new_vault(folder) as vault:
            back_up(vault, MemoryDisk(self.old))

    def work(self, vault: Vault) -> None:
        (first,) = vault.points()
        (parent,) = vault.point(first).disks
        back_up(vault, MemoryDisk(self.new), parent)

    def check(self, folder: Path) -> None:
        vault = open_vault(folder, cache="fresh")
        assert len(vault.points()) in (1, 2)
        contents = []
        for name in vault.points():
            (disk,) = vault.point(name).disks
            contents.append(restored(vault, disk))
        assert self.old in contents
        assert set(contents) <= {self.old, self.new}
        assert vault.verify().findings == ()
        before = vault.usage().stored_bytes
        _, again = back_up(vault, MemoryDisk(self.new))
        assert restored(vault, again) == self.new
        # What had arrived is not stored a second time.
        missing = len(self.new) - 4 * CHUNK - (before - len(self.old))
        assert vault.usage().stored_bytes - before <= missing + 20_000
        vault.close()


class PruneCourse(Course):
    """Of four points two were deleted. ``dooms``: the run that dooms packs; else the one that removes them."""

    pack_chunks = 3
    dooms = True

    def prepare(self, folder: Path) -> None:
        self.contents: dict[str, bytes] = {}
        chance = random.Random(self.seed)
        common = chance.randbytes(3 * CHUNK)
        shared = {at: chance.randbytes(CHUNK) for at in range(3, 27, 8)}
        vault = new_vault(folder)
        for _ in range(4):
            content = bytearray(common + chance.randbytes(24 * CHUNK))
            # They share some chunks, so that some packs are left nearly empty.
            for at, piece in shared.items():
                content[at * CHUNK : (at + 1) * CHUNK] = piece
            self.contents[back_up(vault, MemoryDisk(bytes(content)))[0]] = bytes(content)
        for name in list(self.contents)[::2]:
            vault.delete_point(name)
            del self.contents[name]
        if not self.dooms:
            vault.prune(_NOTHING_WAITS)
        vault.close()

    def work(self, vault: Vault) -> None:
        vault.prune(_NOTHING_WAITS)

    def check(self, folder: Path) -> None:
        with open_vault(folder, cache="fresh") as vault:
            assert set(vault.points()) == set(self.contents)
            assert vault.verify().findings == ()
        with open_vault(folder) as vault:
            for _ in range(2):
                vault.prune(_NOTHING_WAITS)
            assert vault.prune(_NOTHING_WAITS).waiting_packs == 0
            for name, content in self.contents.items():
                assert restored(vault, vault.point(name).disks[0]) == content


class RemovingPruneCourse(PruneCourse):
    """The run that removes what an earlier one doomed."""

    dooms = False


class KeyCourse(Course):
    """A rotation. The vault opens with the key from before or the one from after, and so it does by its copy."""

    def prepare(self, folder: Path) -> None:
        self.content = random.Random(self.seed).randbytes(4 * CHUNK)
        with new_vault(folder) as vault:
            _, self.disk = back_up(vault, MemoryDisk(self.content))

    def work(self, vault: Vault) -> None:
        Vault.keys(vault._storage, KEY).rotate(SECOND)

    def check(self, folder: Path) -> None:
        for spare in (False, True):
            if spare:
                (folder / "vault" / "config").unlink()
            opened = [key for key in (KEY, SECOND) if _opens(folder, key)]
            self.check_keys(opened)
            with open_vault(folder, key=opened[0]) as vault:
                assert restored(vault, self.disk) == self.content

    def check_keys(self, opened: list[Key]) -> None:
        assert opened


class AddedKeyCourse(KeyCourse):
    """A second key."""

    def work(self, vault: Vault) -> None:
        Vault.keys(vault._storage, KEY).add(SECOND)

    def check_keys(self, opened: list[Key]) -> None:
        assert KEY in opened


class RemovedKeyCourse(AddedKeyCourse):
    """A second key removed."""

    def prepare(self, folder: Path) -> None:
        super().prepare(folder)
        Vault.keys(f"file://{folder}/vault", KEY).add(SECOND)

    def work(self, vault: Vault) -> None:
        keys = Vault.keys(vault._storage, KEY)
        keys.remove(keys.all()[1].name)


def _opens(folder: Path, key: Key) -> bool:
    try:
        open_vault(folder, key=key).close()
    except WrongKey:
        return False
    return True


COURSES: tuple[type[Course], ...] = (
    BackupCourse,
    PruneCourse,
    RemovingPruneCourse,
    KeyCourse,
    AddedKeyCourse,
    RemovedKeyCourse,
)
