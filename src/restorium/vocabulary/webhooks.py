"""What subscribers of webhooks are told of."""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    """A session that ended with Failed is told as ``…failed`` to those who ask for that, else as ``…stopped``."""

    RESTORE_STARTED = "restore.started"
    RESTORE_STOPPED = "restore.stopped"
    RESTORE_FAILED = "restore.failed"
    JOB_STARTED = "job.started"
    JOB_STOPPED = "job.stopped"
    JOB_FAILED = "job.failed"
    DRILL_STARTED = "drill.started"
    DRILL_STOPPED = "drill.stopped"
    DRILL_FAILED = "drill.failed"


TEST = "webhook.test"
"""The event of a delivery that was asked for to try a webhook; all get it."""


class DeliveryState(StrEnum):
    """Pending until a receiver has taken it, or the last try has failed."""

    PENDING = "Pending"
    DELIVERED = "Delivered"
    FAILED = "Failed"
