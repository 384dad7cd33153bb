"""Parts of entities, which have one document and no list of their own: only the query service brings them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from restorium.catalog.listing import Listing, Row
from restorium.em.documents import Resource
from restorium.em.members import Queryable
from restorium.em.shapes import Listed, Shape
from restorium.vocabulary.roles import Role


@dataclass(frozen=True, slots=True)
class Part:
    """``type`` is the name in queries, ``plural`` the list element, ``key`` its name in JSON if another; ``fields`` go
    by their lower-case names.

    shown: the document of a row, given the address that its links begin with. shape: of that document; None where
    there is never a row.
    """

    type: str
    plural: str
    roles: frozenset[Role]
    fields: Mapping[str, Queryable]
    rows: Listing
    shown: Callable[[Row, str], Resource]
    shape: Shape | None = None
    key: str = ""

    @property
    def list_shape(self) -> Listed:
        """The list that a query answers."""
        of = () if self.shape is None else (self.shape,)
        return Listed(self.plural, of, key=self.key, type=f"{self.type}ListType")


_BY_NAME: dict[str, Part] = {}


def part(
    name: str,
    plural: str,
    *,
    roles: frozenset[Role],
    fields: Sequence[Queryable],
    rows: Listing,
    shown: Callable[[Row, str], Resource],
    shape: Shape | None = None,
    key: str = "",
) -> None:
    """Declare a kind of parts."""
    by_name = {field.name.lower(): field for field in fields}
    _BY_NAME[name] = Part(name, plural, roles, by_name, rows, shown, shape, key)


def parts() -> list[Part]:
    """All kinds, by name."""
    return [_BY_NAME[name] for name in sorted(_BY_NAME)]
