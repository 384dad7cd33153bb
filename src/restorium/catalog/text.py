"""Text compared and sorted without regard to case, alike on both databases.

Text is folded to lower case by Unicode's rules and then ordered by code point. SQLite calls Python for the
folding; PostgreSQL uses ICU, which every packaged build has.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


def fold(text: str | None) -> str | None:
    """``text`` as it is compared."""
    return None if text is None else text.lower()


class folded(FunctionElement[str]):  # noqa: N801  SQL functions are written in lower case
    """The folded form of one text expression."""

    type = sa.Text()
    inherit_cache = True


@compiles(folded, "sqlite")
def _folded_sqlite(element: folded, compiler: SQLCompiler, **kw: Any) -> str:
    return f"fold({compiler.process(element.clauses, **kw)})"


@compiles(folded, "postgresql")
def _folded_postgresql(element: folded, compiler: SQLCompiler, **kw: Any) -> str:
    return f'lower({compiler.process(element.clauses, **kw)} COLLATE "und-x-icu") COLLATE "C"'


class guid_text(FunctionElement[str]):  # noqa: N801  SQL functions are written in lower case
    """One GUID column in its hyphenated form; SQLite keeps it as 32 hexadecimal digits."""

    type = sa.Text()
    inherit_cache = True


@compiles(guid_text, "sqlite")
def _guid_sqlite(element: guid_text, compiler: SQLCompiler, **kw: Any) -> str:
    digits = compiler.process(element.clauses, **kw)
    places = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    return "(" + " || '-' || ".join(f"substr({digits}, {start}, {count})" for start, count in places) + ")"


@compiles(guid_text, "postgresql")
def _guid_postgresql(element: guid_text, compiler: SQLCompiler, **kw: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **kw)} AS TEXT)"
