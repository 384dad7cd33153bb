"""Restore scopes: an account sees the VMs it may restore, and of the others nothing, however it asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.engine import Connection

from restorium.catalog import accounts, backups, job_sessions, points, restore_sessions, vm_names
from restorium.catalog.accounts import Scope
from restorium.catalog.database import Database
from restorium.catalog.jobs import JobVm
from restorium.catalog.listing import AnyOf, Compare, Listing, Visibility
from restorium.vocabulary.restore import Caller, RestoreSpec
from restorium.vocabulary.roles import Role
from tests.support.clock import START
from tests.support.estate import add_host, add_job, record_point

CUT: dict[str, Listing] = {
    "backups": backups.listing,
    "restore points": points.restore_listing,
    "backup files": points.file_listing,
    "vm restore points": points.vm_listing,
    "job sessions": job_sessions.listing,
    "task sessions": job_sessions.task_listing,
    "restore sessions": restore_sessions.listing,
    "vm names": vm_names.listing,
    "vm restore points by name": vm_names.point_listing,
}


OF_VMS = ["vm restore points", "task sessions", "restore sessions", "vm names", "vm restore points by name"]


@dataclass(frozen=True)
class World:
    """Two hosts with two VMs each, a job for each host, and of every VM a point, a task and a restore."""

    database: Database
    vms: dict[str, JobVm]
    account: UUID

    def visible(self) -> Visibility:
        with self.database.read() as connection:
            return Visibility.of(accounts.get(connection, self.account))

    def seen(self, kind: str, visible: Visibility) -> set[Any]:
        """What a listing shows, found out in four ways that must agree."""
        listing = CUT[kind]
        with self.database.read() as connection:
            page = listing.page(connection, visible=visible)
            assert listing.count(connection, visible=visible) == len(page)
            assert {row.id for row in listing.stream(connection, visible=visible)} == {row.id for row in page}
            everything = listing.page(connection, visible=Visibility.everything())
            for row in everything:
                found = listing.one(connection, row.id, visible)
                assert (found is not None) == (row in page)
            everywhere = AnyOf([Compare("name", "!=", "x"), Compare("name", "==", "x")])
            assert listing.page(connection, where=everywhere, visible=visible) == page
        return {_told_by(row) for row in page}

    def allow(self, *scopes: Scope) -> None:
        with self.database.write() as connection:
            accounts.set_scopes(connection, self.account, scopes)


def _told_by(row: Any) -> str:
    for name in ("vm_name", "file_path", "name"):
        if name in row._mapping:
            return str(row._mapping[name])
    raise AssertionError(row)


@pytest.fixture
def world(database: Database) -> World:
    with database.write() as connection:
        vms: dict[str, JobVm] = {}
        for host_name in ("east", "west"):
            host = add_host(connection, host_name)
            pair = [JobVm(host.id, f"vm-{number}", f"{host_name}-{number}") for number in (1, 2)]
            vms |= {vm.vm_name: vm for vm in pair}
            _history(connection, host_name, pair)
        account = accounts.add(connection, "jo", "secret", roles={Role.VM_RESTORE_OPERATOR})
    return World(database, vms, account.id)


def _history(connection: Connection, name: str, pair: list[JobVm]) -> None:
    job = add_job(connection, pair, name)
    session = job_sessions.create(connection, job.id, Caller("jo"))
    found = record_point(connection, job, pair, session.id, START)
    record_point(connection, job, pair[:1], UUID(int=session.id.int ^ 1), START + timedelta(hours=1))
    for point in found:
        restore_sessions.create(connection, point=point, spec=RestoreSpec(point.id), caller=Caller("jo"))


@pytest.mark.parametrize("kind", CUT)
def test_without_a_scope_nothing_is_seen(world: World, kind: str) -> None:
    assert world.seen(kind, world.visible()) == set()


@pytest.mark.parametrize("kind", OF_VMS)
def test_a_scope_on_a_vm_shows_that_vm(world: World, kind: str) -> None:
    vm = world.vms["east-2"]
    world.allow(Scope(vm.host_id, vm.vm_ref))
    assert world.seen(kind, world.visible()) == {"east-2"}


@pytest.mark.parametrize("kind", OF_VMS)
def test_a_scope_on_a_host_shows_its_vms(world: World, kind: str) -> None:
    world.allow(Scope(world.vms["west-1"].host_id))
    assert world.seen(kind, world.visible()) == {"west-1", "west-2"}


def test_what_holds_a_vm_is_seen_by_whoever_sees_the_vm(world: World) -> None:
    vm = world.vms["east-2"]
    world.allow(Scope(vm.host_id, vm.vm_ref))
    visible = world.visible()
    assert world.seen("backups", visible) == {"east"}
    assert world.seen("restore points", visible) == {"east@04:05:06"}, "not the point without this VM"
    assert world.seen("backup files", visible) == {"points/vm-2-040506"}
    assert world.seen("job sessions", visible) == {"east@2031-02-03 04:05:06"}


def test_a_changed_scope_counts_at_once(world: World) -> None:
    visible = world.visible()
    world.allow(Scope(world.vms["east-1"].host_id))
    assert world.seen("vm restore points", visible) == {"east-1", "east-2"}
    world.allow()
    assert world.seen("vm restore points", visible) == set()


@pytest.mark.parametrize("kind", CUT)
def test_whoever_may_restore_all_sees_all(world: World, kind: str) -> None:
    with world.database.write() as connection:
        accounts.set_scopes(connection, world.account, [], restore_all=True)
    assert world.seen(kind, world.visible()) == world.seen(kind, Visibility.everything())


@pytest.mark.parametrize("kind", CUT)
def test_an_administrator_sees_all(world: World, kind: str) -> None:
    with world.database.write() as connection:
        accounts.set_roles(connection, world.account, {Role.PORTAL_ADMINISTRATOR})
    assert world.seen(kind, world.visible()) == world.seen(kind, Visibility.everything())
