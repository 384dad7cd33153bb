"""Backup servers: this installation."""

from __future__ import annotations

from functools import partial

from restorium.catalog import servers
from restorium.catalog.listing import Row
from restorium.em import tasks
from restorium.em.absent import refuse
from restorium.em.bodies import Field, Spec, text
from restorium.em.call import Answer, Call
from restorium.em.entity import Entity
from restorium.em.members import Alternate, Do, Down, element, field
from restorium.em.resources import server_backup, stored_secrets
from restorium.em.resources.job_schedule import integer
from restorium.em.roles import ADMINISTRATORS, MONITORS
from restorium.em.routing import Route, Serves
from restorium.em.shapes import NOTHING, Gives
from restorium.em.tasks import STARTED, Started
from restorium.em.values import TEXT
from restorium.flows import collecting
from restorium.vocabulary.errors import InvalidInput, Unsupported

_ALONE = "This server is its own and only backup server; install another Restorium beside it."
_BODY = Spec(
    "BackupServerSpec",
    (
        Field("Description", str),
        Field("DnsNameOrIpAddress", text),
        Field("Port", integer),
        Field("Username", text),
        Field("Password", text),
        Field("WcfPort", text),
        Field("VbrCertificateThumbprint", text),
    ),
)


def _edit(call: Call, server: Row) -> Answer:
    """Change the description. What else a client sends back must be as it is."""
    asked = call.body
    if asked is None:
        raise InvalidInput("the body is missing", hint="Send a BackupServerSpec with a Description.")
    present = {"DnsNameOrIpAddress": server.name, "Port": server.port}
    for name in asked:
        if name != "Description" and (name not in present or asked[name] != present[name]):
            raise Unsupported(
                f"the {name} of this backup server is not changed here",
                hint="Change the Description; name and port follow from the server's own settings.",
            )
    if "Description" in asked:
        with call.engine.database.write() as connection:
            servers.describe_as(connection, asked["Description"])
    return Answer(204)


def _collect(call: Call, server: Row) -> Answer:
    def start() -> Started:
        collecting.collect(call.engine)
        return Started("BackupServer", server.id, server.name, "Hosts and repositories have been read anew")

    return tasks.run(call, "CollectingBackupServer", start)


class BackupServer(Entity, plural="BackupServers", path="backupServers"):
    """What runs jobs and restores."""

    roles = MONITORS
    rows = servers.listing
    links = (
        Alternate(),
        Do(
            "Edit",
            "PUT",
            type="BackupServerReference",
            roles=ADMINISTRATORS,
            run=_edit,
            gives=NOTHING,
            body=_BODY,
        ),
        Do("Delete", "DELETE", type="BackupServerReference", roles=ADMINISTRATORS, hint=_ALONE),
        Down("jobs", "Job", column="backup_server_id"),
        Down("managedServers", "ManagedServer", column="backup_server_id"),
        Down("repositories", "Repository", column="backup_server_id"),
        Down(
            "externalRepositories",
            None,
            empty="ExternalRepositories",
            type="ExternalRepositoryReferenceList",
        ),
        Down(
            "credentials",
            None,
            type="CredentialsList",
            serve=stored_secrets.credentials_listed,
            gives=(Gives(200, stored_secrets.CREDENTIALS_LIST),),
        ),
        Do(
            "Create",
            "POST",
            path="/credentials",
            action="create",
            roles=ADMINISTRATORS,
            run=stored_secrets.add_credentials,
            gives=(Gives(201, stored_secrets.CREDENTIALS),),
            body=stored_secrets.NEW_CREDENTIALS,
        ),
        Down(
            "passwords",
            None,
            type="PasswordKeyList",
            serve=stored_secrets.passwords_listed,
            gives=(Gives(200, stored_secrets.PASSWORDS),),
        ),
        Do(
            "Create",
            "POST",
            path="/passwords",
            action="create",
            roles=ADMINISTRATORS,
            run=stored_secrets.add_password,
            gives=(Gives(201, stored_secrets.PASSWORD),),
            body=stored_secrets.PASSWORD_BODY,
        ),
        Do(
            "VeeamZip",
            "POST",
            action="veeamzip",
            roles=MONITORS,
            run=server_backup.zipped,
            gives=STARTED,
            body=server_backup.ZIP,
        ),
        Do(
            "QuickBackup",
            "POST",
            action="quickbackup",
            roles=MONITORS,
            run=server_backup.quick,
            gives=STARTED,
            body=server_backup.QUICK,
        ),
        Do("Start", "POST", action="collect", roles=MONITORS, run=_collect, gives=STARTED),
    )
    fields = (field("IpOrDnsName", "name", TEXT),)
    nulls = ("WcfPort", "VbrCertificateThumbprint")

    description: str = element("Description", query="Description")
    port: int = element("Port", query="Port")
    version: str = element("Version", query="Version")


ROUTES = (
    Route(
        "POST",
        "/backupServers",
        ADMINISTRATORS,
        partial(refuse, hint=_ALONE),
        "create",
        serves=Serves.REFUSAL,
    ),
)
