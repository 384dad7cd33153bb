"""Files and folders inside a restore point, as the interface writes them and as it hands them out."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple
from urllib.parse import quote

from restorium.em.call import Answer, Call
from restorium.em.documents import Link, Resource
from restorium.em.paging import PLAIN, Page, page_of, paging_info
from restorium.em.shapes import PAGING, Child, Content, Listed, Shape, addressed
from restorium.em.values import INSTANT, LONG, TEXT
from restorium.guest import BINARY, TAR, Entry, Guest, Kind
from restorium.guest import download as handed_out
from restorium.vocabulary.errors import InvalidInput

_LARGEST_PAGE = 10_000
_LISTS = (
    ("listAll", "FileSystemItemsList"),
    ("listFiles", "FileEntryList"),
    ("listDirs", "DirectoryEntryList"),
)

_PLACE = (Child("Path", TEXT), Child("Name", TEXT))
DIRECTORY = Shape(
    "DirectoryEntry",
    addressed("DirectoryEntry"),
    tuple(replace(each, required=False) for each in _PLACE),
    links=True,
)
"""What holds the volumes has neither path nor name."""
_FILE = Shape(
    "FileEntry",
    addressed("FileEntry"),
    (
        *_PLACE,
        Child("Size", LONG),
        Child("Owner", TEXT),
        Child("ModifiedDateUTC", INSTANT, required=False),
    ),
    links=True,
)
ENTRY = Shape(
    "FileSystemEntry",
    addressed("FileSystemEntry"),
    (Child("FileEntry", _FILE, required=False), Child("DirectoryEntry", DIRECTORY, required=False)),
    links=True,
)
_FILES = Listed("Files", (_FILE,), type="FileEntryListType")
_DIRECTORIES = Listed("Directories", (DIRECTORY,), type="DirectoryEntryListType")
ENTRIES = Shape(
    "FileSystemEntries",
    addressed("FileSystemEntries"),
    (
        Child("Files", _FILES, required=False),
        Child("Directories", _DIRECTORIES, required=False),
        Child("PagingInfo", PAGING),
    ),
    links=True,
)
BYTES = Content((BINARY, TAR))


class Tree(NamedTuple):
    """The files of a mount. ``href`` is the address that their paths go on from.

    above: what the volumes belong to. top: what the list of volumes belongs to, where that has an address.
    page_size: entries of a page where none is asked for.
    """

    guest: Guest
    href: str
    above: Link
    page_size: int
    top: Link | None = None

    def at(self, path: tuple[str, ...]) -> str:
        """The address of what stands at a path; it ends in a slash where that is the list of volumes."""
        return f"{self.href}/{'/'.join(quote(part, safe=PLAIN) for part in path)}"


def split(path: str) -> tuple[str, ...]:
    """The parts of a path as it stands in an address."""
    return tuple(part for part in path.split("/") if part)


def roots(tree: Tree) -> list[Resource]:
    """The volumes."""
    return [_directory(tree, (name,)) for name in tree.guest.volumes]


def shown(tree: Tree, path: tuple[str, ...]) -> Resource:
    """One entry; what holds the volumes where the path is empty."""
    entry = tree.guest.entry(path) if path else None
    inside = _directory(tree, path) if entry is None or entry.kind is Kind.FOLDER else _file(tree, entry)
    return ENTRY.made([_up(tree, path)], Href=tree.at(path), **{inside.name: inside})


def listed(
    call: Call, tree: Tree, path: tuple[str, ...], *, files: bool = True, folders: bool = True
) -> Resource:
    """A page of a folder; of the volumes where the path is empty. Raises InvalidInput for a page that is too large."""
    page = page_of(call.request) or Page(1, tree.page_size)
    if page.size > _LARGEST_PAGE:
        raise InvalidInput(f"pageSize={page.size} is more than {_LARGEST_PAGE}")
    if path:
        wanted = {Kind.FOLDER} if folders else set()
        wanted |= {Kind.FILE, Kind.LINK, Kind.OTHER} if files else set()
        entries, total = tree.guest.page(
            path, offset=page.offset, limit=page.size, wanted=lambda kind: kind in wanted
        )
    else:
        names = tree.guest.volumes if folders else ()
        total = len(names)
        entries = [tree.guest.entry((name,)) for name in names[page.offset : page.offset + page.size]]
    found_files = [_file(tree, each) for each in entries if each.kind is not Kind.FOLDER]
    found_folders = [_directory(tree, each.path) for each in entries if each.kind is Kind.FOLDER]
    return ENTRIES.made(
        [_up(tree, path)],
        Href=tree.at(path),
        Files=_FILES.made(found_files) if files else None,
        Directories=_DIRECTORIES.made(found_folders) if folders else None,
        PagingInfo=paging_info(call.request, page, total),
    )


def download(tree: Tree, path: tuple[str, ...]) -> Answer:
    """A file's bytes, or a folder as a tar archive while it is made."""
    found = handed_out(tree.guest, path)
    return Answer(200, headers=found.headers, content=found.content)


def check(tree: Tree, path: tuple[str, ...]) -> None:
    """Raise what a download of it would."""
    if tree.guest.entry(path).kind is not Kind.FOLDER:
        tree.guest.open(path)


def _directory(tree: Tree, path: tuple[str, ...]) -> Resource:
    href = tree.at(path)
    links = [Link("Down", f"{href}?action={action}", None, kind) for action, kind in _LISTS]
    place = {"Path": "/".join(path), "Name": path[-1]} if path else {}
    return DIRECTORY.made(links, Href=href, **place)


def _file(tree: Tree, entry: Entry) -> Resource:
    href, facts = tree.at(entry.path), entry.facts
    links = [Link("Restore", f"{href}?action=restore")] if entry.kind is Kind.FILE else []
    return _FILE.made(
        links,
        Href=href,
        Path="/".join(entry.path),
        Name=entry.name,
        Size=facts.size,
        Owner=facts.owner,
        ModifiedDateUTC=facts.modified,
    )


def _up(tree: Tree, path: tuple[str, ...]) -> Link:
    if len(path) > 1:
        return Link("Up", tree.at(path[:-1]), None, "DirectoryEntry")
    return tree.above if path or tree.top is None else tree.top
