"""Continuous data protection. There is none."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from restorium.em.absent import RESULTS, SCHEDULE, SERVER, STATES, TASK_STATES, Fields, absent
from restorium.em.roles import ADMINISTRATORS, MONITORS

_SPAN: Fields = {"CreationTimeUTC": datetime, "EndTimeUTC": datetime}

absent(
    "CdpPolicy",
    "cdpPolicies",
    plural="CdpPolicies",
    roles=ADMINISTRATORS,
    fields={"Description": str, "NextRun": datetime, **SCHEDULE, **SERVER},
    below={
        ADMINISTRATORS: [
            "PUT ",
            "POST ?action=enable",
            "POST ?action=disable",
            "GET includes",
            "POST includes",
            "GET includes/{ID}",
            "DELETE includes/{ID}",
            "GET cdpReplicaSessions",
        ]
    },
)
absent(
    "CdpReplica",
    "cdpReplicas",
    plural="CdpReplicas",
    roles=ADMINISTRATORS,
    fields={"PolicyId": str, "PolicyName": str, **SERVER},
    below={
        ADMINISTRATORS: [
            "GET vms",
            "GET vms/{ID}",
            "POST vms/{ID}?action=failover",
            "POST vms/{ID}?action=intervals",
        ]
    },
)
absent("VmCdpReplica", "cdpReplica/vms", plural="VmCdpReplicas", roles=ADMINISTRATORS)
absent(
    "VAppCdpReplica",
    "cdpReplica/vApps",
    plural="VAppCdpReplicas",
    roles=ADMINISTRATORS,
    below={
        ADMINISTRATORS: ["POST ?action=failover", "POST ?action=intervals", "GET vms", "GET vms/{ID}"],
    },
)
absent(
    "CdpReplicaSession",
    "cdpReplicaSessions",
    plural="CdpReplicaSessions",
    roles=MONITORS,
    fields={
        "Id": UUID,
        "PolicyUid": UUID,
        "PolicyName": str,
        **SERVER,
        **_SPAN,
        "State": STATES,
        "Result": RESULTS,
        "FailureMessage": str,
    },
    below={MONITORS: ["GET cdpReplicaTaskSessions"]},
)
absent(
    "CdpReplicaTaskSession",
    "cdpReplicaTaskSessions",
    plural="CdpReplicaTaskSessions",
    roles=MONITORS,
    fields={
        "Id": UUID,
        "PolicySessionUid": UUID,
        "PolicySessionName": str,
        **SERVER,
        **_SPAN,
        "State": TASK_STATES,
        "Reason": str,
        "TotalSize": int,
        "VmDisplayName": str,
    },
)
