"""How administrators write where hosts are: addresses of APIs over HTTPS, and whether two mean the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from restorium.vocabulary.errors import InvalidInput

HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class HttpsAddress:
    """host: a name or an IP address, without brackets. options: what is behind ``?``."""

    host: str
    port: int
    options: Mapping[str, str]

    @classmethod
    def parse(
        cls, text: str, *, of: str, hint: str, port: int = HTTPS_PORT, options: Collection[str] = ()
    ) -> HttpsAddress:
        """``https://host[:port][?option=value]``. port: where none is written. options: their names.

        of: whose address it is to be, for the message. Raises InvalidInput.
        """
        try:
            parts = urlsplit(text)
            given = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
            found = cls(parts.hostname or "", port if parts.port is None else parts.port, given)
        except ValueError as error:
            raise InvalidInput(f"{text!r} is no address of {of}: {error}", hint=hint) from error
        if parts.username is not None:
            raise InvalidInput(
                f"the address of {of} has an account in it", hint="Give the account beside it."
            )
        extra = parts.fragment or parts.path not in ("", "/") or set(given) - set(options)
        if parts.scheme != "https" or not found.host or not found.port or extra:
            raise InvalidInput(f"{text!r} is no address of {of}", hint=hint)
        return found

    @property
    def url(self) -> str:
        """Without options and a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}" + ("" if self.port == HTTPS_PORT else f":{self.port}")


def as_url(text: str) -> str:
    """An address of which the scheme may have been left out."""
    return text if "://" in text else f"https://{text}"


def same_address(one: str, other: str) -> bool:
    """Whether two addresses mean one host: those over HTTPS by host, port and path, others by their letters."""
    first, second = (urlsplit(as_url(each)) for each in (one, other))
    if one == other or first.scheme != "https" or second.scheme != "https":
        return one == other
    try:
        places = [(each.hostname, each.port or HTTPS_PORT, each.path.strip("/")) for each in (first, second)]
    except ValueError:
        return False
    return places[0] == places[1] and places[0][0] is not None
