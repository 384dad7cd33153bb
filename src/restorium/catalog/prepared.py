"""Statements that every request needs, compiled once and run straight on the driver.

SQLAlchemy's own execution takes about three times as long as SQLite itself for a row found by its key. Whatever
goes wrong is left to it all the same: the statement is run again its way, and it says what is the matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.engine.result import result_tuple

from restorium.catalog.rows import Row
from restorium.catalog.surroundings import has_begun

_Process = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Compiled:
    """``names`` of parameters in the order of the text, or None where the driver takes them by name."""

    text: str
    constants: Mapping[str, Any]
    names: Sequence[str] | None
    bind: Mapping[str, _Process]
    read: Sequence[tuple[int, _Process]]


class Prepared:
    """A SELECT with parameters by name. Its rows are like those of SQLAlchemy's own execution."""

    def __init__(self, statement: sa.Select[Any]) -> None:
        self._statement = statement
        self._row = result_tuple([str(column.key) for column in statement.selected_columns])
        self._compiled: dict[str, _Compiled] = {}

    def all(self, connection: Connection, parameters: Mapping[str, Any]) -> Sequence[Row]:
        """All rows for these parameters."""
        compiled = self._compiled.get(connection.dialect.name)
        if compiled is None:
            compiled = self._compiled[connection.dialect.name] = _compile(self._statement, connection.dialect)
        given = {**compiled.constants, **parameters}
        for name, process in compiled.bind.items():
            given[name] = process(given[name])
        values = given if compiled.names is None else [given[name] for name in compiled.names]
        if not has_begun(connection):
            connection.begin()
        try:
            cursor = connection.connection.cursor()
            cursor.execute(compiled.text, values)
            found = cursor.fetchall()
            cursor.close()
        except connection.dialect.loaded_dbapi.Error:
            return connection.execute(self._statement, parameters).all()
        return [self._row(_shown(row, compiled.read)) for row in found]

    def one_or_none(self, connection: Connection, parameters: Mapping[str, Any]) -> Row | None:
        """The one row for these parameters; None if there is none."""
        rows = self.all(connection, parameters)
        return rows[0] if rows else None


def _shown(row: Sequence[Any], read: Sequence[tuple[int, _Process]]) -> tuple[Any, ...]:
    values = list(row)
    for place, process in read:
        values[place] = process(values[place])
    return tuple(values)


def _compile(statement: sa.Select[Any], dialect: Dialect) -> _Compiled:
    compiled = statement.compile(dialect=dialect)
    bind, constants = {}, {}
    for name, parameter in compiled.binds.items():
        if not parameter.required:
            constants[name] = parameter.effective_value
        process = parameter.type.dialect_impl(dialect).bind_processor(dialect)
        if process is not None:
            bind[name] = process
    read = []
    for place, column in enumerate(statement.selected_columns):
        process = column.type.dialect_impl(dialect).result_processor(dialect, None)
        if process is not None:
            read.append((place, process))
    names = compiled.positiontup
    return _Compiled(str(compiled), constants, names, bind, read)
