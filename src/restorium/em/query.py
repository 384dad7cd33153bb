"""The query language: a filter's text to a tree of comparisons whose values are bound, never part of a statement.

``==  !=  <  <=  >  >=`` compare; ``;`` is and, ``,`` is or and binds less; parentheses group. A value is in double
quotes, which are doubled inside it, or bare. Bare values end at the next operator and lose their blanks, since
clients send dates and enumerations that way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from lark import Lark, Token, Transformer, UnexpectedInput
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedToken, VisitError

from restorium.catalog.listing import AllOf, AnyOf, Compare, Filter
from restorium.em.members import Queryable
from restorium.em.values import Never
from restorium.vocabulary.errors import InvalidFilter

_DEEPEST = 32
_MOST = 256
_GRAMMAR = r"""
?start: any
any: all ("," all)*
all: term (";" term)*
?term: comparison | "(" any ")"
comparison: NAME OPERATOR (QUOTED | BARE)
NAME: /[A-Za-z_][A-Za-z0-9_]*/
OPERATOR: "==" | "!=" | "<=" | ">=" | "<" | ">"
QUOTED: /"(?:[^"]|"")*"/
BARE: /[^"();,=<>!\s][^"();,=<>!]*/
%ignore /\s+/
"""
_EXPECTED = {
    "NAME": "a field",
    "OPERATOR": "an operator (== != < <= > >=)",
    "QUOTED": "a value",
    "BARE": "a value",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": ",",
    "SEMICOLON": ";",
    "$END": "the end",
}
_parser = Lark(_GRAMMAR, parser="lalr", lexer="contextual")


def parse(text: str, fields: Mapping[str, Queryable], what: str) -> Filter:
    """The filter that ``text`` stands for. fields: by lower-case name. what: the type asked for, for messages.

    Raises InvalidFilter with the position of what is wrong and what was expected there.
    """
    if text.count("(") > _DEEPEST or text.count(";") + text.count(",") > _MOST:
        raise InvalidFilter(
            f"the filter has more than {_DEEPEST} parentheses or {_MOST} conditions",
            hint="Ask in several requests.",
        )
    try:
        tree = _parser.parse(text)
    except UnexpectedInput as error:
        raise _misplaced(text, error) from None
    try:
        return cast(Filter, _Meaning(fields, what).transform(tree))
    except VisitError as error:
        raise error.orig_exc from None


class _Meaning(Transformer[Token, Any]):
    def __init__(self, fields: Mapping[str, Queryable], what: str) -> None:
        super().__init__()
        self._fields = fields
        self._what = what

    def any(self, parts: list[Filter]) -> Filter:
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def all(self, parts: list[Filter]) -> Filter:
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def comparison(self, parts: list[Token]) -> Filter:
        name, operator, given = parts
        field = self._fields.get(name.lower())
        if field is None:
            raise InvalidFilter(
                f"{self._what} has no field {str(name)!r}, at character {_place(name) + 1} of the filter",
                position=_place(name),
                hint="Its fields are " + ", ".join(each.name for each in self._fields.values()) + ".",
            )
        text = str(given)
        text = text[1:-1].replace('""', '"') if text.startswith('"') else "".join(text.split())
        try:
            value = field.codec.read(text)
        except ValueError:
            raise InvalidFilter(
                f"{field.name} cannot be compared with {text!r}, at character {_place(given) + 1} of the filter",
                position=_place(given),
                hint=f"Its values are {field.codec.expected}.",
            ) from None
        if isinstance(value, Never):
            return _never(field.column, str(operator), value)
        return Compare(field.column, cast(Any, str(operator)), value)


def _never(column: str, operator: str, value: Never) -> Filter:
    """A comparison with a value that no row has, by the next that one may have."""
    if operator in ("==", "!="):
        return AnyOf(()) if operator == "==" else AllOf(())
    smaller = operator in ("<", "<=")
    if value.following is None:
        return Compare(column, "!=", None) if smaller else AnyOf(())
    return Compare(column, "<" if smaller else ">=", value.following)


def _place(token: Token) -> int:
    return token.start_pos or 0


def _misplaced(text: str, error: UnexpectedInput) -> InvalidFilter:
    """What stood where, and what should have."""
    position = len(text)
    wanted: set[str] = set()
    if isinstance(error, UnexpectedToken):
        wanted = set(error.accepts or error.expected)
        if error.token.type != "$END":
            position = _place(error.token)
    elif isinstance(error, UnexpectedCharacters):
        wanted, position = set(error.allowed or ()), error.pos_in_stream or 0
    elif isinstance(error, UnexpectedEOF):
        wanted = set(error.expected)
    expected = sorted({_EXPECTED.get(name, name) for name in wanted})
    found = f"{text[position : position + 20]!r}" if position < len(text) else "its end"
    return InvalidFilter(
        f"the filter cannot be read at character {position + 1}: {found} stands where"
        f" {' or '.join(expected) or 'something else'} was expected",
        position=position,
        hint='Filters look like Name=="x";CreationTime>"2026-01-31".',
    )
