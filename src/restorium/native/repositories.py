"""Repositories: where backups are kept."""

from __future__ import annotations

import secrets
from datetime import datetime
from itertools import accumulate
from uuid import UUID

import msgspec

from restorium.catalog import repositories
from restorium.flows import repositories as flows
from restorium.native.exchange import show
from restorium.native.lists import BY_NAME, members, page_of
from restorium.native.operation import Call, Operation
from restorium.native.paging import Page
from restorium.native.roles import ADMINISTRATORS, MONITORS
from restorium.vault import Key

_KEY_BYTES = 32


class Passphrase(msgspec.Struct, tag_field="kind", tag="passphrase", forbid_unknown_fields=True):
    """A passphrase that opens the repository."""

    passphrase: str


class KeyFile(msgspec.Struct, tag_field="kind", tag="key-file", forbid_unknown_fields=True):
    """A key file's content, in base64."""

    content: bytes


class NewRepository(msgspec.Struct, forbid_unknown_fields=True):
    """``url`` as file:///FOLDER: the repository there, or a new one.

    key: what opens it; null lets the server make a key, which it alone then has.
    capacity_bytes: the most that the repository may grow to; null for no limit but the storage's.
    """

    name: str
    url: str
    key: Passphrase | KeyFile | None = None
    capacity_bytes: int | None = None


class Repository(msgspec.Struct):
    """``capacity_bytes`` and ``free_bytes`` are -1 where the storage cannot tell.

    prune_began_at, prune_outcome: of the last prune by the server; null before the first.
    """

    id: UUID
    name: str
    url: str
    kind: str
    quota_bytes: int | None
    capacity_bytes: int
    free_bytes: int
    created_at: datetime
    prune_began_at: datetime | None
    prune_outcome: str | None


class Day(msgspec.Struct):
    """What the restore points that there are added on one day (UTC), and all up to its end, in bytes."""

    day: datetime
    added_bytes: int
    total_bytes: int


class RepositoryUse(msgspec.Struct):
    """What restore points take, and how sound they are.

    ``verified_at``: of the last verification that came to one of them; ``damaged_points``: those it found wrong.
    """

    points: int
    stored_bytes: int
    verified_at: datetime | None
    damaged_points: int
    days: list[Day]


def _add(call: Call) -> Repository:
    new: NewRepository = call.body
    repository_id = flows.add(call.engine, new.name, new.url, key_of(new.key), new.capacity_bytes)
    with call.engine.database.read() as connection:
        return show(repositories.get(connection, repository_id), Repository)


def _remove(call: Call) -> None:
    flows.remove(call.engine, call.id)


def _list(call: Call) -> Page[Repository]:
    """By name."""
    return page_of(call, repositories.listing, BY_NAME, members(Repository))


def _use(call: Call) -> RepositoryUse:
    """How a repository has grown, day by day, as far as its restore points are still there."""
    with call.engine.database.read() as connection:
        repositories.get(connection, call.id)
        days = repositories.added_by_day(connection, call.id)
        verified = repositories.last_verified(connection, call.id)
    totals = list(accumulate(int(each.bytes) for each in days))
    return RepositoryUse(
        points=sum(each.points for each in days),
        stored_bytes=totals[-1] if totals else 0,
        verified_at=verified.verified_at,
        damaged_points=verified.damaged,
        days=[Day(each.day, int(each.bytes), total) for each, total in zip(days, totals, strict=True)],
    )


def key_of(given: Passphrase | KeyFile | None) -> Key:
    """The key that a request names; a new one for None."""
    match given:
        case Passphrase(passphrase=text):
            return Key.passphrase(text)
        case KeyFile(content=content):
            return Key.raw(content)
        case None:
            return Key.raw(secrets.token_bytes(_KEY_BYTES))


OPERATIONS = (
    Operation("GET", "/repositories", _list, MONITORS, query=BY_NAME.query),
    Operation("GET", "/repositories/{id}/use", _use, MONITORS),
    Operation("DELETE", "/repositories/{id}", _remove, ADMINISTRATORS, status=204),
    Operation("POST", "/repositories", _add, ADMINISTRATORS, body=NewRepository, status=201),
)
