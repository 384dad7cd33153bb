"""Who may call what, as sets of roles of which an account needs one."""

from __future__ import annotations

from restorium.vocabulary.roles import Role

EVERYONE = frozenset(Role)
ADMINISTRATORS = frozenset({Role.PORTAL_ADMINISTRATOR})
MONITORS = ADMINISTRATORS | {Role.PORTAL_USER}
RESTORERS = ADMINISTRATORS | {Role.VM_RESTORE_OPERATOR}
FILE_RESTORERS = ADMINISTRATORS | {Role.FILE_RESTORE_OPERATOR}
POINT_READERS = MONITORS | RESTORERS | FILE_RESTORERS
DRILL_READERS = MONITORS | RESTORERS
