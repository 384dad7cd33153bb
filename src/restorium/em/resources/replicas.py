"""Replicas, their runs and points, and failover plans. There are none: nothing here replicates yet."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from restorium.em.absent import (
    ALGORITHMS,
    REPLICA_POINTS,
    RESULTS,
    SERVER,
    SPAN,
    STATES,
    TASK_STATES,
    Fields,
    absent,
)
from restorium.em.roles import ADMINISTRATORS, EVERYONE, FILE_RESTORERS, MONITORS, READERS
from restorium.vocabulary.roles import Role

_JOB: Fields = {"JobUid": UUID, "JobName": str}
_REPLICA: Fields = {"ReplicaUid": UUID, "ReplicaName": str}
_PLANNERS = EVERYONE - {Role.PORTAL_USER}

absent(
    "Replica",
    "replicas",
    plural="Replicas",
    roles=READERS,
    fields={**_JOB, "RepositoryUid": UUID, "RepositoryName": str},
    below={READERS: ["GET vmReplicaPoints"]},
)
absent(
    "ReplicaJobSession",
    "replicaSessions",
    plural="ReplicaJobSessions",
    roles=MONITORS,
    fields={"JobType": str, **_JOB, **SPAN, "State": STATES, "Result": RESULTS, "IsRetry": bool, **SERVER},
    below={MONITORS: ["GET replicaTaskSessions"]},
)
absent(
    "ReplicaTaskSession",
    "replicaTaskSessions",
    plural="ReplicaTaskSessions",
    roles=MONITORS,
    fields={
        **SPAN,
        "State": TASK_STATES,
        "Result": RESULTS,
        "Reason": str,
        "TotalSize": int,
        "JobSessionUid": UUID,
        **_JOB,
        **SERVER,
        "VmDisplayName": str,
    },
)
absent(
    "VmReplicaPoint",
    "vmReplicaPoints",
    plural="VmReplicaPoints",
    roles=READERS,
    fields={
        "CreationTime": datetime,
        "Type": REPLICA_POINTS,
        "Algorithm": ALGORITHMS,
        **_REPLICA,
        "VmDisplayName": str,
        **SERVER,
    },
    below={
        READERS: ["POST ?action=failover", "GET mounts/{ID}/{filepath}"],
        FILE_RESTORERS: [
            "GET mounts",
            "POST mounts",
            "GET mounts/{ID}",
            "DELETE mounts/{ID}",
            "POST mounts/{ID}/{filepath}?action=restore",
        ],
    },
)
absent(
    "VAppReplicaPoint",
    "vAppReplicaPoints",
    plural="VAppReplicaPoints",
    roles=READERS,
    fields={
        "VAppDisplayName": str,
        "CreationTime": datetime,
        "VAppName": str,
        "Type": REPLICA_POINTS,
        "Algorithm": ALGORITHMS,
        **_REPLICA,
        **SERVER,
    },
    below={READERS: ["POST ?action=failover"]},
)
absent(
    "FailoverPlan",
    "failoverPlans",
    plural="FailoverPlans",
    roles=_PLANNERS | ADMINISTRATORS,
    fields={"Description": str, **SERVER},
    below={_PLANNERS: ["POST ?action=start", "POST ?action=undo"], ADMINISTRATORS: ["PUT "]},
)
