"""Files below an address, of a mount or of the catalog of VMs: listing, downloading and restoring them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from restorium.catalog.listing import Row
from restorium.em import files, tasks
from restorium.em.bodies import Field, Spec, Values, boolean, text
from restorium.em.call import Answer, Call
from restorium.em.files import Tree
from restorium.em.paging import PARAMETERS
from restorium.em.routing import Route
from restorium.em.shapes import Gives
from restorium.em.tasks import STARTED, Started
from restorium.flows import mounts as flows
from restorium.vocabulary.errors import InvalidInput, Unsupported
from restorium.vocabulary.roles import Role

_HOME = "ToOriginalLocation"
_CREDENTIALS = Spec("GuestCredentials", (Field("UserName", text), Field("Password", text)))
_BODY = Spec(
    "FileRestoreSpec",
    (
        Field(
            _HOME,
            Spec(
                _HOME,
                (Field("GuestCredentials", _CREDENTIALS),),
                attributes=(Field("Overwrite", boolean), Field("PermissionsOnly", boolean)),
            ),
        ),
        Field("ForDirectDownload", Spec("ForDirectDownload")),
    ),
    one_of=True,
)
_ENTRY, _ENTRIES, _BYTES = ((Gives(200, what),) for what in (files.ENTRY, files.ENTRIES, files.BYTES))


class Opened(NamedTuple):
    """A mount of the caller's: its row, and its files."""

    row: Row
    tree: Tree


@dataclass(frozen=True, slots=True)
class Browsing:
    """What can be asked for below ``place``, a path with ``{ID}`` where an id stands.

    find: the mount that a request's path names. readers, restorers: who may read, who may restore.
    operation: the name of a restore's task. message: what the task says. session: the name of its link to the restore
    session, if it has one. home: whether a restore without a body is one to the original location.
    """

    place: str
    find: Callable[[Call], Opened]
    readers: frozenset[Role]
    restorers: frozenset[Role]
    operation: str
    message: str
    session: str | None = None
    home: bool = False

    def routes(self, *, root: bool = False) -> list[Route]:
        """The routes of all that is below the place; with ``root`` of the list of volumes there too."""
        readable = [f"{self.place}/{{filepath}}", *([self.place] if root else [])]
        below = readable[0]
        reading = [
            Route("GET", path, self.readers, handler, action, gives=gives, parameters=parameters)
            for path in readable
            for action, handler, gives, parameters in (
                (None, self._entry, _ENTRY, ()),
                ("listAll", self._list_all, _ENTRIES, PARAMETERS),
                ("listFiles", self._list_files, _ENTRIES, PARAMETERS),
                ("listDirs", self._list_folders, _ENTRIES, PARAMETERS),
            )
        ]
        return [
            *reading,
            Route("GET", below, self.readers, self._download, "download", gives=_BYTES, download=True),
            Route("POST", below, self.restorers, self._restore, "restore", gives=STARTED, body=_BODY),
        ]

    def _entry(self, call: Call) -> Answer:
        return Answer(200, files.shown(self.find(call).tree, self._path(call)))

    def _list_all(self, call: Call) -> Answer:
        return Answer(200, files.listed(call, self.find(call).tree, self._path(call)))

    def _list_files(self, call: Call) -> Answer:
        return Answer(200, files.listed(call, self.find(call).tree, self._path(call), folders=False))

    def _list_folders(self, call: Call) -> Answer:
        return Answer(200, files.listed(call, self.find(call).tree, self._path(call), files=False))

    def _download(self, call: Call) -> Answer:
        mounted, path = self.find(call), self._path(call)
        answer = files.download(mounted.tree, path)
        if call.request.method == "GET":
            told = f"{call.logon.account.name} downloads {'/'.join(path)}"
            flows.tell(call.engine, mounted.row.session_id, told)
        return answer

    def _restore(self, call: Call) -> Answer:
        """A task with the address to download from."""
        mounted, path = self.find(call), self._path(call)
        _check({_HOME: {}} if call.body is None and self.home else call.body)

        def start() -> Started:
            files.check(mounted.tree, path)
            href = f"{mounted.tree.at(path).removeprefix(call.base)}?action=download"
            session = ("RestoreSession", mounted.row.session_id, self.session)
            kind, key, name = (None, None, None) if self.session is None else session
            return Started(kind, key, name, self.message, rel="Download", path=href)

        return tasks.run(call, self.operation, start)

    def _path(self, call: Call) -> tuple[str, ...]:
        """The path below the place; empty at the place itself."""
        return files.split("/".join(call.ids[self.place.count("{ID}") :]))


def _check(body: Values | None) -> None:
    """Raises InvalidInput for no body, Unsupported for what files cannot be restored to."""
    if body is None:
        raise InvalidInput("the body is empty", hint="Send a FileRestoreSpec with ForDirectDownload.")
    if _HOME in body:
        raise Unsupported(
            "files are not written into the VM that they were backed up from: its host only keeps images",
            hint="Ask for ForDirectDownload, and copy what is downloaded to where it belongs.",
        )
