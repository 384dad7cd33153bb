"""What a provider offers to tenants. There is none."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from restorium.em.absent import RESULTS, SERVER, SPAN, Fields, absent, absent_part
from restorium.em.empty import service
from restorium.em.roles import ADMINISTRATORS, FILE_RESTORERS, MONITORS, READERS, RESTORERS

_TENANT: Fields = {"CloudTenantUid": UUID, "CloudTenantName": str}
_PLANNERS = RESTORERS | FILE_RESTORERS
_CHANGED = ["PUT ", "DELETE "]


def _parts(name: str, *more: str) -> list[str]:
    """What is done with parts of a tenant."""
    return [f"GET {name}", f"POST {name}", f"GET {name}/{{ID}}", f"DELETE {name}/{{ID}}", *more]


ROUTES = (
    service(
        "cloud",
        "CloudConnectService",
        "CloudConnectService",
        READERS,
        [
            ("cloud/gateways", "CloudGateway"),
            ("cloud/gatewayPools", "CloudGatewayPool"),
            ("cloud/tenants", "CloudTenant"),
            ("cloud/hardwarePlans", "CloudHardwarePlan"),
            ("cloud/publicIpAddresses", "CloudPublicIpAddress"),
            ("cloud/vlans", "VlanConfiguration"),
            ("cloud/failoverSessions", "CloudFailoverSession"),
            ("cloud/cloudFailoverPlans", "CloudFailoverPlan"),
            ("cloud/vmReplicaPoints", "CloudVmReplicaPoint"),
            ("cloud/replicas", "CloudReplica"),
        ],
    ),
    *absent(
        "CloudGateway",
        "cloud/gateways",
        plural="CloudGateways",
        roles=MONITORS,
        fields={"Enabled": bool, "Description": str, **SERVER},
        make=MONITORS,
        below={MONITORS: _CHANGED},
    ),
    *absent(
        "CloudGatewayPool",
        "cloud/gatewayPools",
        plural="CloudGatewayPools",
        roles=MONITORS,
        fields={"Description": str, **SERVER},
        make=MONITORS,
        below={MONITORS: _CHANGED},
    ),
    *absent(
        "CloudHardwarePlan",
        "cloud/hardwarePlans",
        plural="CloudHardwarePlans",
        roles=MONITORS,
        fields={"Platform": ("VMware", "HyperV"), **SERVER},
        make=MONITORS,
        below={MONITORS: [*_CHANGED, "GET tenants"]},
    ),
    *absent(
        "CloudPublicIpAddress",
        "cloud/publicIpAddresses",
        plural="CloudPublicIpAddresses",
        slot="CloudPublicIps",
        roles=MONITORS,
        fields={"IpAddress": str, **_TENANT, **SERVER},
        make=MONITORS,
        below={MONITORS: _CHANGED},
    ),
    *absent(
        "CloudTenant",
        "cloud/tenants",
        plural="CloudTenants",
        roles=MONITORS,
        fields={
            "Enabled": bool,
            "Type": ("vCD", "Standalone", "ActiveDirectory"),
            "OrganizationReference": str,
            **SERVER,
        },
        make=MONITORS,
        below={
            MONITORS: [
                *_CHANGED,
                "GET freelicenseCounters",
                "GET gatewayPools",
                *_parts("computeResources"),
                *_parts("vCloudComputeResources"),
                *_parts("resources"),
                *_parts("subtenants", "PUT subtenants/{ID}"),
            ]
        },
    ),
)

absent_part(
    "CloudSubtenant",
    "CloudSubtenants",
    roles=MONITORS,
    fields={
        "UID": str,
        "Name": str,
        **_TENANT,
        "Disabled": bool,
        "Unlimited": bool,
        "Quota": int,
        "UsedQuota": int,
        "BackupResourceId": str,
        **SERVER,
    },
)
absent(
    "VlanConfiguration",
    "cloud/vlans",
    plural="VlanConfigurations",
    roles=MONITORS,
    queriers=ADMINISTRATORS,
    fields={
        "SwitchName": str,
        "SwitchType": ("VirtualSwitch", "DistributedVirtualSwitch"),
        "SwitchId": str,
        "ClusterName": str,
        "ClusterRef": str,
        **SERVER,
    },
    below={MONITORS: _CHANGED},
)
absent(
    "CloudReplica",
    "cloud/replicas",
    plural="CloudReplicas",
    roles=MONITORS,
    fields={"Platform": ("VMware", "HyperV", "vCloud")},
    below={MONITORS: ["GET vmReplicaPoints"]},
)
absent(
    "CloudVmReplicaPoint",
    "cloud/vmReplicaPoints",
    plural="CloudVmReplicaPoints",
    roles=MONITORS,
    fields={
        "CreationTime": datetime,
        "VmName": str,
        "Type": ("CDP", "Full", "ReverseIncrement", "Increment", "Snapshot"),
        "ReplicaUid": UUID,
        "ReplicaName": str,
        "VmDisplayName": str,
        "State": ("Unknown", "Ready", "Failover", "Failback", "PermanentFailover"),
        **SERVER,
    },
)
absent(
    "CloudFailoverPlan",
    "cloud/cloudFailoverPlans",
    plural="CloudFailoverPlans",
    roles=_PLANNERS,
    fields={"Description": str, **_TENANT, **SERVER},
    below={
        _PLANNERS: [
            "POST ?action=start",
            "POST ?action=test",
            "POST ?action=undo",
            "GET includes",
            "GET includes/{ID}",
        ],
        ADMINISTRATORS: _CHANGED,
    },
)
absent(
    "CloudFailoverSession",
    "cloud/failoverSessions",
    plural="CloudFailoverSessions",
    roles=READERS,
    fields={
        "Type": str,
        **SPAN,
        "State": ("Starting", "Stopping", "Working", "Stopped"),
        "Result": RESULTS,
        "FailureMessage": str,
        **SERVER,
    },
)
