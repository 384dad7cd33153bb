"""External repositories, WAN accelerators and sessions of the system itself. There are none."""

from __future__ import annotations

from restorium.em.absent import SERVER, absent
from restorium.em.roles import MONITORS

absent(
    "ExternalRepository",
    "externalRepositories",
    plural="ExternalRepositories",
    roles=MONITORS,
    below={MONITORS: ["GET backups"]},
)
absent(
    "WanAccelerator",
    "wanAccelerators",
    plural="WanAccelerators",
    roles=MONITORS,
    fields={"Capacity": int, "ConnectionsCount": int, "HighBandwidthModeEnabled": bool, **SERVER},
)
absent(
    "SystemSession",
    "systemSessions",
    plural="SystemSessions",
    roles=MONITORS,
    below={MONITORS: ["GET events"]},
)
