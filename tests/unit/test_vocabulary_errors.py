"""The error tree: codes are stable and unlike, and each error helps."""

from __future__ import annotations

from restorium.vocabulary import errors
from restorium.vocabulary.errors import InvalidFilter, RestoriumError


def _tree(root: type[RestoriumError]) -> list[type[RestoriumError]]:
    """Without those of single packages, which are told as what they are kinds of."""
    own = (child for child in root.__subclasses__() if child.__module__ == errors.__name__)
    return [root, *(each for child in own for each in _tree(child))]


def test_each_error_has_a_code_of_its_own_and_a_hint() -> None:
    kinds = _tree(RestoriumError)
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(kind.default_hint.endswith(".") for kind in kinds)


def test_codes_do_not_change() -> None:
    """Scripts compare them: a code may be added here, never changed."""
    assert {kind.code for kind in _tree(RestoriumError)} == {
        "access-denied",
        "already-running",
        "audit-broken",
        "cancelled",
        "chunk-missing",
        "conflict",
        "data-corrupt",
        "database-unavailable",
        "disk-damaged",
        "disk-missing",
        "evidence-refused",
        "drill-failed",
        "objective-missed",
        "host",
        "illegal-transition",
        "internal",
        "invalid-filter",
        "invalid-identifier",
        "invalid-input",
        "not-a-vault",
        "not-authenticated",
        "not-found",
        "point-locked",
        "repository-full",
        "server-unreachable",
        "storage-unavailable",
        "target-exists",
        "target-full",
        "too-many-logons",
        "unsupported",
        "vault",
        "vault-exists",
        "verification-failed",
        "vm-not-found",
        "wrong-key",
    }


def test_the_module_s_picture_of_the_tree_names_each_error() -> None:
    picture = errors.__doc__ or ""
    assert [kind.__name__ for kind in _tree(RestoriumError) if kind.__name__ not in picture] == []


def test_a_message_names_the_input_and_a_hint_may_be_given() -> None:
    error = InvalidFilter("unexpected ';'", position=7, hint="Remove it.")
    assert (str(error), error.message, error.hint, error.position) == (
        "unexpected ';'",
        "unexpected ';'",
        "Remove it.",
        7,
    )
    assert InvalidFilter("x").hint == InvalidFilter.default_hint
