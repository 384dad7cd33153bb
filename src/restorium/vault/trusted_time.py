"""The time as far as a vault believes it, for points that may not be deleted before their time.

Whoever sets a machine's clock forward must not make points expire. An object storage has a clock of its own. For a
folder there is none; there time counts as it passes on a clock that nobody can set, the one since the machine started,
and what it had come to is kept in the vault. So time in which no machine with the vault ran may not count: points then
stay longer, never shorter.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hmac import compare_digest
from pathlib import Path
from typing import Any

from restorium.vault.keys import Keyring
from restorium.vault.log import warn
from restorium.vault.storage import Storage
from restorium.vocabulary.errors import NotFound

_NAME = "clock"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MOST_BOOTS = 16
_WORTH_WRITING = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Clocks:
    """``now``: the machine's, which can be set. ``uptime``: seconds since ``boot`` began, which cannot."""

    now: Callable[[], datetime]
    uptime: Callable[[], float]
    boot: Callable[[], str]


@cache
def _boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return secrets.token_hex(16)  # then this process's own


def _uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


MACHINE = Clocks(lambda: datetime.now(UTC), _uptime, _boot)


class TrustedTime:
    """The time of one vault."""

    def __init__(self, storage: Storage, keyring: Keyring, clocks: Clocks) -> None:
        self._storage = storage
        self._keyring = keyring
        self._clocks = clocks

    def now(self) -> datetime:
        """Never later than it is, as long as one of the clocks is right. Raises StorageUnavailable."""
        if not self._storage.local:
            return min(self._clocks.now(), self._storage.now())
        record = self._record()
        wall, uptime, boot = self._clocks.now(), self._clocks.uptime(), self._clocks.boot()
        if record is None:
            latest, boots = wall, {}
        else:
            latest, boots = datetime.fromisoformat(record["time"]), dict(record["boots"])
            since = boots.get(boot)
            if since is not None:
                passed = timedelta(seconds=max(uptime - since[1], 0))
                latest = max(latest, min(datetime.fromisoformat(since[0]) + passed, wall))
        if (
            boot not in boots
            or record is None
            or latest - datetime.fromisoformat(record["time"]) > _WORTH_WRITING
        ):
            boots.pop(boot, None)
            boots[boot] = [latest.isoformat(), uptime]
            self._write({"time": latest.isoformat(), "boots": dict(list(boots.items())[-_MOST_BOOTS:])})
        return min(latest, wall)

    def _record(self) -> dict[str, Any] | None:
        try:
            content = self._storage.get(_NAME)
        except NotFound:
            return None
        try:
            document = json.loads(content)
            if compare_digest(self._tag(document["record"]), bytes.fromhex(document["tag"])):
                record: dict[str, Any] = document["record"]
                return record
        except (ValueError, KeyError, TypeError):
            pass
        warn("the vault's record of time is damaged and begun anew", storage=self._storage.url)
        return None

    def _write(self, record: dict[str, Any]) -> None:
        document = {"record": record, "tag": self._tag(record).hex()}
        self._storage.replace(_NAME, json.dumps(document).encode(), None)

    def _tag(self, record: dict[str, Any]) -> bytes:
        return self._keyring.config_tag(b"clock " + json.dumps(record, sort_keys=True).encode())
