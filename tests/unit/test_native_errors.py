"""The status that tells each error."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from restorium.native.errors import respond, status_of
from restorium.vocabulary import errors


def _tree(root: type[errors.RestoriumError]) -> Iterator[type[errors.RestoriumError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:  # those of single packages are told as what they are kinds of
            yield from _tree(child)


@pytest.mark.parametrize("kind", sorted(_tree(errors.RestoriumError), key=lambda kind: kind.__name__))
def test_every_error_is_told_with_code_message_and_hint(kind: type[errors.RestoriumError]) -> None:
    answer = respond(kind("the disk web.raw is gone", hint="Put it back."))
    assert answer.status_code >= 400
    assert json.loads(answer.body) == {
        "error": {"code": kind.code, "message": "the disk web.raw is gone", "hint": "Put it back."}
    }


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.InvalidIdentifier, 400),
        (errors.NotAuthenticated, 401),
        (errors.AccessDenied, 403),
        (errors.NotFound, 404),
        (errors.VmNotFound, 404),
        (errors.IllegalTransition, 409),
        (errors.TargetExists, 409),
        (errors.WrongKey, 422),
        (errors.DiskMissing, 422),
        (errors.StorageUnavailable, 503),
        (errors.RepositoryFull, 507),
        (errors.DataCorrupt, 500),
    ],
)
def test_status_is_that_of_the_nearest_class(kind: type[errors.RestoriumError], status: int) -> None:
    assert status_of(kind("x")) == status


def test_only_a_lack_of_authentication_asks_for_a_token() -> None:
    assert respond(errors.NotAuthenticated("x")).headers["WWW-Authenticate"] == "Bearer"
    assert "WWW-Authenticate" not in respond(errors.AccessDenied("x")).headers
