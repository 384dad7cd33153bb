"""One request for a page, understood, and what a page is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from restorium.flows.engine import Engine
from restorium.native.errors import status_of
from restorium.native.exchange import whole
from restorium.native.tokens import Logon
from restorium.vocabulary.errors import AccessDenied, InvalidInput, RestoriumError
from restorium.web import rendering
from restorium.web.api import Api
from restorium.web.works import Works

_MOST_FIELDS = 10_000
_LARGEST = 2**31 - 1


class FieldRefused(InvalidInput):
    """What is wrong with the field of that name, which it is told beside."""

    def __init__(self, field: str, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class Form:
    """What a form sent. A field that is not there is empty."""

    def __init__(self, content: bytes = b"") -> None:
        try:
            text = content.decode("ascii")
            self._values = parse_qs(
                text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
            )
        except ValueError:
            raise InvalidInput("the form is not UTF-8, or has too many fields") from None

    @classmethod
    def of(cls, values: Mapping[str, str | Sequence[str]]) -> Form:
        """A form as if it had sent these."""
        made = cls()
        made._values = {
            name: [value] if isinstance(value, str) else list(value)
            for name, value in values.items()
            if value != []
        }
        return made

    def __getitem__(self, name: str) -> str:
        return self._values.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def with_typed(self, other: Form, boxes: Sequence[str]) -> Form:
        """What ``other`` was sent over what this has. ``boxes``: fields of ``other`` that are not sent if unticked."""
        made = Form()
        kept = {name: values for name, values in self._values.items() if name not in boxes}
        made._values = {**kept, **other._values}
        return made

    def text(self, name: str) -> str | None:
        """Without blanks around it; None if nothing is left."""
        return self[name].strip() or None

    def number(self, name: str, what: str, least: int = 0) -> int | None:
        """None if the field is empty. Raises InvalidInput, which says ``what`` the number is of."""
        text = self.text(name)
        found = None if text is None else whole(text, least, _LARGEST)
        if text is not None and found is None:
            raise InvalidInput(f"{what}: {text[:40]!r} is not a number from {least} on")
        return found

    def lines(self, name: str) -> list[str]:
        """Those that are not blank."""
        return [line.strip() for line in self[name].splitlines() if line.strip()]

    def __contains__(self, name: str) -> bool:
        return name in self._values


@dataclass(frozen=True, slots=True)
class Visit:
    """``base`` is the address that the browser calls the server by, ``form`` what was posted.

    works: what goes on in repositories.
    """

    engine: Engine
    request: Request
    base: str
    logon: Logon
    form: Form
    works: Works

    @property
    def api(self) -> Api:
        return Api(self.engine, self.logon, self.request)

    def need(self, method: str, path: str) -> None:
        """Raises AccessDenied for an account that the operation is not for."""
        if not self.api.may(method, path):
            raise AccessDenied(f"{self.logon.account.name} may not change what is on this page")

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query_params

    def place(self, name: str) -> str:
        """What stands in the page's address at ``{name}``."""
        found: str = self.request.path_params[name]
        return found

    def listed(self, path: str, limit: int, **chosen: str) -> tuple[Any, dict[str, str | None]]:
        """The items of the page of a list that the address names, and where the others are."""
        after = {"after": self.query["after"]} if self.query.get("after") else {}
        found = self.api.get(path, {**chosen, **after, "limit": str(limit)})
        return found.items, self.turn(found.next, {})

    def turn(self, following: str | None, chosen: Mapping[str, str]) -> dict[str, str | None]:
        """For ``parts.pages``: addresses of the ``newest`` page of this list, None on it, and of the next ``older``."""
        here = self.request.url.path
        first = f"{here}?{urlencode(chosen)}" if chosen else here
        return {
            "newest": first if self.query.get("after") else None,
            "older": f"{here}?{urlencode({**chosen, 'after': following})}" if following else None,
        }

    def show(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page."""
        return Response(self.render(template, **values), status, media_type="text/html")

    def render(self, template: str, **values: Any) -> str:
        """A page, or a part of one, as text."""
        return rendering.render(
            template,
            account=self.logon.account,
            may=self.api.may,
            path=self.request.url.path,
            base=self.base,
            now=self.engine.clock.now(),
            **values,
        )

    def again(self, error: RestoriumError | None, template: str, **values: Any) -> Response:
        """The page of a form: with what was wrong with it, if it was sent already.

        The template has it as ``error``, or as ``beside`` by the name of the field that it is told beside.
        """
        status = 200 if error is None else status_of(error)
        beside = {error.field: error} if isinstance(error, FieldRefused) else {}
        told = None if beside else error
        return self.show(template, status=status, error=told, beside=beside, **values)

    def go(self, path: str, **query: str) -> Response:
        """To another page, which is read anew."""
        return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303)


def retold(
    page: Callable[[Visit, RestoriumError], Response], *raised: type[RestoriumError]
) -> Callable[[Callable[[Visit], Response]], Callable[[Visit], Response]]:
    """Of a function that takes a form: what it refuses is told on the form's page, but for errors of ``raised``."""

    def around(function: Callable[[Visit], Response]) -> Callable[[Visit], Response]:
        @wraps(function)
        def take(visit: Visit) -> Response:
            try:
                return function(visit)
            except raised:
                raise
            except RestoriumError as error:
                return page(visit, error)

        return take

    return around


@dataclass(frozen=True, slots=True)
class Page:
    """``function`` is run in a worker thread, for whoever is logged on."""

    method: str
    path: str
    function: Callable[[Visit], Response]
