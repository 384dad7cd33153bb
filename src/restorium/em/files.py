"""Files and folders inside a restore point, as the interface writes them and as it hands them out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

from restorium.em.call import Answer, Call
from restorium.em.documents import Collection, Link, Member, Resource
from restorium.em.paging import PLAIN, Page, page_of, paging_info
from restorium.em.values import show_instant
from restorium.guest import Entry, Guest, Kind, archive_name, tar
from restorium.vocabulary.errors import InvalidInput

_LARGEST_PAGE = 10_000
_LISTS = (
    ("listAll", "FileSystemItemsList"),
    ("listFiles", "FileEntryList"),
    ("listDirs", "DirectoryEntryList"),
)


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
    attributes = [("Href", tree.at(path)), ("Type", "FileSystemEntry")]
    return Resource("FileSystemEntry", attributes, [(inside.name, inside)], [_up(tree, path)])


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
    members: list[tuple[str, Member]] = []
    if files:
        members.append(
            _several("Files", (_file(tree, each) for each in entries if each.kind is not Kind.FOLDER))
        )
    if folders:
        inside = (_directory(tree, each.path) for each in entries if each.kind is Kind.FOLDER)
        members.append(_several("Directories", inside))
    members.append(("PagingInfo", paging_info(call.request, page, total)))
    attributes = [("Href", tree.at(path)), ("Type", "FileSystemEntries")]
    return Resource("FileSystemEntries", attributes, members, [_up(tree, path)])


def download(tree: Tree, path: tuple[str, ...]) -> Answer:
    """A file's bytes, or a folder as a tar archive while it is made."""
    if tree.guest.entry(path).kind is Kind.FOLDER:
        headers = {"Content-Type": "application/x-tar", **_attachment(archive_name(path) + ".tar")}
        return Answer(200, headers=headers, content=tar(tree.guest, path))
    content = tree.guest.open(path)
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(content.size)}
    return Answer(200, headers=headers | _attachment(path[-1]), content=content.chunks())


def check(tree: Tree, path: tuple[str, ...]) -> None:
    """Raise what a download of it would."""
    if tree.guest.entry(path).kind is not Kind.FOLDER:
        tree.guest.open(path)


def _several(name: str, items: Iterable[Resource]) -> tuple[str, Member]:
    return name, Collection(name, name, list(items))


def _directory(tree: Tree, path: tuple[str, ...]) -> Resource:
    href = tree.at(path)
    links = [Link("Down", f"{href}?action={action}", None, kind) for action, kind in _LISTS]
    members = [("Path", "/".join(path)), ("Name", path[-1])] if path else []
    return Resource("DirectoryEntry", [("Href", href), ("Type", "DirectoryEntry")], members, links)


def _file(tree: Tree, entry: Entry) -> Resource:
    href, facts = tree.at(entry.path), entry.facts
    links = [Link("Restore", f"{href}?action=restore")] if entry.kind is Kind.FILE else []
    members: list[tuple[str, Member]] = [
        ("Path", "/".join(entry.path)),
        ("Name", entry.name),
        ("Size", facts.size),
        ("Owner", facts.owner),
        ("ModifiedDateUTC", None if facts.modified is None else show_instant(facts.modified)),
    ]
    return Resource("FileEntry", [("Href", href), ("Type", "FileEntry")], members, links)


def _up(tree: Tree, path: tuple[str, ...]) -> Link:
    if len(path) > 1:
        return Link("Up", tree.at(path[:-1]), None, "DirectoryEntry")
    return tree.above if path or tree.top is None else tree.top


def _attachment(name: str) -> dict[str, str]:
    """Headers that name what is handed out and keep browsers from opening it."""
    plain = "".join(each if each.isascii() and each not in '"\\%;' else "_" for each in name)
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    return {"Content-Disposition": disposition}
