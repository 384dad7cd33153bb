"""Roles that an account may hold; several add up.

What each allows is declared where it is enforced, at the faces.
"""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """The names that the API and its documentation use."""

    PORTAL_ADMINISTRATOR = "Portal Administrator"
    PORTAL_USER = "Portal User"
    VM_RESTORE_OPERATOR = "VM Restore Operator"
    FILE_RESTORE_OPERATOR = "File Restore Operator"
    EXCHANGE_RESTORE_OPERATOR = "Exchange Restore Operator"
    ORACLE_RESTORE_OPERATOR = "Oracle Restore Operator"
    SQL_RESTORE_OPERATOR = "SQL Restore Operator"
