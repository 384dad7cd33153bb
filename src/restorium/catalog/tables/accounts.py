"""Who may log on, who is, and what lasts as long as a logon session; stored secrets."""

from __future__ import annotations

import sqlalchemy as sa

from restorium.catalog.tables.base import identity, metadata, reference
from restorium.catalog.types import Guid, Instant, Ordered
from restorium.vocabulary.tasks import TaskState

accounts = sa.Table(
    "accounts",
    metadata,
    identity(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("name_key", sa.Text, nullable=False, unique=True),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("restore_all", sa.Boolean, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)
"""Who may log on. ``name_key`` is the case-folded name; ``restore_all`` lifts the restore scope."""

account_roles = sa.Table(
    "account_roles",
    metadata,
    sa.Column("account_id", Guid, sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),
)

account_scopes = sa.Table(
    "account_scopes",
    metadata,
    sa.Column("account_id", Guid, sa.ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("host_id", Guid, sa.ForeignKey("hosts.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("vm_ref", sa.Text, primary_key=True),
)
"""What an account without ``restore_all`` may see and restore; an empty ``vm_ref`` means the whole host."""

logon_sessions = sa.Table(
    "logon_sessions",
    metadata,
    sa.Column("token_hash", sa.LargeBinary(32), primary_key=True),
    sa.Column("account_id", Guid, sa.ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("last_seen_at", Instant, nullable=False, index=True),
    sa.Column("last_task", sa.Integer, nullable=False),
)
"""Who is logged on. Only a hash of the session's id is kept, since the id is the secret that opens it."""

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column(
        "token_hash",
        sa.LargeBinary(32),
        sa.ForeignKey("logon_sessions.token_hash", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("state", Ordered(TaskState), nullable=False),
    sa.Column("success", sa.Boolean),
    sa.Column("message", sa.Text),
    sa.Column("related_kind", sa.Text),
    sa.Column("related_id", Guid),
    sa.Column("related_name", sa.Text),
    sa.Column("related_rel", sa.Text),
    sa.Column("related_path", sa.Text),
    sa.Column("created_at", Instant, nullable=False),
)
"""Asynchronous actions of one logon session; ``number`` counts from 1 in each. They end with it.

What an action made is named by ``related_kind`` and ``related_id`` or, where it has no id of its own, by
``related_path`` below ``/api``, linked to as ``related_rel``.
"""

mounts = sa.Table(
    "mounts",
    metadata,
    sa.Column("session_id", Guid, sa.ForeignKey("restore_sessions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column(
        "token_hash",
        sa.LargeBinary(32),
        sa.ForeignKey("logon_sessions.token_hash", ondelete="CASCADE"),
        nullable=False,
    ),
    reference("vm_restore_point_id", "vm_restore_points", on_delete="CASCADE"),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.UniqueConstraint("token_hash", "vm_restore_point_id", "number", name="uq_mounts_token_hash"),
)
"""Open views of the files in a restore point, each of one logon session and with a restore session of its own.

``number`` counts from 1 in each logon session and restore point; 0 is a browse. They end with the logon session.
"""

credentials = sa.Table(
    "credentials",
    metadata,
    identity(),
    sa.Column("username", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)
"""User names with passwords, which are sealed with the master key."""

password_keys = sa.Table(
    "password_keys",
    metadata,
    identity(),
    sa.Column("hint", sa.Text, nullable=False),
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("modified_at", Instant, nullable=False),
)
"""Passwords that backups may be encrypted with, sealed with the master key."""
