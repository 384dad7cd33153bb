"""Security roles."""

from __future__ import annotations

from restorium.catalog import security
from restorium.em.entity import Entity
from restorium.em.roles import ADMINISTRATORS


class EnterpriseRole(
    Entity, plural="EnterpriseRoles", path="security/roles", slot="EnterpiseRoles", queried=False
):
    """What an account may hold. Its id is the same on every server."""

    roles = ADMINISTRATORS
    rows = security.role_listing
