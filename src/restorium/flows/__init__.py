"""Durable work: backup and restore, carried to their end whatever happens in between.

A flow is a list of steps. Each step is idempotent, because it may run twice around a crash, and its outcome,
good or bad, is recorded before the next begins. The session's id is the flow's id, so a session and its flow
can never be paired wrongly; the session is written first and a reconcile enqueues a flow that is missing.

Invariants: a session's reason is the error's own code, message and hint. A stop of the process is no
outcome: it unwinds a flow without a record, and the next start goes on. A restore gives nothing its final
name before every byte was read back; a backup's points exist in the catalog only after their manifests exist
in the repository.

What may be half done after a crash: a target under its temporary name, packs in a repository that no point
names yet, a manifest that the catalog does not know, a session that is Working with no worker. The next
start goes on from the last checkpoint; nothing needs repair.

This is the only room that knows the durable engine (DBOS). Importing it makes every kind of flow known to
the engine.
"""

import restorium.flows.backup
import restorium.flows.drills
import restorium.flows.expiry
import restorium.flows.pruning
import restorium.flows.restore
import restorium.flows.schedule  # noqa: F401
