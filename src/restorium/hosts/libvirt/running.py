"""A running VM read through a backup job of libvirt's in pull mode: QEMU keeps the old data of what the VM writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from uuid import UUID
from xml.sax.saxutils import quoteattr

from lxml import etree

from restorium.disks.interface import DiskReader
from restorium.hosts.interface import Chain, Tracked
from restorium.hosts.libvirt import checkpoints
from restorium.hosts.libvirt.checkpoints import Token
from restorium.hosts.libvirt.domains import Disk, Domain, attribute, parse
from restorium.hosts.libvirt.virsh import Virsh
from restorium.hosts.libvirt.workplace import Workplace, is_abandoned, is_ours
from restorium.hosts.room import guarded
from restorium.nbd import NbdReader, UnixEndpoint, dirty_bitmap
from restorium.vocabulary.errors import HostError

_BITMAP = "restorium"
_CONTEXT = dirty_bitmap(_BITMAP)
_END_SECONDS = 60.0
_LOOK_SECONDS = 0.05

Opened = tuple[Sequence[DiskReader], dict[str, Tracked]]


@contextmanager
def opened_running(virsh: Virsh, domain: Domain, chain: Chain | None) -> Iterator[Opened]:
    """Readers of the disks as they are now, and what changed in them. Raises HostError, Unsupported."""
    images = domain.images()
    end_leftovers(virsh, domain)
    keeps = chain is not None and checkpoints.forget_old(virsh, domain, chain)
    with ExitStack() as stack:
        workplace = Workplace(domain.user)
        stack.callback(workplace.close)
        job = _Job(virsh, domain, images, workplace.path / "nbd")
        for folder in {path.parent for _, path in images}:
            stack.enter_context(guarded(folder, domain.name, job.end))
        made = job.begin(chain, keeps)
        try:
            with ExitStack() as open_readers:
                readers = [open_readers.enter_context(job.reader(disk)) for disk in domain.disks]
                tracked = {} if chain is None else job.tracked(chain, made, readers)
                yield readers, tracked
        except BaseException:
            job.end()
            if made is not None:
                checkpoints.forget(virsh, domain.uuid, made)
            raise
        job.end()


def end_leftovers(virsh: Virsh, domain: Domain) -> None:
    """End the backup job that a crash of ours left, and remove its files. Raises HostError if it is another's."""
    job = _present_job(virsh, domain.uuid)
    if job is not None:
        socket = attribute(job, "server", "socket")
        folder = None if socket is None else Path(socket).parent
        if folder is None or not is_ours(folder) or not is_abandoned(folder):
            raise HostError(
                f"another backup of {domain.name!r} is under way",
                hint="Run this one again when it has ended.",
            )
        _abort(virsh, domain)
    for _, path in domain.images():
        for left in path.parent.glob(f"{_scratch_name(domain.uuid, '*')}"):
            left.unlink(missing_ok=True)


class _Job:
    def __init__(
        self, virsh: Virsh, domain: Domain, images: Sequence[tuple[Disk, Path]], socket: Path
    ) -> None:
        self._virsh = virsh
        self._domain = domain
        self._images = images
        self._socket = socket
        self._since: dict[str, Token] = {}
        self._why: str | None = None

    def begin(self, chain: Chain | None, keeps: bool) -> str | None:
        """Gives the checkpoint made with it, if one is. What is refused with bitmaps is tried without."""
        if chain is None or not keeps:
            self._why = checkpoints.SNAPSHOTS
            self._start(None)
            return None
        name = checkpoints.new_name(chain)
        since = {
            disk.target: token
            for disk in self._domain.disks
            if checkpoints.can_track(disk) and (token := checkpoints.since(chain).get(disk.target))
        }
        attempts = [(since, name), ({}, name), ({}, None)] if since else [({}, name), ({}, None)]
        for self._since, made in attempts:
            try:
                self._start(made)
            except HostError as error:
                if made is None:
                    raise
                self._why = self._why or error.message
                continue
            return made
        return None

    def reader(self, disk: Disk) -> NbdReader:
        contexts = (_CONTEXT,) if disk.target in self._since else ()
        return NbdReader(UnixEndpoint(self._socket), disk.target, contexts=contexts)

    def tracked(self, chain: Chain, made: str | None, readers: Sequence[NbdReader]) -> dict[str, Tracked]:
        told = {}
        for disk, reader in zip(self._domain.disks, readers, strict=True):
            before = checkpoints.since(chain).get(disk.target)
            token = None if made is None or not checkpoints.can_track(disk) else str(Token(made, reader.size))
            changed = why = None
            if before is not None and disk.target not in self._since:
                why = self._why if checkpoints.can_track(disk) else checkpoints.RAW
            elif before is not None and (why := before.why_not(reader.size)) is None:
                changed = reader.changed(_CONTEXT)
            told[disk.target] = Tracked(token, changed, why)
        return told

    def end(self) -> None:
        _abort(self._virsh, self._domain)
        for disk, path in self._images:
            self._scratch(disk, path).unlink(missing_ok=True)

    def _start(self, checkpoint: str | None) -> None:
        documents = [self._document()]
        if checkpoint is not None:
            documents.append(checkpoints.document(checkpoint, self._domain.disks))
        self._virsh.with_xml("backup-begin", self._domain.uuid, *documents)

    def _document(self) -> str:
        disks = "".join(
            f"<disk name={quoteattr(disk.target)} backup='yes' type='file' exportname={quoteattr(disk.target)}"
            f"{self._mode(disk)}><scratch file={quoteattr(str(self._scratch(disk, path)))}/></disk>"
            for disk, path in self._images
        )
        socket = quoteattr(str(self._socket))
        return (
            f"<domainbackup mode='pull'><server transport='unix' socket={socket}/>"
            f"<disks>{disks}</disks></domainbackup>"
        )

    def _mode(self, disk: Disk) -> str:
        token = self._since.get(disk.target)
        if token is None:
            return " backupmode='full'"
        return f" backupmode='incremental' incremental={quoteattr(token.checkpoint)} exportbitmap='{_BITMAP}'"

    def _scratch(self, disk: Disk, path: Path) -> Path:
        return path.parent / _scratch_name(self._domain.uuid, disk.target)


def _scratch_name(domain: UUID, target: str) -> str:
    return f".restorium-scratch-{domain}.{target}"


def _present_job(virsh: Virsh, domain: UUID) -> etree._Element | None:
    try:
        return parse(virsh.run("backup-dumpxml", str(domain)))
    except HostError as error:
        if "no domain backup job" in error.message:
            return None
        raise


def _abort(virsh: Virsh, domain: Domain) -> None:
    """End the VM's backup job; libvirt is done with it only a moment later. Nothing happens if it has none."""
    end = monotonic() + _END_SECONDS
    asked = False
    while _present_job(virsh, domain.uuid) is not None:
        if monotonic() > end:
            raise HostError(
                f"the backup job of {domain.name!r} does not end", hint="End it: virsh domjobabort."
            )
        if not asked:
            asked = virsh.works("domjobabort", str(domain.uuid))
        sleep(_LOOK_SECONDS)
