"""Which representation a client wants: XML unless it prefers JSON."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache


class Media(Enum):
    XML = "xml"
    JSON = "json"


_NAMES = {
    "application/xml": {Media.XML},
    "text/xml": {Media.XML},
    "application/json": {Media.JSON},
    "text/*": {Media.XML},
    "application/*": {Media.XML, Media.JSON},
    "*/*": {Media.XML, Media.JSON},
}


@lru_cache(64)
def accepted(accept: str | None) -> Media | None:
    """The representation that an Accept header prefers; None if it accepts neither.

    By weight, then by how exactly it is named, then by what is named first; XML where all are equal. An absent or
    empty header accepts both.
    """
    if accept is None or not accept.strip():
        return Media.XML
    best: dict[Media, tuple[bool, float, int]] = {}
    for place, part in enumerate(accept.split(",")):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        exact = "*" not in name
        for media in _NAMES.get(name, ()):
            if media not in best or exact > best[media][0]:
                best[media] = (exact, _weight(parameters), -place)
    wanted = {media: (weight, exact, place) for media, (exact, weight, place) in best.items() if weight > 0}
    if not wanted:
        return None
    return max(wanted, key=lambda media: (*wanted[media], media is Media.XML))


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
