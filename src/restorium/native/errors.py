"""Errors as the native API answers them: ``{"error": {"code", "message", "hint"}}`` and a status."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from restorium.vocabulary import errors

_STATUS: tuple[tuple[type[errors.RestoriumError], int], ...] = (
    (errors.InvalidInput, 400),
    (errors.NotAuthenticated, 401),
    (errors.AccessDenied, 403),
    (errors.NotFound, 404),
    (errors.VmNotFound, 404),
    (errors.Conflict, 409),
    (errors.TargetExists, 409),
    (errors.VaultExists, 409),
    (errors.PointLocked, 409),
    (errors.WrongKey, 422),
    (errors.NotAVault, 422),
    (errors.HostError, 422),
    (errors.Unsupported, 501),
    (errors.StorageUnavailable, 503),
    (errors.DatabaseUnavailable, 503),
    (errors.RepositoryFull, 507),
    (errors.TargetFull, 507),
    (errors.RestoriumError, 500),
)
"""The first line whose class the error is of; more special classes come first."""
STATUSES = frozenset({405, *(status for _, status in _STATUS)})
"""All statuses of errors."""


def status_of(error: errors.RestoriumError) -> int:
    """The HTTP status that tells this error."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))


def shown(error: errors.RestoriumError) -> dict[str, str]:
    """The error as a JSON object."""
    return {"code": error.code, "message": error.message, "hint": error.hint}


def respond(
    error: errors.RestoriumError, *, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer that tells this error, with the status of its class unless another is given."""
    told = {"WWW-Authenticate": "Bearer"} if isinstance(error, errors.NotAuthenticated) else {}
    return Response(
        msgspec.json.encode({"error": shown(error)}),
        status or status_of(error),
        {**told, **(headers or {})},
        media_type="application/json",
    )
