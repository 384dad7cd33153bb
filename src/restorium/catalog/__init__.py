"""The catalog: what exists, what was done, and who may see it, in SQLite or PostgreSQL.

One module an aggregate. Functions take a connection first, from ``Database.read`` or ``Database.write``, and
take the time and new identifiers from the clock that the database was opened with.

Invariants:
- A session moves only along the state machine of ``vocabulary.sessions``, in one guarded UPDATE: of several
  that try to end a session, one does. Its result is None until it is Stopped and never changes afterwards.
- Progress never goes down.
- Restore scopes are part of every statement that lists VM-bound rows (``visibility``), never applied after
  it.
- Secrets are kept as hashes (passwords, logon tokens) or sealed by whoever holds the key (repository keys).
- Both databases give the same rows in the same order: see ``text`` and ``listing``.

After a crash nothing is half done here: every change is one transaction. A session may still say Working
although nobody works on it; ``unfinished`` lists those for the reconcile in ``flows``.
"""
