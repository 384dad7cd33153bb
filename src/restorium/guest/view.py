"""What is inside a VM's disks, by path: volumes, folders, entries, content."""

from __future__ import annotations

import heapq
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from restorium.guest.damage import translated
from restorium.guest.entries import Entry, Facts, Kind, clean
from restorium.guest.filesystem import FileSystem, Handle
from restorium.guest.ntfs import Ntfs
from restorium.guest.source import Budget, Disk, RandomAccess
from restorium.guest.volumes import Volume, find
from restorium.vocabulary.errors import DataCorrupt, InvalidInput, NotFound, Unsupported

CHUNK_BYTES = 1 << 20
_OPENING_BYTES = 256 << 20
_LISTING_BYTES = 2 << 30
_FILE_BYTES = 64 << 20
_CONTENT_BYTES = 8 * CHUNK_BYTES + _FILE_BYTES
_MOST_ENTRIES = 1_000_000
_DEEPEST = 500
_KNOWN_PATHS = 1024
_KNOWN_FOLDERS = 16
_KNOWN_ENTRIES = 5000
"""Larger folders are read again each time, so that what is kept is small."""

Path = Sequence[str]
Wanted = Callable[[Kind], bool]


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    kind: Kind
    handle: Handle

    @property
    def place(self) -> tuple[bool, str, str]:
        """Folders first, then by name without regard to case."""
        return self.kind is not Kind.FOLDER, self.name.casefold(), self.name


class Content:
    """A file's bytes. ``size`` is how many there are."""

    def __init__(self, guest: Guest, path: Path, size: int, fh: Any) -> None:
        self.size = size
        self._guest = guest
        self._path = path
        self._fh = fh

    def chunks(self) -> Iterator[bytes]:
        """All of them, a MiB at a time. Raises DataCorrupt where they end too soon, and what the source raises."""
        left = self.size
        while left:
            with self._guest.reading(_CONTENT_BYTES, self._path):
                chunk: bytes = self._fh.read(min(CHUNK_BYTES, left))
            if not chunk:
                raise DataCorrupt(f"{_shown(self._path)} ends {left} bytes too soon")
            left -= len(chunk)
            yield chunk


class Guest:
    """The file systems on a VM's disks. Safe to use from several threads; they take turns."""

    def __init__(self, volumes: Sequence[Volume], budget: Budget, lock: threading.RLock) -> None:
        self._budget = budget
        self._lock = lock
        self._known: OrderedDict[tuple[str, ...], _Found] = OrderedDict()
        self._folders: OrderedDict[tuple[str, ...], list[_Found]] = OrderedDict()
        self._opened: dict[str, FileSystem] = {}
        self._volumes = {f"Volume${number}:": volume for number, volume in enumerate(volumes)}
        self._name_system_drive()

    @property
    def volumes(self) -> tuple[str, ...]:
        """Names that paths begin with: ``C:`` for the volume that Windows is on, ``Volume$N:`` for others."""
        return tuple(self._volumes)

    def entry(self, path: Path) -> Entry:
        """What stands at a path. Raises NotFound, DataCorrupt, Unsupported, and what the source raises."""
        with self.reading(_LISTING_BYTES, path):
            return self._entry(tuple(path), self._find(path))

    def page(
        self, path: Path, *, offset: int = 0, limit: int = 100, wanted: Wanted = lambda kind: True
    ) -> tuple[list[Entry], int]:
        """``limit`` entries of a folder after the first ``offset``, and how many there are in all.

        Folders come first, then names in order. Memory grows with offset + limit, not with the folder. Raises as
        ``entry``, and InvalidInput where the path is no folder's.
        """
        with self.reading(_LISTING_BYTES, path):
            folder = self._find(path)
            total = 0

            def counted() -> Iterator[_Found]:
                nonlocal total
                for found in self._children(path, folder):
                    if wanted(found.kind):
                        total += 1
                        yield found

            first = heapq.nsmallest(offset + limit, counted(), key=lambda found: found.place)
            shown = first[offset:]
            return [self._entry((*path, found.name), found) for found in shown], total

    def open(self, path: Path) -> Content:
        """A file's content. Raises as ``entry``, and InvalidInput for what is no file."""
        with self.reading(_LISTING_BYTES, path):
            return self._content(path, self._find(path))

    def walk(self, path: Path) -> Iterator[tuple[Entry, Content | None]]:
        """A folder and all below it, each folder before what is in it; files with their content.

        A folder that is inside itself, and one over five hundred levels deep, is left out.
        """
        with self.reading(_LISTING_BYTES, path):
            top = self._find(path)
        yield from self._below(tuple(path), top, ())

    @contextmanager
    def reading(self, limit: int, path: Path) -> Iterator[None]:
        """One operation: alone, with so many bytes to read, and with the readers' errors as ours."""
        with self._lock, translated(_shown(path)):
            self._budget.allow(limit)
            yield

    def _below(
        self, path: tuple[str, ...], found: _Found, inside: tuple[object, ...]
    ) -> Iterator[tuple[Entry, Content | None]]:
        with self.reading(_LISTING_BYTES, path):
            entry = self._entry(path, found)
            content = self._content(path, found) if found.kind is Kind.FILE else None
        if found.kind is not Kind.FOLDER:
            yield entry, content
            return
        with self.reading(_LISTING_BYTES, path):
            identity = self._system(path[0]).identity(found.handle)
        if identity in inside or len(inside) > _DEEPEST:
            return
        yield entry, None
        with self.reading(_LISTING_BYTES, path):
            # A name that stands twice could be a link the first time and a folder the second.
            children = {child.name: child for child in self._children(path, found)}
        for name in sorted(children):
            yield from self._below((*path, name), children[name], (*inside, identity))

    def _entry(self, path: tuple[str, ...], found: _Found) -> Entry:
        system = self._system(path[0])
        facts = Facts(0) if len(path) == 1 else system.facts(found.handle)
        target = system.target(found.handle) if found.kind is Kind.LINK else None
        return Entry(path, found.kind, facts, target)

    def _content(self, path: Path, found: _Found) -> Content:
        if found.kind is not Kind.FILE:
            raise InvalidInput(
                f"{_shown(path)} is a {found.kind.value} and has no content of its own",
                hint="Download files and folders; links are not followed.",
            )
        self._budget.allow(_FILE_BYTES)
        system = self._system(path[0])
        return Content(self, path, system.facts(found.handle).size, system.open(found.handle))

    def _find(self, path: Path) -> _Found:
        """Raises NotFound, also for a path that would lead through a link."""
        wanted = tuple(path)
        if not wanted or len(wanted) > _DEEPEST:
            raise NotFound(f"{_shown(path)} is not there")
        if wanted in self._known:
            self._known.move_to_end(wanted)
            return self._known[wanted]
        if len(wanted) == 1:
            found = _Found(wanted[0], Kind.FOLDER, self._system(wanted[0]).root)
        else:
            above = self._find(wanted[:-1])
            found = self._named(wanted, above)
        self._known[wanted] = found
        if len(self._known) > _KNOWN_PATHS:
            self._known.popitem(last=False)
        return found

    def _named(self, path: Path, folder: _Found) -> _Found:
        name = path[-1]
        found: _Found | None = None
        if folder.kind is Kind.FOLDER:
            folds = self._system(path[0]).folds
            for count, child in enumerate(self._children(path[:-1], folder)):
                exact = found is not None and found.name == name
                if exact and count > _KNOWN_ENTRIES:
                    break  # smaller ones are read to their end and kept: who asks for a file often asks for the next
                folded = folds and found is None and child.name.casefold() == name.casefold()
                if folded or (not exact and child.name == name):
                    found = child
        if found is None:
            raise NotFound(f"{_shown(path)} is not there", hint="List the folder to see what is in it.")
        return found

    def _children(self, path: Path, folder: _Found) -> Iterator[_Found]:
        if folder.kind is not Kind.FOLDER:
            raise InvalidInput(f"{_shown(path)} is no folder", hint="List folders only.")
        key = tuple(path)
        if key in self._folders:
            self._folders.move_to_end(key)
            yield from self._folders[key]
            return
        kept: list[_Found] = []
        for count, (stored, kind, handle) in enumerate(self._system(path[0]).children(folder.handle)):
            if count >= _MOST_ENTRIES:
                raise Unsupported(f"{_shown(path)} has over {_MOST_ENTRIES} entries")
            name = clean(stored)
            if name is not None:
                found = _Found(name, kind, handle)
                if len(kept) <= _KNOWN_ENTRIES:
                    kept.append(found)
                yield found
        if len(kept) <= _KNOWN_ENTRIES:
            self._folders[key] = kept
            if len(self._folders) > _KNOWN_FOLDERS:
                self._folders.popitem(last=False)

    def _system(self, name: str) -> FileSystem:
        if name not in self._volumes:
            known = next((each for each in self._volumes if each.casefold() == name.casefold()), None)
            if known is None:
                raise NotFound(f"there is no volume {name}", hint="The mount names its volumes.")
            name = known
        if name not in self._opened:
            self._budget.allow(_OPENING_BYTES)
            volume = self._volumes[name]
            self._opened[name] = volume.kind(volume.fh)
            self._budget.allow(_LISTING_BYTES)
        return self._opened[name]

    def _name_system_drive(self) -> None:
        """Call the first volume with a Windows folder ``C:``: so it is in a Windows that runs, nearly always."""
        for name, volume in self._volumes.items():
            if volume.kind is not Ntfs:
                continue
            try:
                self.entry((name, "Windows"))
            except (NotFound, DataCorrupt, Unsupported):
                continue
            self._volumes = {"C:" if each == name else each: found for each, found in self._volumes.items()}
            self._opened.clear()
            self._known.clear()
            self._folders.clear()
            return


def open_guest(disks: Sequence[RandomAccess]) -> Guest:
    """What is inside a VM's disks. Raises Unsupported if no file system is found, and what reading them raises."""
    budget = Budget()
    volumes = find([Disk(disk, budget) for disk in disks])
    if not volumes:
        raise Unsupported(
            "no file system that can be read was found on the VM's disks",
            hint="ext2-4, XFS, Btrfs, NTFS and FAT are read, on whole disks, in MBR and GPT partitions and in LVM.",
        )
    return Guest(volumes, budget, threading.RLock())


def _shown(path: Path) -> str:
    return "/".join(path)
