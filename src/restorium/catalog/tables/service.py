"""What the program keeps of itself: its workers, the audit log, and what it tells others."""

from __future__ import annotations

import sqlalchemy as sa

from restorium.catalog.tables.base import identity, metadata, reference
from restorium.catalog.types import Instant, Ordered
from restorium.vocabulary.webhooks import DeliveryState

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("host_name", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
    sa.Column("beats", sa.BigInteger, nullable=False, server_default="0"),
)
"""Processes that carry flows, each with a heartbeat."""

audit_log = sa.Table(
    "audit_log",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", Instant, nullable=False, index=True),
    sa.Column("actor", sa.Text),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("hash", sa.LargeBinary(32), nullable=False),
    sa.Index("ix_audit_log_actor", "actor", "number"),
    sa.Index("ix_audit_log_operation", "operation", "number"),
)
"""Who did what, as a chain: ``content`` says it, ``hash`` is over the hash before it and the content.

The other columns repeat what the content says, to be asked for.
"""

audit_head = sa.Table(
    "audit_head",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("hash", sa.LargeBinary(32)),
)
"""One row: number and hash of the last entry of ``audit_log``, no hash before the first. Who appends holds its lock."""

webhooks = sa.Table(
    "webhooks",
    metadata,
    identity(),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("events", sa.JSON, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)
"""Who is told of what happens. ``secret`` is sealed with the master key."""

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    identity(),
    reference("webhook_id", "webhooks", on_delete="CASCADE"),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("state", Ordered(DeliveryState), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_attempt_at", Instant),
    sa.Column("ended_at", Instant, index=True),
    sa.Column("status", sa.Integer),
    sa.Column("problem", sa.Text),
    sa.Index("ix_webhook_deliveries_next_attempt_at", "next_attempt_at", "id"),
    sa.Index("ix_webhook_deliveries_state", "state", "webhook_id", "created_at"),
)
"""What subscribers are to be told, written in the transaction in which it happened.

Who sends one first moves ``next_attempt_at`` on, so that no other does; it is null once the delivery has ended. status,
problem: what came of the last attempt.
"""
