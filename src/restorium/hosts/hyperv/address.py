"""Where a Hyper-V host is: ``https://host[:port][?smb=port]``."""

from __future__ import annotations

from dataclasses import dataclass

from restorium.hosts.addresses import HttpsAddress
from restorium.vocabulary.errors import InvalidInput

_WINRM_PORT = 5986
_SMB_PORT = 445
_OF = "a Hyper-V host"
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
        found = HttpsAddress.parse(text, of=_OF, hint=_HINT, port=_WINRM_PORT, options=("smb",))
        smb_port = found.options.get("smb", str(_SMB_PORT))
        if not smb_port.isdecimal() or not 0 < int(smb_port) < 65536:
            raise InvalidInput(f"{text!r} is no address of {_OF}", hint=_HINT)
        return cls(found.host, found.port, int(smb_port))
