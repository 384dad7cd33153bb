"""Reading anew what hosts and repositories say of themselves."""

from __future__ import annotations

from restorium.catalog import hosts, jobs, repositories
from restorium.flows.engine import Engine
from restorium.flows.inventory import list_vms
from restorium.flows.repositories import record_usage
from restorium.vocabulary.errors import HostError, VaultError


def collect(engine: Engine) -> None:
    """Note the names that VMs of jobs have now, and the room of each repository.

    All that answer are read. Raises HostError or VaultError naming those that do not.
    """
    with engine.database.read() as connection:
        hosts_known, repositories_known = hosts.list_all(connection), repositories.list_all(connection)
    problems: list[tuple[str, HostError | VaultError]] = []
    for host in hosts_known:
        try:
            names = {vm.ref: vm.name for vm in list_vms(engine, host.id)}
        except HostError as error:
            problems.append((f"host {host.name!r}: {error.message}", error))
            continue
        with engine.database.write() as connection:
            jobs.rename_objects(connection, host.id, names)
    for repository in repositories_known:
        try:
            record_usage(engine, repository.id)
        except VaultError as error:
            problems.append((f"repository {repository.name!r}: {error.message}", error))
    if problems:
        first = problems[0][1]
        raise type(first)("; ".join(told for told, _ in problems), hint=first.hint)
