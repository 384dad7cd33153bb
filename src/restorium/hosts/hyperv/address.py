"""Where a Hyper-V host is: ``https://host[:port][?smb=port]``."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from restorium.vocabulary.errors import InvalidInput

_WINRM_PORT = 5986
_SMB_PORT = 445
_HINT = "Hyper-V hosts are named as https://host, with :port if WinRM does not listen on 5986."


@dataclass(frozen=True, slots=True)
class Address:
    """host: a name or an address, without brackets. smb_port: of its file shares."""

    host: str
    winrm_port: int = _WINRM_PORT
    smb_port: int = _SMB_PORT

    @classmethod
    def parse(cls, text: str) -> Address:
        """Raises InvalidInput."""
        try:
            parts = urlsplit(text)
            port, options = parts.port, dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
            smb_port = int(options.pop("smb", _SMB_PORT))
        except ValueError as error:
            raise InvalidInput(f"{text!r} is no address of a Hyper-V host: {error}", hint=_HINT) from error
        extra = parts.username or parts.password or parts.fragment or options or parts.path not in ("", "/")
        if parts.scheme != "https" or not parts.hostname or extra or not 0 < smb_port < 65536:
            raise InvalidInput(f"{text!r} is no address of a Hyper-V host", hint=_HINT)
        return cls(parts.hostname, _WINRM_PORT if port is None else port, smb_port)
