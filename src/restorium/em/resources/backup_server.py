"""Backup servers: this installation."""

from __future__ import annotations

from uuid import UUID

from restorium.catalog import servers
from restorium.em.absent import SERVER, Fields, absent_part, refuse
from restorium.em.empty import missing
from restorium.em.entity import Entity
from restorium.em.members import Alternate, Do, Down, element, field
from restorium.em.roles import ADMINISTRATORS, MONITORS
from restorium.em.routing import Route
from restorium.em.values import TEXT

_CREDENTIALS: Fields = {
    "CredentialsId": str,
    "Username": str,
    "Description": str,
    "BackupServerUid": UUID,
}
absent_part("Credentials", "CredentialsInfoList", roles=MONITORS, fields=_CREDENTIALS)
absent_part(
    "Passwords",
    "PasswordKeyInfoList",
    roles=MONITORS,
    fields={"PasswordKeyID": str, "Hint": str, **SERVER},
)


class BackupServer(Entity, plural="BackupServers", path="backupServers"):
    """What runs jobs and restores."""

    roles = MONITORS
    rows = servers.listing
    links = (
        Alternate(),
        Do("Edit", "PUT", type="BackupServerReference", roles=ADMINISTRATORS),
        Do("Delete", "DELETE", type="BackupServerReference", roles=ADMINISTRATORS),
        Down("jobs", "Job", column="backup_server_id"),
        Down("managedServers", "ManagedServer", column="backup_server_id"),
        Down("repositories", "Repository", column="backup_server_id"),
        Down(
            "externalRepositories",
            None,
            empty="ExternalRepositories",
            type="ExternalRepositoryReferenceList",
        ),
        Down("credentials", None, empty="CredentialsInfoList", type="CredentialsList"),
        Do("Create", "POST", path="/credentials", action="create", roles=ADMINISTRATORS),
        Down("passwords", None, empty="PasswordKeyInfoList", type="PasswordKeyList"),
        Do("Create", "POST", path="/passwords", action="create", roles=ADMINISTRATORS),
        Do("VeeamZip", "POST", action="veeamzip", roles=MONITORS),
        Do("QuickBackup", "POST", action="quickbackup", roles=MONITORS),
        Do("Start", "POST", action="collect", roles=MONITORS),
    )
    fields = (field("IpOrDnsName", "name", TEXT),)
    nulls = ("WcfPort", "VbrCertificateThumbprint")

    description: str = element("Description", query="Description")
    port: int = element("Port", query="Port")
    version: str = element("Version", query="Version")


_PART = {"GET": MONITORS, "PUT": ADMINISTRATORS, "DELETE": ADMINISTRATORS}
ROUTES = (
    Route("POST", "/backupServers", ADMINISTRATORS, refuse, "create"),
    *missing(BackupServer, "credentials/{ID}", _PART),
    *missing(BackupServer, "passwords/{ID}", _PART),
)
