"""Looking after repositories: verifying, pruning, what takes the room, keys, and keeping points from deletion.

What takes its time is answered as lines of JSON while it goes on; a client that leaves stops it.
"""

from __future__ import annotations

import msgspec

from restorium.catalog import repositories
from restorium.flows import maintenance, repository_keys
from restorium.native.exchange import Items, show
from restorium.native.lines import Lines, Work
from restorium.native.operation import Call, Operation
from restorium.native.repositories import KeyFile, Passphrase, key_of
from restorium.native.roles import ADMINISTRATORS


class NewVerification(msgspec.Struct, forbid_unknown_fields=True):
    """``read_data``: hold every byte against its digest, not the index alone. ``quarantine``: count on damaged packs
    no more, so that the next backup that has what is in them stores it again."""

    read_data: bool = False
    quarantine: bool = False


class Protection(msgspec.Struct, forbid_unknown_fields=True):
    """``days``: for how many a point that is made from now on may not be deleted by anybody; 0 for none."""

    days: int


class RepositoryKey(msgspec.Struct):
    """``servers_own``: the server opens the repository with it."""

    name: str
    kind: str
    servers_own: bool


def _verify(call: Call) -> Lines:
    asked: NewVerification = call.body
    return _followed(
        call,
        lambda progress, cancelled: maintenance.verify(
            call.engine,
            call.id,
            progress,
            cancelled,
            read_data=asked.read_data,
            quarantine=asked.quarantine,
        ),
    )


def _prune(call: Call) -> Lines:
    return _followed(
        call, lambda progress, cancelled: maintenance.prune(call.engine, call.id, progress, cancelled)
    )


def _stats(call: Call) -> Lines:
    return _followed(
        call, lambda progress, cancelled: maintenance.stats(call.engine, call.id, progress, cancelled)
    )


def _list_keys(call: Call) -> Items[RepositoryKey]:
    return Items([show(key, RepositoryKey) for key in repository_keys.list_keys(call.engine, call.id)])


def _add_key(call: Call) -> RepositoryKey:
    return show(repository_keys.add(call.engine, call.id, key_of(call.body)), RepositoryKey)


def _rotate(call: Call) -> RepositoryKey:
    return show(repository_keys.rotate(call.engine, call.id, key_of(call.body)), RepositoryKey)


def _remove_key(call: Call) -> None:
    repository_keys.remove(call.engine, call.id, call.request.path_params["name"])


def _protect(call: Call) -> None:
    asked: Protection = call.body
    repository_keys.protect(call.engine, call.id, asked.days)


def _followed(call: Call, work: Work) -> Lines:
    with call.engine.database.read() as connection:
        repositories.get(connection, call.id)
    return Lines(work)


_ONE = "/repositories/{id}"

OPERATIONS = (
    Operation("POST", f"{_ONE}/verify", _verify, ADMINISTRATORS, body=NewVerification),
    Operation("POST", f"{_ONE}/prune", _prune, ADMINISTRATORS),
    Operation("GET", f"{_ONE}/stats", _stats, ADMINISTRATORS),
    Operation("GET", f"{_ONE}/keys", _list_keys, ADMINISTRATORS),
    Operation("POST", f"{_ONE}/keys", _add_key, ADMINISTRATORS, body=Passphrase | KeyFile, status=201),
    Operation("DELETE", f"{_ONE}/keys/{{name}}", _remove_key, ADMINISTRATORS, status=204),
    Operation("PUT", f"{_ONE}/key", _rotate, ADMINISTRATORS, body=Passphrase | KeyFile),
    Operation("PUT", f"{_ONE}/protection", _protect, ADMINISTRATORS, body=Protection, status=204),
)
