"""Self-service for tenants of vSphere and Cloud Director. There is none."""

from __future__ import annotations

from uuid import UUID

from restorium.em.absent import SERVER, Fields, absent
from restorium.em.empty import service
from restorium.em.roles import ADMINISTRATORS, MONITORS

_SCHEDULERS = ("Full", "Partial", "Random", "Disabled")
_QUOTA: Fields = {"RepositoryUid": UUID, "QuotaGb": int, "UsedQuota": int, "JobSchedulerType": _SCHEDULERS}
_ORGANIZATIONS = "vCloud/orgConfigs"
_CONFIGS = "selfService/vSphere/Configs"

ROUTES = (
    service(
        "vCloud",
        "VCloudService",
        "VCloudService",
        MONITORS,
        [(_ORGANIZATIONS, "VCloudOrganizationConfig")],
    ),
    service(
        "selfService/vSphere",
        "VSphereSelfService",
        "VSphereSelfService",
        MONITORS,
        [(_CONFIGS, "VSphereSelfServiceConfig")],
    ),
    *absent(
        "VCloudOrganizationConfig",
        _ORGANIZATIONS,
        plural="VCloudOrganizationConfigs",
        roles=MONITORS,
        fields={**_QUOTA, "Disabled": bool, "HostUid": UUID, "RepositoryFriendlyName": str, **SERVER},
        make=ADMINISTRATORS,
        below={
            MONITORS: ["POST ?action=disable", "GET backupJobSettings"],
            ADMINISTRATORS: ["PUT ", "DELETE "],
        },
    ),
    *absent(
        "VSphereSelfServiceConfig",
        _CONFIGS,
        plural="VSphereSelfServiceConfigs",
        roles=MONITORS,
        fields={**_QUOTA, "AccountType": ("User", "Group"), "PerUser": bool, **SERVER},
        make=ADMINISTRATORS,
        below={MONITORS: ["GET backupJobSettings"], ADMINISTRATORS: ["PUT ", "DELETE "]},
    ),
)
