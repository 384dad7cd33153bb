"""The Error document, and the status that tells each error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from restorium.em.call import Answer
from restorium.em.shapes import ERROR
from restorium.vocabulary import errors

_STATUS: tuple[tuple[type[errors.RestoriumError], int], ...] = (
    (errors.InvalidInput, 400),
    (errors.NotAuthenticated, 401),
    (errors.AccessDenied, 403),
    (errors.NotFound, 404),
    (errors.VmNotFound, 404),
    (errors.Unsupported, 501),
    (errors.StorageUnavailable, 503),
    (errors.DatabaseUnavailable, 503),
    (errors.RestoriumError, 500),
)
"""The first line whose class the error is of. The interface knows no other statuses for errors than these."""

STATUSES = frozenset({405, 406, *(status for _, status in _STATUS)})
"""All statuses of errors."""
_CHALLENGE = {"WWW-Authenticate": "Basic Realm=RestSvc"}


def told(error: errors.RestoriumError) -> Answer:
    """The answer that tells this error, with its remedy."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    headers = _CHALLENGE if status == 401 else {}
    return replace(refusal(status, sentence(error), headers), failure=error.code)


def sentence(error: errors.RestoriumError) -> str:
    """What went wrong and what to do about it, for where there is room for one text only."""
    return f"{error.message}. {error.hint}"


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that says why there is no other."""
    document = ERROR.made(Message=message, StatusCode=status)
    return Answer(status, document, headers or {}, failure=str(status))
