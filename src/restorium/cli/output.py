"""What commands print: tables and sentences for people, JSON for scripts, errors with their remedy."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from restorium.vocabulary.errors import (
    AccessDenied,
    Conflict,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    RestoriumError,
    ServerUnreachable,
    VmNotFound,
)

FAILED = 1
"""The exit code of an operation that was carried out and did not succeed."""

_EXIT_CODES: tuple[tuple[type[RestoriumError], int], ...] = (
    (InvalidInput, 2),
    (ServerUnreachable, 3),
    (NotAuthenticated, 3),
    (AccessDenied, 4),
    (NotFound, 5),
    (VmNotFound, 5),
    (Conflict, 6),
)

_WIDE = 200
"""Columns of a table that no terminal shows: wide enough for identifiers to stay whole."""

Item = Mapping[str, Any]
Column = tuple[str, Callable[[Item], str]]


@dataclass(frozen=True, slots=True)
class Output:
    """Results go to standard output, everything else to standard error."""

    as_json: bool

    @property
    def live(self) -> Console:
        """Where progress is drawn: standard error, so that results can be piped."""
        return Console(stderr=True)

    @property
    def screen(self) -> Console:
        """Where results are drawn."""
        return _console()

    def line(self, item: Item) -> None:
        """One line of JSON, at once."""
        sys.stdout.write(json.dumps(item, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def table(self, items: Sequence[Item], columns: Sequence[Column]) -> None:
        """One row an item; in JSON the items as they are."""
        if self.as_json:
            _print_json(items)
            return
        table = Table(box=None, header_style="bold", pad_edge=False)
        for title, _ in columns:
            table.add_column(title, overflow="fold")
        for item in items:
            table.add_row(*(cell(item) for _, cell in columns))
        _console().print(table)

    def details(self, item: Item, members: Sequence[Column]) -> None:
        """One line a member; in JSON the item as it is."""
        if self.as_json:
            _print_json(item)
            return
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold")
        table.add_column(overflow="fold")
        for title, cell in members:
            table.add_row(title, escape(cell(item)))
        _console().print(table)

    def result(self, item: Item, sentence: str) -> None:
        """What a command did: ``sentence`` for people, ``item`` in JSON."""
        if self.as_json:
            _print_json(item)
        else:
            _console().print(sentence, markup=False, highlight=False, soft_wrap=True)


def field(name: str) -> Callable[[Item], str]:
    """The member ``name`` as text; nothing where it is null."""
    return lambda item: "" if item[name] is None else str(item[name])


def moment(name: str) -> Callable[[Item], str]:
    """The instant in ``name``, to the second, in UTC."""
    return lambda item: "" if item[name] is None else item[name][:19].replace("T", " ")


def print_error(error: RestoriumError) -> int:
    """Say what went wrong and what to do about it; gives the exit code."""
    sys.stderr.write(f"error: {error.message}\n{error.hint}\n")
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), FAILED)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
