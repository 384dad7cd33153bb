"""Passwords: how they are hashed, how often one may be tried, and how a repeated logon is made cheap.

Some clients log on before every request, so a verified password is remembered for a minute: not itself, but a
keyed hash over it, the account's name and the stored hash, so that a changed password is forgotten at once in
every process. Ten failures a minute for one name from one address are let through; further tries are refused
before any hashing, right or wrong. Names that do not exist cost and answer the same as names that do.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import threading
from collections import OrderedDict, deque
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from restorium.vocabulary.clock import Clock
from restorium.vocabulary.errors import TooManyLogons

REMEMBER_SECONDS = 60.0
WINDOW_SECONDS = 60.0
TRIES = 10
_ENTRIES = 10_000
_STRIPES = 64

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

UNMATCHABLE = ""
"""Stands for the hash of an account that has no password: none is its own."""

hasher = PasswordHasher(type=Type.ID)
"""argon2id with 64 MiB, 3 passes and 4 lanes, RFC 9106's choice for machines with little memory."""


def hash_password(password: str) -> str:
    """argon2id, with its parameters and salt, as text."""
    return hasher.hash(password.encode())


def _unmatchable() -> str:
    """A well-formed hash of no known password: verifying against it takes as long as against another."""

    def encoded(count: int) -> str:
        return base64.b64encode(os.urandom(count)).decode().rstrip("=")

    parameters = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${parameters}${encoded(hasher.salt_len)}${encoded(hasher.hash_len)}"


class CredentialGuard:
    """Verifies passwords for one process, in any thread; tries of one name from one address go one by one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = os.urandom(32)
        self._unknown = _unmatchable()
        self._mutex = threading.Lock()
        self._stripes = [threading.Lock() for _ in range(_STRIPES)]
        self._slots = threading.BoundedSemaphore(max(2, os.cpu_count() or 1))
        self._verified: OrderedDict[bytes, float] = OrderedDict()
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def matches(self, name_key: str, stored: str | None, password: str, address: str) -> bool:
        """Whether ``password`` is the one behind the ``stored`` hash; None stands for a name that does not
        exist.

        Raises TooManyLogons when ``address`` has failed too often with this name.
        """
        source = (address, name_key)
        digest = self._digest(name_key, stored or self._unknown, password)
        if self._recall(source, digest):
            return True
        with self._stripes[hash(source) % _STRIPES]:
            if self._recall(source, digest):
                return True
            with self._slots:
                verified = _verify(stored or self._unknown, password)
            self._record(source, digest, verified)
            return verified

    def _digest(self, name_key: str, stored: str, password: str) -> bytes:
        parts = (name_key.encode(), stored.encode(), password.encode())
        message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.new(self._key, message, hashlib.sha256).digest()

    def _recall(self, source: tuple[str, str], digest: bytes) -> bool:
        now = self._clock.monotonic()
        with self._mutex:
            failures = self._failures.get(source)
            while failures and now - failures[0] >= WINDOW_SECONDS:
                failures.popleft()
            if failures and len(failures) >= TRIES:
                raise TooManyLogons(f"too many failed logons as {source[1]!r} from {source[0]}")
            verified = self._verified.get(digest)
            return verified is not None and now - verified < REMEMBER_SECONDS

    def _record(self, source: tuple[str, str], digest: bytes, verified: bool) -> None:
        now = self._clock.monotonic()
        with self._mutex:
            if verified:
                self._verified[digest] = now
                self._verified.move_to_end(digest)
                _trim(self._verified)
            else:
                self._failures.setdefault(source, deque()).append(now)
                self._failures.move_to_end(source)
                _trim(self._failures)


def _trim(entries: OrderedDict[_Key, _Value]) -> None:
    while len(entries) > _ENTRIES:
        entries.popitem(last=False)


def _verify(stored: str, password: str) -> bool:
    try:
        return hasher.verify(stored, password.encode())
    except (VerificationError, InvalidHashError):
        return False
